"""Where one room's floor is still free: keeps every door reachable while furniture is set down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sim.houses.plan import Rect

CELL_M = 0.05
#: The agent's radius (sim/tasks, 0.18 m), a cell of the navmesh's grid and a margin.
REACH_M = 0.27


class Floor:
    """A grid of the cells where the agent's centre may be.

    Args:
        inner: the room's floor (m).
        doors: the gaps in its walls, reaching into the room.
    """

    def __init__(self, inner: Rect, doors: Sequence[Rect]) -> None:
        self._inner = inner
        shape = (max(1, int(inner.depth / CELL_M)), max(1, int(inner.width / CELL_M)))
        self._free = np.zeros(shape, dtype=bool)
        self._fill(self._free, inner.grown(-REACH_M), True)
        self._doors = []
        for door in doors:
            along_x = door.width > door.depth
            lane = (
                Rect(door.x0 + REACH_M, door.z0, door.x1 - REACH_M, door.z1)
                if along_x
                else Rect(door.x0, door.z0 + REACH_M, door.x1, door.z1 - REACH_M)
            )
            self._fill(self._free, lane, True)
            self._doors.append(self._window(lane))

    def accepts(self, footprint: Rect, front: Rect | None = None) -> bool:
        """Whether with an obstacle on `footprint` one connected floor still reaches every door and touches `front`."""
        free = self._free.copy()
        self._fill(free, footprint.grown(REACH_M), False)
        labels, _ = ndimage.label(free)
        common: set[int] | None = None
        for rows, columns in self._doors:
            reached = set(np.unique(labels[rows, columns]).tolist()) - {0}
            common = reached if common is None else common & reached
        if not common:
            return False
        if front is None:
            return True
        rows, columns = self._window(front)
        return bool(common & set(np.unique(labels[rows, columns]).tolist()))

    def block(self, footprint: Rect) -> None:
        self._fill(self._free, footprint.grown(REACH_M), False)

    def reaches(self, zone: Rect) -> bool:
        """Whether the floor that reaches the doors touches `zone`."""
        return self.accepts(Rect(-1e3, -1e3, -1e3, -1e3), zone)

    def _window(self, rect: Rect) -> tuple[slice, slice]:
        depth, width = self._free.shape
        z0, z1 = ((v - self._inner.z0) / CELL_M for v in (rect.z0, rect.z1))
        x0, x1 = ((v - self._inner.x0) / CELL_M for v in (rect.x0, rect.x1))
        rows = slice(int(np.clip(np.floor(z0), 0, depth)), int(np.clip(np.ceil(z1), 0, depth)))
        return rows, slice(int(np.clip(np.floor(x0), 0, width)), int(np.clip(np.ceil(x1), 0, width)))

    def _fill(self, grid: np.ndarray, rect: Rect, value: bool) -> None:
        grid[self._window(rect)] = value
