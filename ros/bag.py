"""MCAP bags of a run: messages as they came, with their definitions inside, so that any MCAP reader opens them.

A bag that a crash cut off lacks its index; what was flushed before can still be read, here too.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.well_known import SchemaEncoding
from mcap.writer import Writer

from ros.interfaces import PACKAGE, SOURCES

_CHUNK_BYTES = 256 * 1024
"""What a crash loses at most, beside what the system has not written yet."""
_BUILT_IN = re.compile(r"(bool|byte|char|float32|float64|u?int(8|16|32|64)|w?string(<=\d+)?)(\[.*\])?$")


class BagError(ValueError):
    """A bag cannot be read; the message is one line that names the file and the cause."""


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag."""

    topic: str
    type: str
    received_ns: int
    data: bytes
    """CDR."""

    def decoded(self) -> Any:
        """As the ROS message. Raises BagError."""
        from rclpy.serialization import deserialize_message

        try:
            return deserialize_message(self.data, message_class(self.type))
        except Exception as error:
            raise BagError(f"a message of {self.topic} ({self.type}) cannot be read: {error}") from error


class BagWriter:
    """Writes one bag.

    Args:
        path: the file, which must not exist.

    Raises:
        BagError: it exists.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise BagError(f"{path} exists: record to a new file")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.messages = path, 0
        self._file = open(path, "wb")  # noqa: SIM115  (closed in close)
        self._writer = Writer(self._file, chunk_size=_CHUNK_BYTES)
        self._writer.start(profile="ros2", library="engram")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def write(self, topic: str, type: str, data: bytes, received_ns: int) -> None:
        """Adds a message as it came (CDR). Raises BagError if its type is not installed here."""
        if topic not in self._channels:
            if type not in self._schemas:
                text = definition(type).encode()
                self._schemas[type] = self._writer.register_schema(type, SchemaEncoding.ROS2, text)
            self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[type])
        self._writer.add_message(self._channels[topic], received_ns, data, received_ns)
        self.messages += 1

    def flush(self) -> None:
        """Hands what is complete to the system."""
        self._file.flush()

    def close(self) -> None:
        self._writer.finish()
        self._file.close()


def read(path: Path, topics: Collection[str] = ()) -> Iterator[BagMessage]:
    """The messages of a bag, in the order of their recording; of `topics` alone if any are named.

    Args:
        path: the file, or a rosbag2 folder with one MCAP file.

    Raises:
        BagError: there is no such file, or it is no ROS 2 bag.
    """
    if path.is_dir():
        files = sorted(path.glob("*.mcap"))
        if not files:
            raise BagError(f"no .mcap file in {path}")
        for each in files:
            yield from read(each, topics)
        return
    try:
        with open(path, "rb") as file:
            schemas: dict[int, str] = {}
            channels: dict[int, tuple[str, str]] = {}
            try:
                for record in StreamReader(file).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record.name
                    elif isinstance(record, Channel):
                        if record.message_encoding != "cdr":
                            raise BagError(f"{path}: {record.topic} is in {record.message_encoding}, not in cdr")
                        channels[record.id] = record.topic, schemas.get(record.schema_id, "")
                    elif isinstance(record, Message):
                        topic, name = channels[record.channel_id]
                        if not topics or topic in topics:
                            yield BagMessage(topic, name, record.log_time, record.data)
            except (McapError, EOFError, KeyError) as error:
                if not channels:
                    raise BagError(f"{path} is no MCAP file ({type(error).__name__}: {error})") from error
                print(f"warning: {path} ends early, as after a crash; what is whole is read", file=sys.stderr)
    except OSError as error:
        raise BagError(f"cannot read the bag {path}: {error.strerror}") from error


@functools.cache
def message_class(type: str) -> Any:
    """The class of a message type, like sensor_msgs/msg/Image. Raises BagError if it is not installed."""
    package, _, name = type.partition("/")[0], *type.rpartition("/")[1:]
    try:
        if package == PACKAGE:
            from ros import interfaces

            return getattr(interfaces.load().msg, name)
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise BagError(f"the message type {type} is not installed here") from error


@functools.cache
def definition(type: str) -> str:
    """A message's definition with those of all types that it holds, as MCAP's `ros2msg` encoding has it.

    Raises:
        BagError: a type is not installed here.
    """
    texts: dict[str, str] = {}
    todo = [_short(type)]
    while todo:
        name = todo.pop(0)
        if name in texts:
            continue
        texts[name] = _text_of(name)
        for line in texts[name].splitlines():
            field = line.partition("#")[0].split()
            if len(field) >= 2 and not _BUILT_IN.match(field[0]):
                inner = field[0].partition("[")[0]
                todo.append(inner if "/" in inner else f"{name.partition('/')[0]}/{inner}")
    first, *others = texts
    separator = "\n" + "=" * 80 + "\n"
    return separator.join([texts[first], *(f"MSG: {name}\n{texts[name]}" for name in others)])


def _short(type: str) -> str:
    package, *_, name = type.split("/")
    return f"{package}/{name}"


def _text_of(short: str) -> str:
    package, _, name = short.partition("/")
    if package == PACKAGE:
        path = SOURCES / "msg" / f"{name}.msg"
    else:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

        try:
            path = Path(get_package_share_directory(package)) / "msg" / f"{name}.msg"
        except (PackageNotFoundError, LookupError, OSError):
            path = Path(sys.prefix) / "share" / package / "msg" / f"{name}.msg"
    try:
        return path.read_text(encoding="utf-8").strip() + "\n"
    except OSError as error:
        raise BagError(f"the definition of {short} is not installed here ({path} is missing)") from error
