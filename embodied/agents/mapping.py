"""A metric map of a house, built from depth images and odometry.

Frame of the map: the episode's start. x points forward, y to the left (m), headings turn left (rad). The GPS sensor
    gives (forward,
right), the compass the heading, so a pose is (gps[0], -gps[1], compass[0]).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

#: Points up to this height are floor, rugs and sills, which a robot drives over (habitat-sim's navmesh climbs 0.2 m).
_CLIMBABLE_M = 0.2
_HIT, _MISS, _MAX_EVIDENCE = 2, 1, 6
_SURE = 1


@dataclass(frozen=True)
class DepthCamera:
    """A pinhole camera looking ahead. Angles in radians, lengths in metres."""

    width: int
    height: int
    hfov: float
    lift: float
    max_range: float
    offset: float = 0.0
    """How far in front of the robot's axis it sits."""
    pitch: float = 0.0
    """Positive looks up."""

    def rays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per pixel and metre of depth: metres (forward, left, up), each [height, width], in the robot's frame."""
        focal = 0.5 * self.width / np.tan(0.5 * self.hfov)
        right = (np.arange(self.width) + 0.5 - 0.5 * self.width) / focal
        down = (np.arange(self.height) + 0.5 - 0.5 * self.height) / focal
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        forward = np.broadcast_to((cos + down * sin)[:, None], (self.height, self.width))
        up = np.broadcast_to((sin - down * cos)[:, None], (self.height, self.width))
        return forward, np.broadcast_to(-right, (self.height, self.width)), up


@dataclass
class Sighting:
    """Where an object was seen: its cell, and the cell and range (m) of the closest look at it."""

    viewer: tuple[int, int]
    range_m: float


