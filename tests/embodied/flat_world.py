"""A flat world of walls and coloured posts, as a vector environment: depth by casting rays, motion with collisions.

It stands in for nothing: it is a second, tiny world with the sensors' conventions written down independently of
    habitat-lab, so that
agents' geometry can be tested exactly and fast. Tests against the real simulator lie beside it.

Frame: metres, x to the right and y up the page, headings turn left from x.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

ROBOT = {
    "radius_m": 0.18,
    "height_m": 1.0,
    "cameras": {
        "depth": {
            "hfov_deg": 90.0,
            "position": [0.0, 0.88, 0.0],
            "orientation": [0.0, 0.0, 0.0],
            "width": 64,
            "height": 64,
            "min_m": 0.0,
            "max_m": 10.0,
            "normalized": True,
        }
    },
    "forward_step_m": 0.25,
    "turn_deg": 30.0,
    "velocity": {"linear_m_s": [0.0, 1.0], "angular_deg_s": [-90.0, 90.0], "time_step_s": 0.1},
    "success_distance_m": 0.2,
}


class FlatWorld:
    """n copies of one world.

    Args:
        plan: the floor plan, a line of characters a row of 0.5 m squares, north first: `#` wall, a digit a post of that
            category.
        starts: (x, y, heading) of each row.
        goal: (x, y) in m for PointNav, a category for ObjectNav.
        velocity: velocity control instead of discrete.
    """

    square_m = 0.5

    def __init__(self, plan: str, starts: list[tuple[float, float, float]], goal: Any, velocity: bool = False) -> None:
        lines = plan.strip("\n").split("\n")
        self.grid = np.array([list(line.ljust(max(map(len, lines)))) for line in lines])[::-1]
        self.num_envs = len(starts)
        self.starts = np.array(starts, dtype=float)
        self.poses = self.starts.copy()
        self.goal = goal
        self.velocity = velocity
        self.stopped = np.zeros(self.num_envs, bool)
        self.driven_m = np.zeros(self.num_envs)
        box = gym.spaces.Box
        names: dict[str, gym.Space[Any]] = {
            "depth": box(0, 1, (64, 64, 1), np.float32),
            "gps": box(-100, 100, (2,), np.float32),
            "compass": box(-4, 4, (1,), np.float32),
        }
        if isinstance(goal, int):
            names["objectgoal"] = box(0, 9, (1,), np.int64)
            names["detections"] = box(0, 10, (64, 64, 1), np.int32)
        else:
            names["pointgoal_with_gps_compass"] = box(-100, 100, (2,), np.float32)
        self.single_observation_space = gym.spaces.Dict(names)
        self.action_names = () if velocity else ("stop", "move_forward", "turn_left", "turn_right")
        self.single_action_space = box(-1, 1, (2,), np.float32) if velocity else gym.spaces.Discrete(4)

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        assert name == "robot"
        return ROBOT | {"velocity": ROBOT["velocity"] if self.velocity else None}, b""

    def blocked(self, x: float, y: float) -> bool:
        return self._square(x, y) != " "

    def _square(self, x: float, y: float) -> str:
        i, j = int(np.floor(y / self.square_m)), int(np.floor(x / self.square_m))
        inside = 0 <= i < self.grid.shape[0] and 0 <= j < self.grid.shape[1]
        return str(self.grid[i, j]) if inside else "#"

    def observe(self) -> dict[str, np.ndarray]:
        views = [self._view(pose) for pose in self.poses]
        start_heading = self.starts[:, 2]
        offset = self.poses[:, :2] - self.starts[:, :2]
        forward = offset[:, 0] * np.cos(start_heading) + offset[:, 1] * np.sin(start_heading)
        right = offset[:, 0] * np.sin(start_heading) - offset[:, 1] * np.cos(start_heading)
        turned = (self.poses[:, 2] - start_heading + np.pi) % (2 * np.pi) - np.pi
        observations = {
            "depth": np.stack([view[0] for view in views])[..., None].astype(np.float32),
            "gps": np.stack([forward, right], axis=1).astype(np.float32),
            "compass": turned[:, None].astype(np.float32),
        }
        if isinstance(self.goal, int):
            observations["objectgoal"] = np.full((self.num_envs, 1), self.goal, np.int64)
            observations["detections"] = np.stack([view[1] for view in views])[..., None].astype(np.int32)
        else:
            gap = np.array(self.goal) - self.poses[:, :2]
            bearing = np.arctan2(gap[:, 1], gap[:, 0]) - self.poses[:, 2]
            polar = np.stack([np.hypot(*gap.T), (bearing + np.pi) % (2 * np.pi) - np.pi], axis=1)
            observations["pointgoal_with_gps_compass"] = polar.astype(np.float32)
        return observations

    def _view(self, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depth in [0, 1] of 10 m along the optical axis, and the detector's picture; all is 2.4 m high."""
        tangent = (np.arange(64) + 0.5 - 32) / 32
        depth = np.full((64, 64), 10.0)
        named = np.zeros((64, 64), int)
        lift = 0.88
        with np.errstate(divide="ignore"):
            floor = np.where(tangent > 0, lift / tangent, np.inf)
            ceiling = np.where(tangent < 0, (2.4 - lift) / -tangent, np.inf)
        depth = np.minimum(np.minimum(floor, ceiling)[:, None], depth)
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        along = np.arange(0.02, 10.0, 0.02)[:, None]
        x, y = pose[0] + along * (cos + tangent * sin), pose[1] + along * (sin - tangent * cos)
        i, j = (
            np.clip(np.floor(v / self.square_m).astype(int), 0, n - 1)
            for v, n in zip((y, x), self.grid.shape, strict=True)
        )
        squares = self.grid[i, j]
        first = np.argmax(squares != " ", axis=0)
        for column, at in enumerate(first):
            if squares[at, column] != " ":
                behind = depth[:, column] > along[at]
                depth[behind, column] = along[at]
                named[behind, column] = int(squares[at, column]) + 1 if squares[at, column].isdigit() else 0
        return np.clip(depth, 0, 10) / 10, named

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        for row, action in enumerate(actions):
            if self.stopped[row]:
                continue
            if self.velocity:
                speed, rate = 0.5 * (float(action[0]) + 1.0), 90.0 * float(action[1])
                if abs(speed) < 0.025 and abs(rate) < 1.0:
                    self.stopped[row] = True
                    continue
                self._turn(row, rate * 0.1)
                self._drive(row, speed * 0.1)
            elif self.action_names[action] == "stop":
                self.stopped[row] = True
            elif self.action_names[action] == "move_forward":
                self._drive(row, 0.25)
            else:
                self._turn(row, 30.0 if self.action_names[action] == "turn_left" else -30.0)
        return self.observe()

    def _turn(self, row: int, degrees: float) -> None:
        self.poses[row, 2] += np.deg2rad(degrees)

    def _drive(self, row: int, length_m: float) -> None:
        """Moves as far as the robot's round body can go; along a wall it slides, as it does in habitat-sim."""
        around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for _ in range(10):
            x, y, heading = self.poses[row]
            dx, dy = 0.1 * length_m * np.cos(heading), 0.1 * length_m * np.sin(heading)
            for step in ((dx, dy), (dx, 0.0), (0.0, dy)):
                there = np.array([x + step[0], y + step[1]])
                if not any(self.blocked(there[0] + 0.18 * np.cos(a), there[1] + 0.18 * np.sin(a)) for a in around):
                    self.poses[row, :2] = there
                    self.driven_m[row] += float(np.hypot(*step))
                    break
