"""From percepts to structured memory: which things there are, where they are now, and what was done with them.

Entries are made by association alone: detections of one description near one place are one thing; what was in the
gripper between a pick and a place has moved. Two things that look alike and lie close together are confused.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from embodied.long_horizon.percepts import Past, Percept
from sim.houses.furnish import ON_TOP
from sim.long_horizon.history import Interaction
from sim.long_horizon.scene import MOVABLE, Thing
from sim.long_horizon.story import Story

_SAME_OBJECT_M, _SAME_FURNITURE_M = 0.45, 0.8
_REACH_M = 2.4
_LOOK_AHEAD = 5


@dataclass
class Sighting:
    """A thing in a frame: its share of the picture, metres to it, and how far off the heading it was (rad)."""

    frame: int
    share: float
    metres: float
    off_rad: float


@dataclass
class Track:
    """One thing as remembered: `thing` as last seen, `moved_at` the frame since which it is where it is."""

    id: int
    thing: Thing
    sightings: list[Sighting] = field(default_factory=list)
    moved_at: int = 0
    away: bool = False

    @property
    def look(self) -> tuple[str, str, str, str]:
        return _look(self.thing)

    def best_frame(self) -> int:
        """The frame since the last move that shows it best from nearby."""
        since = [s for s in self.sightings if s.frame >= self.moved_at] or self.sightings
        if not since:
            return self.moved_at
        if self.thing.category in MOVABLE:
            good = [s for s in since if s.metres <= 1.6 and s.off_rad <= math.radians(38)]
        else:
            reach_m = 0.8 + math.hypot(self.thing.dimensions[0], self.thing.dimensions[2]) / 2
            good = [s for s in since if s.metres <= reach_m and s.off_rad <= math.radians(60)]
        if good:
            return max(good, key=lambda s: s.share / max(s.metres, 0.5)).frame
        return min(since, key=lambda s: s.metres * (1.0 + s.off_rad)).frame


class Tracks:
    """Everything remembered of a past.

    Args:
        past: what was perceived.
    """

    def __init__(self, past: Past) -> None:
        self._past = past
        self.tracks: dict[int, Track] = {}
        self.interactions: list[Interaction] = []
        self.rooms: dict[int, str] = {}
        self.room_frames: dict[int, list[int]] = {}
        self._visits: list[tuple[float, int]] = []
        self._read()

    def story(self) -> Story:
        """What happened, in the form that questions ask about."""
        objects = {k: t.thing for k, t in self.tracks.items() if t.thing.category in MOVABLE}
        receptacles = {k: t.thing for k, t in self.tracks.items() if t.thing.category in ON_TOP}
        x, _, z, _ = self._past.percepts[-1].pose
        metres = {k: math.hypot(t.thing.position[0] - x, t.thing.position[2] - z) for k, t in self.tracks.items()}
        return Story(
            objects,
            receptacles,
            self.rooms,
            self.interactions,
            self._visits,
            self._past.days,
            metres,
            set(self.tracks),
        )

    def frame_of(self, key: int) -> int:
        """The frame to go back to for a thing or a room."""
        if key < 0:
            frames = self.room_frames[key]
            return max(_runs(frames), key=len)[len(max(_runs(frames), key=len)) // 2]
        return self.tracks[key].best_frame()

    def below(self, thing: Thing) -> int:
        """The receptacle that a thing is on; 0 if none is known."""
        base = thing.position[1] - thing.dimensions[1] / 2
        best, least = 0, math.inf
        for key, track in self.tracks.items():
            anchor = track.thing
            if anchor.category not in ON_TOP:
                continue
            gap_m = anchor.gap_m(thing.position[0], thing.position[2])
            bottom = anchor.position[1] - anchor.dimensions[1] / 2
            if gap_m < 0.25 and bottom - 0.1 < base < bottom + anchor.dimensions[1] + 0.2:
                cost = 4.0 * gap_m + 0.2 * math.hypot(anchor.dimensions[0], anchor.dimensions[2])
                best, least = (key, cost) if cost < least else (best, least)
        return best

    # -- reading --------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        percepts = self._past.percepts
        start, pending = 0, None
        for percept in percepts:  # furniture stands still: all of it is known before anything is said to lie on it
            for thing, share in percept.detections:
                if thing.category not in MOVABLE:
                    self._see(percept, thing, share)
            self._enter(percept)
        carried: Track | None = None
        for index, percept in enumerate(percepts):
            if percept.action == "pick":
                carried = self._picked(index)
                start = index
                pending = (self.below(carried.thing), self._room(percept)) if carried else None
            if percept.action == "place" and carried is not None and pending is not None:
                self._placed(index, carried)
                times = (percepts[start].clock_s, percept.clock_s)
                rooms = (pending[1], self._room(percept))
                place = (pending[0], self.below(carried.thing))
                self.interactions.append(Interaction(carried.id, *place, *rooms, *times, start, index))
                carried = None
            held = percept.held if carried is not None else None
            for thing, share in percept.detections:
                if thing.category in MOVABLE and thing is not held:
                    self._see(percept, thing, share)

    def _see(self, percept: Percept, thing: Thing, share: float) -> None:
        radius_m = _SAME_OBJECT_M if thing.category in MOVABLE else _SAME_FURNITURE_M
        track = self._near(thing, radius_m)
        if track is None:
            track = Track(len(self.tracks) + 1, thing)
            self.tracks[track.id] = track
            track.thing = dataclasses.replace(thing, id=track.id)
            track.moved_at = percept.frame
        x, _, z, yaw = percept.pose
        bearing = math.atan2(x - thing.position[0], z - thing.position[2])
        off = abs((bearing - yaw + math.pi) % (2 * math.pi) - math.pi)
        metres = math.hypot(x - thing.position[0], z - thing.position[2])
        track.sightings.append(Sighting(percept.frame, share, metres, off))

    def _near(self, thing: Thing, radius_m: float) -> Track | None:
        same = [t for t in self.tracks.values() if t.look == _look(thing) and not t.away]
        near = [(math.dist(t.thing.position, thing.position), t) for t in same]
        distance_m, track = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return track if distance_m < radius_m else None

    def _picked(self, index: int) -> Track | None:
        """Whose picture is in the gripper after a pick: the nearest of those that look so."""
        percepts = self._past.percepts
        held = None
        for percept in percepts[index : index + 2 * _LOOK_AHEAD]:
            held = percept.held
            if held is not None or percept.action == "place":
                break
        if held is None:
            return None
        x, _, z, _ = percepts[index].pose
        same = [t for t in self.tracks.values() if t.look == _look(held) and not t.away]
        near = [(math.hypot(t.thing.position[0] - x, t.thing.position[2] - z), t) for t in same]
        distance_m, track = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        if track is None or distance_m > _REACH_M:
            track = Track(len(self.tracks) + 1, dataclasses.replace(held, id=len(self.tracks) + 1))
            self.tracks[track.id] = track
        track.away = True
        return track

    def _placed(self, index: int, track: Track) -> None:
        """Where what was held is now: the first thing that looks so, within reach, and is no other known one."""
        percepts = self._past.percepts
        x, _, z, yaw = percepts[index].pose
        ahead = (x - math.sin(yaw), track.thing.position[1], z - math.cos(yaw))
        position = ahead
        for percept in percepts[index : index + _LOOK_AHEAD]:
            seen = [
                thing
                for thing, _ in percept.detections
                if _look(thing) == track.look
                and math.hypot(thing.position[0] - x, thing.position[2] - z) < _REACH_M
                and self._near(thing, 0.3) is None
            ]
            if seen:
                position = min(seen, key=lambda t: math.dist(t.position, ahead)).position
                break
        track.thing = dataclasses.replace(track.thing, position=position)
        track.moved_at, track.away = percepts[index].frame, False

    def _room(self, percept: Percept) -> int:
        return next((key for key, kind in self.rooms.items() if kind == percept.room), 0)

    def _enter(self, percept: Percept) -> None:
        if not percept.room:
            return
        key = self._room(percept)
        if not key:
            key = -len(self.rooms) - 1
            self.rooms[key] = percept.room
        self.room_frames.setdefault(key, []).append(percept.frame)
        last = self._visits[-1] if self._visits else None
        if last is None or last[1] != key or int(last[0] // 86_400) != int(percept.clock_s // 86_400):
            self._visits.append((percept.clock_s, key))


def _look(thing: Thing) -> tuple[str, str, str, str]:
    return thing.category, thing.colour, thing.material, thing.size


def _runs(frames: list[int]) -> list[list[int]]:
    """Frames one after another, as lists."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs
