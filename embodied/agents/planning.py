"""Shortest paths on a metric map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from embodied.agents.mapping import OccupancyMap, clearance

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_COMFORT_M = 0.4
_COMFORT_WEIGHT = 3.0
_UNKNOWN_WEIGHT = 1.5
_SQUEEZE_WEIGHT = 8.0
_MARGIN_CELLS = 20


@dataclass
class Plan:
    """Path lengths from one cell to all others of a window of the map.

    `metres` ([rows, columns], infinite where no path leads) is the length with detours round obstacles weighed in.
    """

    corner: tuple[int, int]
    metres: np.ndarray
    _predecessors: np.ndarray
    _start: int

    def at(self, cell: tuple[int, int]) -> float:
        """Metres to a cell of the map."""
        i, j = cell[0] - self.corner[0], cell[1] - self.corner[1]
        inside = 0 <= i < self.metres.shape[0] and 0 <= j < self.metres.shape[1]
        return float(self.metres[i, j]) if inside else float("inf")

    def lengths(self, cells: np.ndarray) -> np.ndarray:
        """Metres to each of `cells` ([n, 2]); infinite outside the window."""
        inside = cells - np.array(self.corner)
        valid = ((inside >= 0) & (inside < self.metres.shape)).all(axis=1)
        lengths = np.full(len(cells), np.inf)
        lengths[valid] = self.metres[inside[valid, 0], inside[valid, 1]]
        return lengths

    def path_to(self, cell: tuple[int, int]) -> np.ndarray:
        """Cells ([n, 2]) from the start to `cell`, both included; empty where no path leads."""
        if not np.isfinite(self.at(cell)):
            return np.zeros((0, 2), dtype=np.int64)
        columns = self.metres.shape[1]
        node = (cell[0] - self.corner[0]) * columns + cell[1] - self.corner[1]
        nodes = [node]
        while node != self._start:
            node = int(self._predecessors[node])
            nodes.append(node)
        cells = np.stack(np.divmod(np.array(nodes[::-1], dtype=np.int64), columns), axis=1)
        return cells + np.array(self.corner)

    def reachable(self) -> np.ndarray:
        """Cells ([n, 2], map coordinates) that a path leads to."""
        return np.argwhere(np.isfinite(self.metres)) + np.array(self.corner)


def plan_from(
    grid: OccupancyMap,
    start: tuple[int, int],
    radius_m: float,
    through_unknown: bool,
    include: tuple[int, int] | None = None,
) -> Plan:
    """Dijkstra over the map's free cells.

    Args:
        grid: the map.
        start: the cell to plan from.
        radius_m: the robot's. Gaps narrower than it is wide are taken only where no other way leads: cells are coarse,
            and a real gap may be wider than the map has it.
        through_unknown: whether unseen cells count as free, at a higher price (to reach a goal that is known), or as
            walls.
        include: a cell the window must hold.
    """
    window = _window(grid, start, include)
    corner = (window[0].start, window[1].start)
    free, blocked = grid.known[window], grid.obstacles[window]
    room_m = clearance(blocked, grid.cell_m)
    price = 1.0 + _COMFORT_WEIGHT * np.clip(1.0 - room_m / _COMFORT_M, 0.0, 1.0) ** 2
    price = np.where(room_m < radius_m, price * _SQUEEZE_WEIGHT, price)
    if through_unknown:
        price = np.where(free, price, price * _UNKNOWN_WEIGHT)
    open_cells = ~blocked & (free | through_unknown)
    i, j = start[0] - corner[0], start[1] - corner[1]
    open_cells[i, j] = True
    start_node = i * open_cells.shape[1] + j
    metres, predecessors = dijkstra(
        _graph(open_cells, price, grid.cell_m), directed=False, indices=start_node, return_predecessors=True
    )
    return Plan(corner, metres.reshape(open_cells.shape), predecessors, start_node)


def in_sight(grid: OccupancyMap, room_m: np.ndarray, start: np.ndarray, end: np.ndarray, radius_m: float) -> bool:
    """Whether the straight line between two points (m) keeps `radius_m` from obstacles; `room_m` is the map's
    clearance.
    """
    count = max(2, int(np.ceil(float(np.linalg.norm(end - start)) / (0.5 * grid.cell_m))))
    for share in np.linspace(0.0, 1.0, count)[1:]:
        x, y = start + share * (end - start)
        if room_m[grid.cell_of(float(x), float(y))] < radius_m:
            return False
    return True


def _window(grid: OccupancyMap, start: tuple[int, int], include: tuple[int, int] | None) -> tuple[slice, slice]:
    cells = grid.known
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    points = [start] + ([include] if include is not None else [])
    if rows.size:
        points += [(int(rows[0]), int(columns[0])), (int(rows[-1]), int(columns[-1]))]
    low, high = np.min(points, axis=0) - _MARGIN_CELLS, np.max(points, axis=0) + _MARGIN_CELLS + 1
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _graph(open_cells: np.ndarray, price: np.ndarray, cell_m: float) -> csr_matrix:
    """The eight-connected grid graph; a diagonal needs both cells beside it open."""
    rows, columns = open_cells.shape
    nodes = np.arange(rows * columns).reshape(rows, columns)
    starts, ends, weights = [], [], []
    for di, dj in _NEIGHBOURS:
        a = (slice(0, rows - di), slice(max(0, -dj), columns - max(0, dj)))
        b = (slice(di, rows), slice(max(0, dj), columns - max(0, -dj)))
        linked = open_cells[a] & open_cells[b]
        if di and dj:
            linked = linked & open_cells[a[0], b[1]] & open_cells[b[0], a[1]]
        starts.append(nodes[a][linked])
        ends.append(nodes[b][linked])
        weights.append(0.5 * (price[a] + price[b])[linked] * (cell_m * np.hypot(di, dj)))
    return csr_matrix(
        (np.concatenate(weights), (np.concatenate(starts), np.concatenate(ends))), shape=(nodes.size, nodes.size)
    )