@dataclass
class OccupancyMap:
    """What one robot knows of one house, as square cells.

    A cell is an obstacle when points between the floor and the robot's height fell into it more often than rays went
    through; it is known once a ray passed or ended in it. `inspected` marks what was seen from near enough to tell
    small objects; `bumps` are places that looked free and were not.

    Args:
        camera: the depth camera.
        robot_height_m: what is higher does not stop it.
        cell_m: side of a cell.
        extent_m: side of the square map, centred on the start; what lies outside is not mapped.
        inspect_m: how near counts as inspected.
    """

    camera: DepthCamera
    robot_height_m: float = 1.0
    cell_m: float = 0.1
    extent_m: float = 50.0
    inspect_m: float = 3.0
    objects: dict[int, dict[tuple[int, int], Sighting]] = field(default_factory=dict)
    """Category id -> cell -> sighting, for all categories the detector ever named."""

    def __post_init__(self) -> None:
        side = round(self.extent_m / self.cell_m)
        self.shape = (side, side)
        self.evidence = np.zeros(self.shape, dtype=np.int8)
        self.known = np.zeros(self.shape, dtype=bool)
        self.inspected = np.zeros(self.shape, dtype=bool)
        self.bumps = np.zeros(self.shape, dtype=bool)
        self._rays = self.camera.rays()
        steps = np.arange(0.5 * self.cell_m, self.camera.max_range, 0.5 * self.cell_m)
        forward, left, _ = self._rays
        bearing = np.arctan2(left[0], forward[0])
        self._column_range = np.hypot(left[0], 1.0)
        self._samples = (
            np.cos(bearing)[:, None] * steps + self.camera.offset,
            np.sin(bearing)[:, None] * steps,
            np.broadcast_to(steps, (self.camera.width, steps.size)),
        )

    @property
    def obstacles(self) -> np.ndarray:
        """bool [cells, cells]: what stops the robot."""
        return (self.evidence >= _SURE) | self.bumps

    def cell_of(self, x: float, y: float) -> tuple[int, int]:
        """The cell of a point (m), cut to the map's border."""
        half = self.shape[0] // 2
        i, j = int(np.floor(x / self.cell_m)) + half, int(np.floor(y / self.cell_m)) + half
        return min(max(i, 0), self.shape[0] - 1), min(max(j, 0), self.shape[1] - 1)

    def centre_of(self, cells: np.ndarray) -> np.ndarray:
        """Centres (m, [n, 2]) of cells ([n, 2])."""
        return (np.asarray(cells, dtype=np.float64) + 0.5 - self.shape[0] // 2) * self.cell_m

    def update(self, pose: np.ndarray, depth_m: np.ndarray, categories: np.ndarray | None = None) -> None:
        """Adds one view.

        Args:
            pose: (x, y, heading) in m and rad.
            depth_m: [height, width], along the optical axis; zero or less where nothing was measured.
            categories: int [height, width], the detector's category id of each pixel; negative where it names nothing.
        """
        forward, left, up = self._rays
        seen = (depth_m > 0.02) & (depth_m < 0.999 * self.camera.max_range)
        ahead = forward * depth_m + self.camera.offset
        aside = left * depth_m
        height = up * depth_m + self.camera.lift
        i, j, inside = self._to_cells(pose, ahead, aside)
        seen &= inside

        blocks = seen & (height > _CLIMBABLE_M) & (height < self.robot_height_m)
        hit: np.ndarray = np.zeros(self.shape, dtype=bool)
        hit[i[blocks], j[blocks]] = True

        passed, near = self._rays_through(pose, depth_m, seen, blocks)
        floor = seen & (np.abs(height) <= _CLIMBABLE_M)
        passed[i[floor], j[floor]] = True
        close = floor & (np.hypot(ahead, aside) < self.inspect_m)
        near[i[close], j[close]] = True

        window = _bounds(hit | passed)
        if window is None:
            return
        evidence, hit, passed = self.evidence[window], hit[window], passed[window]
        change = _HIT * hit.astype(np.int8) - _MISS * (passed & ~hit).astype(np.int8)
        np.clip(evidence + change, 0, _MAX_EVIDENCE, out=evidence)
        self.known[window] |= passed | hit
        self.inspected[window] |= near[window] | (hit & (self._range_from(pose, window) < self.inspect_m))
        if categories is not None:
            self._remember(pose, categories, seen, i, j, np.hypot(ahead, aside))

    def stand(self, pose: np.ndarray, radius_m: float) -> None:
        """Marks the ground under a robot as free, whatever was thought to be there."""
        window = self._disc_window(pose[:2], radius_m)
        disc = self._range_from(pose, window) <= radius_m
        self.evidence[window][disc] = 0
        self.bumps[window][disc] = False
        self.known[window] |= disc
        self.inspected[window] |= disc

    def bump(self, pose: np.ndarray, reach_m: float) -> None:
        """Marks what stopped a robot that tried to drive ahead: a cell-wide bar `reach_m` in front of it."""
        x, y, heading = pose
        for aside in (-self.cell_m, 0.0, self.cell_m):
            self.bumps[
                self.cell_of(
                    x + reach_m * np.cos(heading) - aside * np.sin(heading),
                    y + reach_m * np.sin(heading) + aside * np.cos(heading),
                )
            ] = True

    def give_up_on(self, centre: np.ndarray, radius_m: float) -> None:
        """Counts cells around `centre` (m) as inspected although they could not be seen."""
        window = self._disc_window(centre, radius_m)
        self.inspected[window] |= self._range_from(centre, window) <= radius_m

    def forget_inspection(self, inspect_m: float) -> None:
        """Starts looking all over again, from nearer; obstacles and objects stay."""
        self.inspect_m = inspect_m
        self.inspected[:] = False

    # -- parts of update -----------------------------------------------------------------------------------------

    def _to_cells(
        self, pose: np.ndarray, ahead: np.ndarray, aside: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y, heading = (float(value) for value in pose)
        cos, sin = np.cos(heading), np.sin(heading)
        half = self.shape[0] // 2
        i = np.floor((x + cos * ahead - sin * aside) / self.cell_m).astype(np.int32) + half
        j = np.floor((y + sin * ahead + cos * aside) / self.cell_m).astype(np.int32) + half
        inside = (i >= 0) & (i < self.shape[0]) & (j >= 0) & (j < self.shape[1])
        return i, j, inside

    def _rays_through(
        self, pose: np.ndarray, depth_m: np.ndarray, seen: np.ndarray, blocks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cells that the image's columns look across before anything in them blocks, and the near ones among these."""
        far = np.where(seen, depth_m, 0.0).max(axis=0)
        nearest = np.where(blocks, depth_m, np.inf).min(axis=0)
        reach = np.minimum(nearest, far) * self._column_range - self.cell_m
        ahead, aside, steps = self._samples
        through = steps < reach[:, None]
        i, j, inside = self._to_cells(pose, ahead[through], aside[through])
        passed = np.zeros(self.shape, dtype=bool)
        passed[i[inside], j[inside]] = True
        near = np.zeros(self.shape, dtype=bool)
        close = inside & (steps[through] < self.inspect_m)
        near[i[close], j[close]] = True
        return passed, near

    def _remember(
        self,
        pose: np.ndarray,
        categories: np.ndarray,
        seen: np.ndarray,
        i: np.ndarray,
        j: np.ndarray,
        ranges: np.ndarray,
    ) -> None:
        named = seen & (categories >= 0)
        if not named.any():
            return
        viewer = self.cell_of(float(pose[0]), float(pose[1]))
        entries = np.stack([categories[named], i[named], j[named]], axis=1)
        distances = ranges[named]
        order = np.argsort(distances, kind="stable")
        unique, first = np.unique(entries[order], axis=0, return_index=True)
        for (category, row, column), at in zip(unique.tolist(), first.tolist(), strict=True):
            cells = self.objects.setdefault(category, {})
            range_m = float(distances[order[at]])
            known = cells.get((row, column))
            if known is None or range_m < known.range_m:
                cells[row, column] = Sighting(viewer, range_m)

    def _disc_window(self, centre: np.ndarray, radius_m: float) -> tuple[slice, slice]:
        low = self.cell_of(float(centre[0]) - radius_m, float(centre[1]) - radius_m)
        high = self.cell_of(float(centre[0]) + radius_m, float(centre[1]) + radius_m)
        return slice(low[0], high[0] + 1), slice(low[1], high[1] + 1)

    def _range_from(self, centre: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        """Metres from `centre` to the centres of a window's cells."""
        half = self.shape[0] // 2
        x = (np.arange(window[0].start, window[0].stop) + 0.5 - half) * self.cell_m - float(centre[0])
        y = (np.arange(window[1].start, window[1].stop) + 0.5 - half) * self.cell_m - float(centre[1])
        return np.hypot(x[:, None], y[None, :])


def clearance(obstacles: np.ndarray, cell_m: float) -> np.ndarray:
    """Metres from each cell's centre to the centre of the nearest obstacle cell (float32, same shape)."""
    distance = cv2.distanceTransform((~obstacles).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, dtype=np.float32) * cell_m


def _bounds(mask: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
