"""Frontier exploration on a metric map (Yamauchi, CIRA 1997), the classical memory baseline.

What happens in one step of one row::

    pose from gps + compass -> map.stand, map.bump (did the last step forward move?) -> map.update(depth, detections)
    -> goal known?  plan to it : plan to the frontier that is cheapest to reach -> follow the path (turn or drive)

PointNav: the goal is known; cells not seen yet count as free until seen otherwise. ObjectNav: the robot looks into
every corner from within `inspect_m`, until the detector sees the goal; then it goes there and stops. In ExtObjectNav
the map and all objects that the detector named in it are kept from goal to goal, so an object passed on the way to
another is found again at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from embodied.agents.base import (
    MOVE_FORWARD,
    OBJECT_GOAL,
    POINT_GOAL,
    TURN_LEFT,
    TURN_RIGHT,
    Actions,
    AgentEnv,
    AgentError,
    Baseline,
    describe_robot,
)
from embodied.agents.mapping import DepthCamera, OccupancyMap, clearance
from embodied.agents.planning import Plan, in_sight, plan_from
from sim.config import SimConfig

DETECTIONS = "detections"
_DETOUR_WEIGHT = 0.3
#: How near the robot wants to come to an object, and how far round it looks for a way.
_BESIDE_M, _AROUND_M = 1.0, 2.5
#: A command of (almost) no speed and no turn is habitat-lab's stop.
_MIN_SPEED_M_S = 0.05


@dataclass(frozen=True)
class FrontierConfig:
    """How the frontier agent maps and drives."""

    cell_m: float = field(default=0.1, metadata={"help": "side of a map cell"})
    extent_m: float = field(default=50.0, metadata={"help": "side of the map, centred on the start"})
    inspect_m: float = field(default=3.0, metadata={"help": "how near a place must be seen to count as searched"})
    replan_steps: int = field(
        default=8, metadata={"help": "steps after which a path is planned anew although it is free"}
    )
    lookahead_m: float = field(default=0.8, metadata={"help": "how far along the path the robot steers"})
    reach_m: float = field(default=0.35, metadata={"help": "how near its end a path counts as driven"})
    commit_m: float = field(
        default=2.0, metadata={"help": "how much nearer another frontier must be to leave the chosen one"}
    )
    min_frontier_cells: int = field(default=3, metadata={"help": "smaller frontiers are not worth the way"})
    min_inspect_m: float = field(default=0.8, metadata={"help": "no closer than this when the house is searched again"})


class FrontierAgent(Baseline):
    """Explores by frontiers, drives by its own map.

    Reads depth, gps and compass; in PointNav the goal's direction, in ObjectNav the goal's category and the
    `detections` sensor.

    Raises:
        AgentError: a sensor is missing, or the depth camera does not look ahead.
    """

    title: ClassVar[str] = "frontier"
    sensors: ClassVar[tuple[str, ...]] = ("depth", "gps", "compass")

    def __init__(self, env: AgentEnv, seed: int = 0, config: FrontierConfig | None = None) -> None:
        super().__init__(env, seed)
        self._config = config or FrontierConfig()
        if self.has(POINT_GOAL):
            self._goal_sensor = POINT_GOAL
        elif self.has(OBJECT_GOAL):
            self._goal_sensor = OBJECT_GOAL
            self.require(DETECTIONS)
        else:
            raise AgentError(
                f"the frontier agent knows no goal sensor in this task: it reads {POINT_GOAL} or {OBJECT_GOAL}"
            )
        self._robot = describe_robot(env)
        camera = self._robot["cameras"]["depth"]
        if abs(camera["orientation"][1]) > 0.01 or abs(camera["orientation"][2]) > 0.01:
            raise AgentError(
                f"the frontier agent needs a depth camera that looks ahead, not one turned by {camera['orientation']}"
            )
        self._camera = DepthCamera(
            width=camera["width"],
            height=camera["height"],
            hfov=np.deg2rad(camera["hfov_deg"]),
            lift=camera["position"][1],
            max_range=camera["max_m"],
            offset=-camera["position"][2],
            pitch=camera["orientation"][0],
        )
        self._depth_range_m = (camera["min_m"], camera["max_m"]) if camera["normalized"] else None
        self._explorers = [self._new_explorer() for _ in range(self.num_envs)]

    @classmethod
    def privileges(cls, config: SimConfig) -> str:
        return "uses a ground-truth detector" if cls.sim_overrides(config) else ""

    @classmethod
    def sim_overrides(cls, config: SimConfig) -> list[str]:
        """The detector's sensors, in ObjectNav tasks."""
        if config.task not in ("objectnav", "ext_objectnav"):
            return []
        semantic = "habitat.simulator.agents.main_agent.sim_sensors.semantic_sensor"
        lines = [
            f"+habitat/simulator/sim_sensors@{semantic}=semantic_sensor",
            f"+habitat/task/lab_sensors@habitat.task.lab_sensors.{DETECTIONS}={DETECTIONS}",
        ]
        # The same view as the depth camera's.
        depth = "${habitat.simulator.agents.main_agent.sim_sensors.depth_sensor."
        keys = ("width", "height", "hfov", "position", "orientation")
        return lines + [f"{semantic}.{key}={depth}{key}}}" for key in keys]

    def reset(self, rows: np.ndarray) -> None:
        for row in np.flatnonzero(rows):
            self._explorers[row] = self._new_explorer()

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        actions = []
        for row, explorer in enumerate(self._explorers):
            view = {name: observations[name][row] for name in (*self.sensors, self._goal_sensor)}
            if self._goal_sensor == OBJECT_GOAL:
                view[DETECTIONS] = observations[DETECTIONS][row]
            actions.append(explorer.act(view, self._depth_m(view["depth"])))
        return self.actions.stack(actions)

    def map_of(self, row: int) -> OccupancyMap:
        """The map of a row's house, as far as it is known."""
        return self._explorers[row].grid

    def _depth_m(self, depth: np.ndarray) -> np.ndarray:
        depth = depth[..., 0]
        if self._depth_range_m is None:
            return depth
        low, high = self._depth_range_m
        return low + depth * (high - low)

    def _new_explorer(self) -> _Explorer:
        grid = OccupancyMap(
            self._camera,
            robot_height_m=self._robot["height_m"],
            cell_m=self._config.cell_m,
            extent_m=self._config.extent_m,
            inspect_m=self._config.inspect_m,
        )
        return _Explorer(grid, self._robot, self.actions, self._config)


