"""Segments made ahead, so that training does not wait for videos."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from embodied.data.segments import Segment
from embodied.data.stream import SegmentStream

_Made = tuple[Segment | None, dict[str, Any], BaseException | None]


class Prefetch:
    """The segments of a stream, of which a thread makes up to `depth` before they are asked for.

    `state_dict` is where the one who takes segments stands, not the thread: what was made ahead is made again after a
    resume. An error of the thread is raised where its segment would have come. Use it in a `with` block, or `close` it.

    Args:
        stream: nobody else may take segments from it.
        depth: segments in memory beyond the one in use.
    """

    def __init__(self, stream: SegmentStream, depth: int = 2) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self._stream, self._depth = stream, depth
        self._state = stream.state_dict()
        self._thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[Segment]:
        return self

    def __next__(self) -> Segment:
        if self._thread is None:
            self._start()
        segment, state, error = self._made.get()
        if segment is None:
            self.close()
            raise error or StopIteration
        self._state = state
        return segment

    def state_dict(self) -> dict[str, Any]:
        """See `SegmentStream.state_dict`."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `SegmentStream.load_state_dict`."""
        self.close()
        self._stream.load_state_dict(state)
        self._state = self._stream.state_dict()

    def close(self) -> None:
        """Stops the thread. The next segment starts it again, where the last one that was taken ended."""
        if self._thread is None:
            return
        self._stopped.set()
        while self._thread.is_alive():
            with self._made.mutex:
                self._made.queue.clear()
                self._made.not_full.notify_all()
            self._thread.join(0.01)
        self._thread = None
        self._stream.load_state_dict(self._state)

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._made: queue.Queue[_Made] = queue.Queue(self._depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make, name="segments", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            while not self._stopped.is_set():
                segment = next(self._stream)
                self._made.put((segment, self._stream.state_dict(), None))
            return
        except StopIteration:
            end: _Made = None, {}, None
        except BaseException as error:  # raised by __next__
            end = None, {}, error
        self._made.put(end)
