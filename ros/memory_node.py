"""What the robot remembers, as a ROS 2 node: it outlives goals, the policy, and itself.

::

    camera, odometry --> embedded, a few times a second --> retrieved: ~/retrieved (picture), ~/markers
                                     +--> stored when something is new --> ~/stored
    caption (std_msgs/String) -------^     ~/query, ~/list, ~/save, ~/load, ~/clear <-- anyone, at any time

An entry is a camera frame: its vector, where the base stood, when, a JPEG, and the caption that was said last (by a
detector, a captioner, or a person; see `caption_s`). ~/stored tells of an entry once it is on the disk: from then on
no crash loses it.

~/query finds entries by text (words of captions), by a picture (its vector), by place and by time, in any combination.
It is answered by another thread than the one that embeds, and by another process than the policy's.

Poses are in map. Odometry is in odom; where odom lies in map is told on `odom_in_map` (geometry_msgs/msg/PoseStamped,
kept for late readers), by whoever localises. Until it is, the two are the same.
"""

from __future__ import annotations

import array
import contextlib
import functools
import io
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from memory_bank.long_term import Entry, Hit, Place, Query, StoreError
from memory_bank.long_term import Pose as MapPose
from ros import interfaces, messages, qos
from ros.contract import IMAGE
from ros.diagnostics import ERROR, OK, WARN, Diagnostics
from ros.embedding import DIM, PictureEmbedding
from ros.frames import Frame, FrameSync
from ros.memory import Memory
from ros.messages import MessageError, Pose
from ros.running import declare, declared_contract, run

TYPES = interfaces.load()
MemoryEntry, QueryMemory = TYPES.msg.MemoryEntry, TYPES.srv.QueryMemory
ListMemory, MemoryFile = TYPES.srv.ListMemory, TYPES.srv.MemoryFile
_SHOWN_SIDE = 128
_LOW_PRIORITY = 10
"""Niceness of the embedding thread: the policy goes first."""