@dataclass
class _Target:
    """Where a path leads, and what to do there: stop, or look at `face` (m)."""

    cell: tuple[int, int]
    face: np.ndarray
    is_goal: bool


class _Explorer:
    """The frontier agent of one row."""

    def __init__(self, grid: OccupancyMap, robot: dict[str, Any], actions: Actions, config: FrontierConfig) -> None:
        self.grid = grid
        self._actions = actions
        self._config = config
        self._radius_m = float(robot["radius_m"])
        self._success_m = float(robot["success_distance_m"])
        self._step_m = (
            float(robot["forward_step_m"]) if actions.is_discrete else actions.max_speed_m_s * actions.time_step_s
        )
        self._turn = (
            np.deg2rad(robot["turn_deg"])
            if actions.is_discrete
            else np.deg2rad(actions.max_turn_rate_deg_s * actions.time_step_s)
        )
        self._last_pose: np.ndarray | None = None
        self._drove_m = 0.0
        self._path: np.ndarray = np.zeros((0, 2))
        self._target: _Target | None = None
        self._aim: np.ndarray | None = None
        self._goal = -1
        self._saw_goal = False
        self._path_age = 0
        self._bumps = 0

    def act(self, view: Mapping[str, np.ndarray], depth_m: np.ndarray) -> Any:
        pose = np.array([view["gps"][0], -view["gps"][1], view["compass"][0]], dtype=np.float64)
        self._learn_from_motion(pose)
        categories = view[DETECTIONS][..., 0] - 1 if DETECTIONS in view else None
        self.grid.update(pose, depth_m, categories)
        self._room_m = clearance(self.grid.obstacles, self.grid.cell_m)
        action = (
            self._towards_point(pose, view[POINT_GOAL])
            if POINT_GOAL in view
            else self._search(pose, int(view[OBJECT_GOAL][0]))
        )
        self._last_pose = pose
        return action

    # -- goals ---------------------------------------------------------------------------------------------------

    def _towards_point(self, pose: np.ndarray, polar: np.ndarray) -> Any:
        """PointNav: `polar` is (m, rad to the left)."""
        if polar[0] < 0.9 * self._success_m:
            return self._stop()
        direction = pose[2] + float(polar[1])
        goal = pose[:2] + float(polar[0]) * np.array([np.cos(direction), np.sin(direction)])
        near = polar[0] < 2.0 * self._step_m + self._success_m
        if near and in_sight(self.grid, self._room_m, pose[:2], goal, 0.5 * self.grid.cell_m):
            return self._steer(pose, goal)
        cell = self.grid.cell_of(*goal)
        if self._needs_plan(pose, None):
            plan = plan_from(
                self.grid, self.grid.cell_of(*pose[:2]), self._radius_m, through_unknown=True, include=cell
            )
            self._follow(plan, _Target(self._nearest_reached(plan, cell), goal, is_goal=True))
        return self._drive(pose)

    def _search(self, pose: np.ndarray, category: int) -> Any:
        """ObjectNav: go to the nearest object of the category that was ever seen, else to a frontier."""
        known = self.grid.objects.get(category)
        if category != self._goal or (known and not self._saw_goal):
            self._target = None
        self._goal, self._saw_goal = category, bool(known)
        if self._target is not None and self._arrived(pose):
            if self._target.is_goal:
                return self._stop()
            turn = self._turn_towards(pose, self._target.face)
            if turn is not None:
                return turn
            self.grid.give_up_on(self._target.face, 0.3)
            self._target = None
        if self._needs_plan(pose, category):
            start = self.grid.cell_of(*pose[:2])
            plan = plan_from(self.grid, start, self._radius_m, through_unknown=False)
            target = self._object_target(plan, known) if known else None
            if target is None:
                target = self._frontier_target(plan)
            elif self._gap_m(target) > _BESIDE_M:  # perhaps a way nearer to it has not been seen yet
                target = self._frontier_target(plan, towards=target.face) or target
            if target is None:
                return self._search_again()
            self._follow(plan, target)
        return self._drive(pose)

    def _object_target(self, plan: Plan, known: dict[tuple[int, int], Any]) -> _Target | None:
        """The free cell nearest to the object that is nearest by path, on the side from which it was seen."""

        def cost(item: tuple[tuple[int, int], Any]) -> float:
            cell, sighting = item
            return plan.at(sighting.viewer) + self.grid.cell_m * float(
                np.hypot(cell[0] - sighting.viewer[0], cell[1] - sighting.viewer[1])
            )

        (cell, sighting) = min(known.items(), key=cost)
        if not np.isfinite(plan.at(sighting.viewer)):
            return None
        around = plan_from(self.grid, sighting.viewer, self._radius_m, through_unknown=False)
        cells = around.reachable()
        lengths = around.lengths(cells)
        gaps = self.grid.cell_m * np.hypot(*(cells - np.array(cell)).T)
        usable = np.isfinite(lengths) & np.isfinite(plan.lengths(cells))
        if not usable.any():
            return None
        # What was in plain view is no long way off: a cell that is nearer but far round is behind a wall.
        detours = np.where(usable, np.maximum(0.0, lengths - sighting.range_m), 0.0)
        score = np.where(usable, gaps + _DETOUR_WEIGHT * detours, np.inf)
        best = cells[np.argmin(np.where(score <= score.min() + 0.15, lengths, np.inf))]
        return _Target((int(best[0]), int(best[1])), self.grid.centre_of(np.array(cell)), is_goal=True)

    def _gap_m(self, target: _Target) -> float:
        return float(np.hypot(*(self.grid.centre_of(np.array(target.cell)) - target.face)))

    def _frontier_target(self, plan: Plan, towards: np.ndarray | None = None) -> _Target | None:
        """The frontier that is cheapest to reach: its nearest cell, facing what is unknown there.

        With `towards` (m) only frontiers around that place count, the nearer to it the better.
        """
        rows, columns = plan.metres.shape
        window = (slice(plan.corner[0], plan.corner[0] + rows), slice(plan.corner[1], plan.corner[1] + columns))
        unknown = ~self.grid.inspected[window] & ~self.grid.obstacles[window]
        frontier = np.isfinite(plan.metres) & ndimage.binary_dilation(unknown, np.ones((3, 3), bool))
        labels, count = ndimage.label(frontier, np.ones((3, 3), int))
        if not count:
            return None
        sizes = ndimage.sum_labels(frontier, labels, np.arange(1, count + 1))
        nearest = ndimage.minimum(plan.metres, labels, np.arange(1, count + 1))
        cost_m = np.where(sizes >= self._config.min_frontier_cells, nearest, np.inf)
        if towards is not None:
            centres = np.array(ndimage.center_of_mass(frontier, labels, np.arange(1, count + 1))) + np.array(
                plan.corner
            )
            gaps = np.hypot(*(self.grid.centre_of(centres) - towards).T)
            cost_m = np.where(gaps < _AROUND_M, cost_m + 2.0 * gaps, np.inf)
        if self._target is not None:  # another one must be worth turning round for
            i, j = np.array(self._target.cell) - plan.corner
            kept = np.unique(labels[max(0, i - 2) : i + 3, max(0, j - 2) : j + 3])
            cost_m[kept[kept > 0] - 1] -= self._config.commit_m
        if not np.isfinite(cost_m).any():
            return None
        chosen = labels == 1 + int(np.argmin(cost_m))
        i, j = np.unravel_index(int(np.argmin(np.where(chosen, plan.metres, np.inf))), plan.metres.shape)
        top, left = max(0, int(i) - 1), max(0, int(j) - 1)
        beyond = np.argwhere(unknown[top : i + 2, left : j + 2]) + np.array([top, left])
        face = self.grid.centre_of(beyond.mean(axis=0) + np.array(plan.corner))
        return _Target((int(i) + plan.corner[0], int(j) + plan.corner[1]), face, is_goal=False)

    def _search_again(self) -> Any:
        """Nothing is left to look at: forget what bumps taught, then search the house again from nearer."""
        if self.grid.bumps.any():
            self.grid.bumps[:] = False
        else:
            self.grid.forget_inspection(max(0.6 * self.grid.inspect_m, self._config.min_inspect_m))
        self._target = None
        return self._turn_by(self._turn)

    # -- driving -------------------------------------------------------------------------------------------------

    def _learn_from_motion(self, pose: np.ndarray) -> None:
        """The ground under the robot is free; what it failed to drive to is not."""
        self.grid.stand(pose, self._radius_m + self.grid.cell_m)
        if self._last_pose is None or self._drove_m == 0.0:
            return
        moved_m = float(np.hypot(*(pose[:2] - self._last_pose[:2])))
        if moved_m < 0.3 * self._drove_m:
            self._bumps += 1
            self.grid.bump(self._last_pose, self._radius_m + 1.5 * self.grid.cell_m)
            self._path, self._aim = self._path[:0], None
        self._drove_m = 0.0

    def _needs_plan(self, pose: np.ndarray, category: int | None) -> bool:
        self._path_age += 1
        if self._target is None or len(self._path) == 0 or self._path_age >= self._config.replan_steps:
            return self._aim is None or self._target is None
        ahead = self._path[: max(1, int(2.0 / self.grid.cell_m))]
        return any(self._room_m[self.grid.cell_of(*point)] < 0.5 * self._radius_m for point in ahead[3:])

    def _follow(self, plan: Plan, target: _Target) -> None:
        self._target = target
        self._path = self.grid.centre_of(plan.path_to(target.cell))
        self._path_age = 0
        self._aim = None

    def _nearest_reached(self, plan: Plan, goal: tuple[int, int]) -> tuple[int, int]:
        """The goal's cell, else the reachable cell that lies nearest to it."""
        if np.isfinite(plan.at(goal)):
            return goal
        cells = plan.reachable()
        best = cells[np.argmin(np.hypot(*(cells - np.array(goal)).T))]
        return int(best[0]), int(best[1])

    def _arrived(self, pose: np.ndarray) -> bool:
        assert self._target is not None
        gap_m = float(np.hypot(*(self.grid.centre_of(np.array(self._target.cell)) - pose[:2])))
        return gap_m < self._config.reach_m

    def _drive(self, pose: np.ndarray) -> Any:
        """Steers to the farthest point of the path that lies straight ahead and free.

        A point that was chosen is kept until the robot faces it and has driven: a choice made anew while turning could
            turn it back.
        """
        if len(self._path) == 0:
            return self._turn_by(self._turn)
        if self._aim is None:
            distances = np.hypot(*(self._path - pose[:2]).T)
            self._path = self._path[int(np.argmin(distances)) :]
            self._aim = self._path[-1]
            for point in self._path:
                distance = np.hypot(*(point - pose[:2]))
                seen = in_sight(self.grid, self._room_m, pose[:2], point, self._radius_m)
                if distance > (self._config.lookahead_m if seen else self._step_m):
                    break
                self._aim = point
        return self._steer(pose, self._aim)

    def _steer(self, pose: np.ndarray, aim: np.ndarray) -> Any:
        turn = self._turn_towards(pose, aim)
        if turn is not None:
            return turn
        self._aim = None
        return self._forward(pose, aim)

    def _turn_towards(self, pose: np.ndarray, aim: np.ndarray) -> Any:
        """A turn, or None where the robot faces `aim` as well as turning can make it."""
        error = self._bearing(pose, aim)
        tolerance = 0.5 * self._turn + 1e-3 if self._actions.is_discrete else np.deg2rad(40.0)
        return self._turn_by(error) if abs(error) > tolerance else None

    def _turn_by(self, angle: float) -> Any:
        if self._actions.is_discrete:
            return self._actions.index(TURN_LEFT if angle > 0 else TURN_RIGHT)
        return self._actions.velocity(0.0, float(np.rad2deg(angle)) / self._actions.time_step_s)

    def _forward(self, pose: np.ndarray, aim: np.ndarray) -> Any:
        if self._actions.is_discrete:
            self._drove_m = self._step_m
            return self._actions.index(MOVE_FORWARD)
        error = self._bearing(pose, aim)
        gap_m = float(np.hypot(*(aim - pose[:2])))
        speed = min(self._actions.max_speed_m_s * max(0.2, np.cos(error) ** 2), gap_m / self._actions.time_step_s)
        speed = max(speed, _MIN_SPEED_M_S)
        self._drove_m = speed * self._actions.time_step_s
        return self._actions.velocity(speed, float(np.rad2deg(error)) / self._actions.time_step_s * 0.5)

    def _stop(self) -> Any:
        self._target = None
        return self._actions.stop()

    @staticmethod
    def _bearing(pose: np.ndarray, aim: np.ndarray) -> float:
        """Radians to the left from the robot's heading to a point (m)."""
        offset = aim - pose[:2]
        return float((np.arctan2(offset[1], offset[0]) - pose[2] + np.pi) % (2.0 * np.pi) - np.pi)
