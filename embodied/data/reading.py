"""Frames of one camera of one episode, decoded in order and each once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from embodied.data.errors import DataError

_SEEK_BEYOND = 32
"""Frames that are passed over by decoding them; further ahead, a seek is cheaper."""
_BACK = (0, 2, 16, 128, 1 << 30)
"""Frames before the wanted one to seek to, if less led beyond it: files seek by the order of decoding."""


def incomplete(path: Path) -> str | None:
    """What shows that a video file was cut short, None: nothing. Reads a few bytes, so that all files can be looked at.

    An MP4 file is a row of boxes, each of which begins with its size and its name (ISO 14496-12).
    """
    size, place = path.stat().st_size, 0
    names: list[bytes] = []
    with open(path, "rb") as file:
        while place < size:
            file.seek(place)
            header = file.read(16)
            length, name = int.from_bytes(header[:4]), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16])
            if not names and name != b"ftyp":
                return "it is no MP4 file"
            names.append(name)
            place = size if length == 0 else place + max(length, 8)  # 0: up to the end
    if place > size or b"moov" not in names:
        return f"it is cut short, at {size} bytes"
    return None


class Reader(Protocol):
    """`read` gives frames, uint8 [n, height, width, 3]; best in ascending order, from call to call too."""

    def read(self, indices: np.ndarray) -> np.ndarray: ...

    def close(self) -> None: ...


class VideoReader:
    """Decodes from where the last call stopped, so that a walk through the episode decodes each frame once.

    Random access, as LeRobot's loader has it, opens the file, seeks, and decodes from a key frame on for every frame.

    Args:
        path: the video file, which holds other episodes too.
        begin_s: where this one begins in it.
        fps, length: of the episode.
        size: (height, width).
        where: names the episode in messages.
    """

    def __init__(self, path: Path, begin_s: float, fps: float, length: int, size: tuple[int, int], where: str) -> None:
        import av

        self._av: Any = av
        self._path, self._begin_s, self._fps, self._length, self._size = path, begin_s, fps, length, size
        self._where = where
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next = 0

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `Reader`.

        Raises:
            DataError: the video is missing, damaged, or ends before one of the frames.
        """
        wanted, places = np.unique(indices, return_inverse=True)
        frames = np.empty((len(wanted), *self._size, 3), np.uint8)
        try:
            if self._container is None or not self._next <= wanted[0] <= self._next + _SEEK_BEYOND:
                self._seek(int(wanted[0]))
            found = 0
            while found < len(wanted):
                frame = next(self._frames, None)
                if frame is None:
                    raise self._broken(f"it ends before frame {wanted[found]} of {self._length}")
                index = self._index(frame)
                self._next = index + 1
                if index < wanted[found]:
                    continue
                if index > wanted[found]:
                    if self._seek_earlier():
                        continue
                    raise self._broken(f"it has no frame {wanted[found]} of {self._length}")
                self._back = _BACK[-1]
                pixels = frame.to_ndarray(format="rgb24")
                if pixels.shape != frames.shape[1:]:
                    raise self._broken(f"its frames are {pixels.shape[:2]}, and {self._size} by meta/info.json")
                frames[found] = pixels
                found += 1
        except (OSError, self._av.error.FFmpegError) as error:
            self.close()
            raise self._broken(str(error)) from error
        return frames[places]

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container, self._frames = None, iter(())

    def _seek_earlier(self) -> bool:
        """Whether the last seek led too far, and another one was made."""
        if self._back == _BACK[-1]:
            return False
        self._seek(self._sought, _BACK[_BACK.index(self._back) + 1])
        return True

    def _seek(self, index: int, back: int = 0) -> None:
        self._sought, self._back = index, back
        if self._container is None:
            self._container = self._av.open(str(self._path))
            if not self._container.streams.video:
                raise self._broken("it holds no video")
        stream = self._container.streams.video[0]
        self._time_base = Fraction(stream.time_base)
        seconds = max(self._begin_s + (index - back) / self._fps, 0.0)
        self._container.seek(round(seconds / self._time_base) - 1, backward=True, stream=stream)
        self._frames = (frame for frame in self._container.decode(stream) if frame.pts is not None)
        self._next = index

    def _index(self, frame: Any) -> int:
        place = (float(frame.pts * self._time_base) - self._begin_s) * self._fps
        if place > -0.5 and abs(place - round(place)) > 0.25:  # what lies before is another episode's
            raise self._broken(f"it has a frame at {place:.2f} of {self._fps:g} frames a second")
        return round(place)

    def _broken(self, why: str) -> DataError:
        self.close()
        return DataError(f"{self._where}: the video {self._path} cannot be used: {why}. {remedy(self._where)}")


class ImageReader:
    """Decodes images that lie in a Parquet file.

    Args:
        path: that file.
        key: the column.
        episode: of the rows.
        size: (height, width).
        where: names the episode in messages.
    """

    def __init__(self, path: Path, key: str, episode: int, size: tuple[int, int], where: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._size, self._where = path, size, where
        try:
            table = pq.read_table(path, columns=["frame_index", key], filters=[("episode_index", "=", episode)])
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{where}: {path} cannot be read: {_short(error)}. {remedy(where)}") from error
        self._images = table[key].to_pylist()

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `Reader`. Raises DataError: an image is missing or damaged."""
        from PIL import Image

        frames = np.empty((len(indices), *self._size, 3), np.uint8)
        for place, index in enumerate(indices):
            try:
                with Image.open(io.BytesIO(self._images[index]["bytes"])) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except (OSError, TypeError, IndexError) as error:
                raise DataError(
                    f"{self._where}: frame {index} in {self._path} is no image: {_short(error)}. {remedy(self._where)}"
                ) from error
            if pixels.shape != frames.shape[1:]:
                raise DataError(
                    f"{self._where}: frame {index} in {self._path} is {pixels.shape[:2]}, and {self._size} by "
                    f"meta/info.json. {remedy(self._where)}"
                )
            frames[place] = pixels
        return frames

    def close(self) -> None:
        self._images = []


def remedy(where: str, episodes: list[int] | None = None) -> str:
    """What to do about a broken episode, or several; `where` ends with its index."""
    skip = episodes or [int(where.rpartition(" ")[2])]
    named = skip if len(skip) <= 20 else f"[{skip[0]}, ..., {skip[-1]}]"
    return f"Fetch the file again, or leave out what is in it with skip={named}"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