class MemoryNode(Node):
    """See the module.

    Raises:
        ConfigError: the contract is wrong.
        StoreError: another process holds the memory, or it is damaged.
    """

    def __init__(self) -> None:
        super().__init__("memory")
        self._robot = robot = declared_contract(self)
        say = functools.partial(declare, self)
        store = say("store", "", "the memory's folder; it is begun there if there is none")
        self._period_s = 1.0 / say("rate_hz", 2.0, "frames a second that are looked at", 0.01, 100.0)
        self._new_similarity = say("new_below", 0.95, "a frame less similar than this to the last stored is new", 0, 1)
        self._new_m = say("new_after_m", 0.5, "a frame so far from where the last was stored is new, metres", 0.0, 1e3)
        self._new_rad = say("new_after_rad", 0.5, "or so far turned from it, radians", 0.0, 6.3)
        self._shown = say("retrieved", 3, "entries that are retrieved and shown for each frame", 1, 20)
        self._past_s = say("past_s", 10.0, "only entries older than this are retrieved, seconds", 0.0, 1e6)
        self._caption_s = say("caption_s", 1.0, "a caption holds for frames so near to it in time, seconds", 0.0, 1e6)
        side = say("encoder_side", 128, "pixels that pictures are scaled to before they are embedded", 32, 512)
        if not store:
            raise ValueError("the parameter store must name the memory's folder")
        self._embed = PictureEmbedding(side)
        self._memory = Memory(Path(store), DIM)
        self._lock = threading.RLock()
        """Of the memory as a whole: clearing and loading exchange it."""
        self._odom_in_map = Pose(0.0, 0.0, 0.0)
        self._caption = (-math.inf, "")
        """When the last was said, seconds of ROS time, and what."""
        self._frames = FrameSync(False, 0.5 / robot.camera.rate_hz)
        self._frame: Frame | None = None
        self._wake = threading.Condition()
        self._ending = False
        self._problem = ""
        self._bad: dict[str, str] = {}
        self._last: tuple[np.ndarray, Pose] | None = None
        self._exchanges = 0
        """Times that the memory was cleared or loaded: a frame that was in hand then is not stored in the new one."""
        self._stored_here = 0
        self._diagnostics = Diagnostics(self, robot.robot)
        self._stored = self.create_publisher(MemoryEntry, "~/stored", 10)
        self._picture = self.create_publisher(Image, "~/retrieved", qos.LATCHED)
        self._markers = self.create_publisher(MarkerArray, "~/markers", qos.LATCHED)
        camera_type = Image if robot.camera.type == IMAGE else CompressedImage
        self._listen(camera_type, robot.camera.topic, "camera", self._color)
        self._listen(Odometry, robot.odometry.topic, "odometry", self._odometry)
        self.create_subscription(PoseStamped, "odom_in_map", self._localised, qos.LATCHED)
        self.create_subscription(String, "caption", self._captioned, 10)
        self.create_service(QueryMemory, "~/query", self._query)
        self.create_service(ListMemory, "~/list", self._list)
        self.create_service(MemoryFile, "~/save", functools.partial(self._file, lambda path: self._memory.save(path)))
        self.create_service(MemoryFile, "~/load", functools.partial(self._file, self._load))
        self.create_service(Trigger, "~/clear", self._clear)
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for line in self._memory.recovery:
            self.get_logger().warning(line)
        self._report()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(timeout=5.0)
        with self._lock:
            self._memory.close()

    # -- inputs --------------------------------------------------------------------------------------------------

    def _listen(self, kind: type, topic: str, name: str, use: Callable[[Any], None]) -> None:
        def received(message: Any) -> None:
            try:
                use(message)
                self._bad.pop(name, None)
            except MessageError as error:
                self._bad[name] = str(error)

        self.create_subscription(kind, topic, received, qos.SENSOR_READER)

    def _color(self, message: Any) -> None:
        stamp_ns = messages.nanoseconds(message.header.stamp)
        picture = messages.color_of(message, self._robot.camera, self._robot.frames.name("camera"))
        self._take(self._frames.color(stamp_ns, picture))

    def _odometry(self, message: Odometry) -> None:
        pose = messages.pose_of(message, self._robot)
        self._take(self._frames.pose(messages.nanoseconds(message.header.stamp), pose))

    def _take(self, frame: Frame | None) -> None:
        if frame is not None:
            with self._wake:
                self._frame = frame  # the newest counts: what came in between is not looked at
                self._wake.notify()

    def _localised(self, message: PoseStamped) -> None:
        try:
            self._odom_in_map = messages.goal_of(message, self._robot.frames.name("map"))
        except MessageError as error:
            self._bad["odom_in_map"] = str(error)

    def _captioned(self, message: String) -> None:
        self._caption = self.get_clock().now().nanoseconds / 1e9, message.data

    def _in_map(self, pose: Pose) -> Pose:
        x, y, yaw = self._odom_in_map
        cos, sin = math.cos(yaw), math.sin(yaw)
        return Pose(x + cos * pose.x_m - sin * pose.y_m, y + sin * pose.x_m + cos * pose.y_m, yaw + pose.yaw_rad)

    # -- looking, in a thread of its own -------------------------------------------------------------------------

    def _look(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        due = time.monotonic()
        while True:
            with self._wake:
                while not self._ending and self._frame is None:
                    self._wake.wait()
                wait_s = due - time.monotonic()
                if not self._ending and wait_s > 0:
                    self._wake.wait_for(lambda: self._ending, wait_s)
                if self._ending:
                    return
                frame, self._frame = self._frame, None
            due = max(due + self._period_s, time.monotonic())
            if frame is None:
                continue
            try:
                self._remember(frame)
                self._problem = ""
            except Exception as error:  # whatever it is: it must be seen, and the next frame may do
                self._problem = " ".join(str(error).split())

    def _remember(self, frame: Frame) -> None:
        exchanges = self._exchanges
        vector = self._embed(frame.color)
        pose = self._in_map(frame.pose)
        stamp_s = frame.stamp_ns / 1e9
        with self._lock:
            hits = self._memory.query(Query(vector=vector, time=(0.0, stamp_s - self._past_s), k=self._shown))
        self._show(frame, pose, hits)
        if not self._is_new(vector, pose):
            return
        said_at, caption = self._caption
        if abs(stamp_s - said_at) > self._caption_s:
            caption = ""
        entry = Entry(
            embedding=vector,
            t0=stamp_s,
            t1=stamp_s,
            caption=caption,
            pose=MapPose(pose.x_m, pose.y_m, 0.0, messages.wrapped(pose.yaw_rad)),
            provenance={"topic": self._robot.camera.topic, "stamp_ns": frame.stamp_ns},
        )
        with self._lock:
            if exchanges != self._exchanges:
                return
            stored = self._memory.add(entry, frame.color)
            self._stored_here += 1
        self._last = vector, pose
        self._stored.publish(self._described(stored, math.nan, False))

    def _is_new(self, vector: np.ndarray, pose: Pose) -> bool:
        if self._last is None:
            return True
        last, there = self._last
        moved_m = math.hypot(pose.x_m - there.x_m, pose.y_m - there.y_m)
        turned = abs(messages.wrapped(pose.yaw_rad - there.yaw_rad))
        return moved_m >= self._new_m or turned >= self._new_rad or float(vector @ last) < self._new_similarity

    def _show(self, frame: Frame, pose: Pose, hits: list[Hit]) -> None:
        """What was retrieved for this frame: the frame and the entries side by side, and where those were seen."""
        stamp, name = messages.stamp_of(frame.stamp_ns), self._robot.frames.name("map")
        shown = [messages.fit(frame.color, _SHOWN_SIDE, _SHOWN_SIDE)]
        shown += [self._thumbnail(hit.entry.id) for hit in hits]
        self._picture.publish(messages.image(np.concatenate(shown, axis=1), "rgb8", stamp, name))
        wipe = Marker(action=Marker.DELETEALL)
        wipe.header.stamp, wipe.header.frame_id = stamp, name
        markers = [wipe]
        for number, hit in enumerate(hits):
            place = hit.entry.pose
            if place is None:
                continue
            marker = Marker(ns="retrieved", id=number, type=Marker.ARROW, action=Marker.ADD)
            marker.header.stamp, marker.header.frame_id = stamp, name
            at = messages.pose_stamped(Pose(place.x_m, place.y_m, place.yaw_rad), stamp, name).pose
            marker.pose, marker.text = at, f"{hit.score:.2f} {hit.entry.caption}".strip()
            marker.scale.x, marker.scale.y, marker.scale.z = 0.5, 0.08, 0.08
            marker.color.r, marker.color.g, marker.color.a = 1.0 - max(0.0, hit.score), max(0.0, hit.score), 1.0
            markers.append(marker)
            line = Marker(ns="from_here", id=number, type=Marker.LINE_STRIP, action=Marker.ADD, color=marker.color)
            line.header, line.scale.x = marker.header, 0.02
            line.points = [Point(x=pose.x_m, y=pose.y_m), Point(x=place.x_m, y=place.y_m)]
            markers.append(line)
        self._markers.publish(MarkerArray(markers=markers))

    def _thumbnail(self, id: str) -> np.ndarray:
        from PIL import Image as pillow

        with contextlib.suppress(OSError):
            picture = np.array(pillow.open(io.BytesIO(self._memory.jpeg(id)), formats=["JPEG"]).convert("RGB"))
            return messages.fit(picture, _SHOWN_SIDE, _SHOWN_SIDE)
        return np.zeros((_SHOWN_SIDE, _SHOWN_SIDE, 3), np.uint8)

    # -- services ------------------------------------------------------------------------------------------------

    def _query(self, request: Any, response: Any) -> Any:
        began = time.perf_counter()
        try:
            query = self._understood(request)
            with self._lock:
                hits = self._memory.query(query)
                ranked = query.vector is not None or query.text
                response.entries = [
                    self._described(hit.entry, hit.score if ranked else math.nan, request.with_images) for hit in hits
                ]
            response.success, response.message = True, "; ".join(hit.reason for hit in hits[:1])
        except (ValueError, MessageError) as error:
            response.success, response.message = False, " ".join(str(error).split())
        response.duration_s = time.perf_counter() - began
        return response

    def _understood(self, request: Any) -> Query:
        """Raises StoreError or MessageError."""
        since, until = (messages.nanoseconds(stamp) / 1e9 for stamp in (request.since, request.until))
        place = request.place
        return Query(
            vector=self._embed(_picture_of(request.image)) if request.image.data else None,
            text=request.text,
            place=Place(place.x, place.y, place.z, request.radius_m) if request.near else None,
            time=(since, until or math.inf) if since or until else None,
            k=request.limit or 10,
        )

    def _list(self, request: Any, response: Any) -> Any:
        with self._lock:
            response.success, response.total = True, len(self._memory)
            page = self._memory.page(request.offset, request.limit or 100)
        response.entries = [self._described(entry, math.nan, False) for entry in page]
        return response

    def _file(self, do: Callable[[Path], int], request: Any, response: Any) -> Any:
        try:
            if not request.path:
                raise StoreError("give the path of a folder")
            with self._lock:
                response.entries = do(Path(request.path))
            response.success, response.message = True, f"{response.entries} entries"
        except (ValueError, OSError) as error:
            response.success, response.message = False, " ".join(str(error).split())
        self._report()
        return response

    def _clear(self, request: Any, response: Any) -> Any:
        try:
            with self._lock:
                forgotten = self._memory.clear()
                self._exchanged()
            response.success, response.message = True, f"{forgotten} entries forgotten"
        except (ValueError, OSError) as error:
            response.success, response.message = False, " ".join(str(error).split())
        self._report()
        return response

    def _load(self, path: Path) -> int:
        entries = self._memory.load(path)
        self._exchanged()
        return entries

    def _exchanged(self) -> None:
        """The memory is another one now, of which the frames seen so far know nothing; the lock is held."""
        self._exchanges += 1
        self._frame = self._last = None

    def _described(self, entry: Entry, score: float, with_image: bool) -> Any:
        stamp_ns = int(entry.provenance.get("stamp_ns", round(entry.t0 * 1e9)))
        described = MemoryEntry(id=entry.id, text=entry.caption, score=float(score))
        described.header.stamp = messages.stamp_of(stamp_ns)
        described.header.frame_id = self._robot.frames.name("map")
        if entry.pose is not None:
            pose = Pose(entry.pose.x_m, entry.pose.y_m, entry.pose.yaw_rad)
            described.pose = messages.pose_stamped(pose, described.header.stamp, "").pose
            described.pose.position.z = entry.pose.z_m
        if with_image:
            described.image.header, described.image.format = described.header, "jpeg"
            described.image.data = array.array("B", self._memory.jpeg(entry.id))
        return described

    # -- diagnostics ---------------------------------------------------------------------------------------------

    def _report(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # it is loading or saving
        try:
            count = len(self._memory)
        finally:
            self._lock.release()
        values = {"entries": count, "stored_since_start": self._stored_here, **self._bad}
        if self._problem:
            self._diagnostics.publish(ERROR, self._problem, values)
        elif self._bad:
            name, problem = next(iter(self._bad.items()))
            self._diagnostics.publish(WARN, f"bad {name}: {problem}", values)
        else:
            self._diagnostics.publish(OK, "remembering", values)


def _picture_of(message: Image) -> np.ndarray:
    """A picture to ask with: rgb8 or bgr8 of any size. Raises MessageError."""
    if message.encoding not in ("rgb8", "bgr8"):
        raise MessageError(f"the picture's encoding is '{message.encoding}': ask with rgb8 or bgr8")
    row = 3 * message.width
    if not message.width or not message.height or message.step < row:
        raise MessageError(f"the picture is {message.width}x{message.height} in rows of {message.step} bytes")
    if len(message.data) != message.step * message.height:
        raise MessageError(f"the picture holds {len(message.data)} bytes, {message.step * message.height} were due")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, :row]
    picture = rows.reshape(message.height, message.width, 3)
    return picture if message.encoding == "rgb8" else picture[..., ::-1]


def main() -> int:
    return run(MemoryNode)


if __name__ == "__main__":
    raise SystemExit(main())
