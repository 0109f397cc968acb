"""The shortest-path oracle, as a sensor: the expert's label in imitation, the oracle agent's choice.

habitat-sim's own greedy follower simulates candidate actions through Python callbacks, some thirty calls a step, more
than rendering costs. This one asks the navmesh for the path (C++) and turns towards its next corner; only where the
step ahead would be blocked does it compare neighbouring headings.
"""

import math
from typing import Any, List, Optional

import habitat_sim
import numpy as np
from gym import spaces
from habitat.core.registry import registry
from habitat.core.simulator import Sensor, SensorTypes
from habitat.tasks.nav.object_nav_task import ObjectGoal

_RETARGET_STEPS = 8
"""Which of several goals is nearest is looked up again this often, since a learner leaves the path."""
_BLOCKED_SHARE = 0.5
"""A step that would move less than this share of its length is blocked."""


@registry.register_sensor
class OracleActionSensor(Sensor):
    """The action along the shortest path to the nearest goal; stop within `goal_radius` metres of it (by path).

    Discrete tasks: its index ([1] int64). Velocity tasks: [v, w] in [-1, 1] as habitat-lab's velocity action takes them
        ([2] float32).
    Where no goal can be reached it stops.
    """

    cls_uuid = "oracle_action"
    depends_on_goal = True

    def __init__(self, sim: Any, config: Any, task: Any, *args: Any, **kwargs: Any) -> None:
        self._sim = sim
        task_config = task._config
        self._velocity = next((a for a in task_config.actions.values() if "lin_vel_range" in a), None)
        self._names: List[str] = list(task_config.actions)
        self._goal_radius_m = float(config.goal_radius)
        self._step_m = float(sim.habitat_config.forward_step_size)
        self._turn_rad = math.radians(float(sim.habitat_config.turn_angle))
        self._goals: Any = None
        self._target: Optional[np.ndarray] = None
        self._age = 0
        super().__init__(config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def _get_sensor_type(self, *args: Any, **kwargs: Any) -> Any:
        return SensorTypes.TENSOR

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        if self._velocity is not None:
            return spaces.Box(-1.0, 1.0, shape=(2,), dtype=np.float32)
        return spaces.Box(0, len(self._names) - 1, shape=(1,), dtype=np.int64)

    def get_observation(self, *args: Any, episode: Any, **kwargs: Any) -> np.ndarray:
        node = self._sim.get_agent(0).scene_node
        position = np.array(node.translation, dtype=np.float32)
        yaw_rad = 2.0 * math.atan2(node.rotation.vector[1], node.rotation.scalar)
        self._aim(position, episode)
        path = habitat_sim.ShortestPath()
        path.requested_start, path.requested_end = position, self._target
        found = self._sim.pathfinder.find_path(path)
        arrived = not found or path.geodesic_distance < self._goal_radius_m
        error_rad = 0.0 if arrived else _bearing(position, path.points) - yaw_rad
        error_rad = (error_rad + math.pi) % (2.0 * math.pi) - math.pi
        if self._velocity is not None:
            return self._velocities(arrived, error_rad)
        wanted = "stop" if arrived else self._discrete(position, yaw_rad, error_rad)
        return np.array([self._names.index(wanted)], dtype=np.int64)

    def _aim(self, position: np.ndarray, episode: Any) -> None:
        """Chooses the goal position nearest by path."""
        self._age += 1
        if self._goals is episode.goals and self._age < _RETARGET_STEPS:
            return
        if self._goals is not episode.goals:
            self._goals = episode.goals
            self._ends = goal_positions(episode.goals)
        self._age = 0
        path = habitat_sim.MultiGoalShortestPath()
        path.requested_start, path.requested_ends = position, self._ends
        found = self._sim.pathfinder.find_path(path)
        self._target = np.asarray(path.points[-1], dtype=np.float32) if found else self._ends[0]

    def _discrete(self, position: np.ndarray, yaw_rad: float, error_rad: float) -> str:
        """Turns until the corner is within half a turn; a blocked heading yields to its neighbours."""
        towards = round(error_rad / self._turn_rad)
        side = 1 if error_rad > towards * self._turn_rad else -1
        for detour in (0, side, -side, 2 * side, -2 * side, 3 * side, -3 * side):
            turns = towards + detour
            if self._is_free(position, yaw_rad + turns * self._turn_rad):
                break
        else:
            turns = towards
        if turns == 0:
            return "move_forward"
        return "turn_left" if turns > 0 else "turn_right"

    def _is_free(self, position: np.ndarray, heading_rad: float) -> bool:
        ahead = np.array([-math.sin(heading_rad), 0.0, -math.cos(heading_rad)], dtype=np.float32) * self._step_m
        end = np.asarray(self._sim.pathfinder.try_step(position, position + ahead))
        return float(np.linalg.norm((end - position)[[0, 2]])) >= _BLOCKED_SHARE * self._step_m

    def _velocities(self, arrived: bool, error_rad: float) -> np.ndarray:
        """Turns on the spot while the corner is far to the side, else drives and steers at once."""
        turn_deg_s, speed_m_s = self._velocity.ang_vel_range, self._velocity.lin_vel_range
        rate = float(np.clip(math.degrees(error_rad) / self._velocity.time_step, turn_deg_s[0], turn_deg_s[1]))
        speed = speed_m_s[1] * math.cos(error_rad) if abs(error_rad) < math.pi / 4 else 0.0
        if arrived or (speed == 0.0 and abs(rate) < self._velocity.min_abs_ang_speed):
            speed = rate = 0.0
        return np.array([_to_unit(speed, speed_m_s), _to_unit(rate, turn_deg_s)], dtype=np.float32)


def goal_positions(goals: List[Any]) -> np.ndarray:
    """Where an agent may stand to have reached one of `goals`: their view points, else their positions ([n, 3] m)."""
    points = [
        view.agent_state.position for goal in goals if isinstance(goal, ObjectGoal) for view in goal.view_points or []
    ]
    return np.array(points or [goal.position for goal in goals], dtype=np.float32)


def _bearing(position: np.ndarray, points: List[Any]) -> float:
    """Yaw (rad about Y, 0 looks along -Z) towards the path's first corner that is not underfoot."""
    for point in points[1:]:
        ahead = np.asarray(point) - position
        if math.hypot(ahead[0], ahead[2]) > 0.05:
            break
    return math.atan2(-ahead[0], -ahead[2])


def _to_unit(value: float, limits: Any) -> float:
    return 2.0 * (value - limits[0]) / (limits[1] - limits[0]) - 1.0
