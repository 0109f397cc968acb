"""What Engram adds to habitat-lab's registry: the ExtObjectNav task with its measures, and a detector.

Everything else (PointNav, ObjectNav, their sensors and measures) is habitat-lab's own. The task definitions are the
YAML files in `sim/tasks/`, in habitat-lab's format.
"""

import math
import os
from typing import Any, Dict, List, Optional

import numpy as np
import quaternion  # noqa: F401  (numpy-quaternion: gives NumPy its quaternion type)
from gym import spaces
from habitat.core.embodied_task import Measure
from habitat.core.registry import registry
from habitat.core.simulator import Sensor, SensorTypes
from habitat.tasks.nav import nav


@registry.register_task(name="ExtObjectNav-v1")
class ExtObjectNavTask(nav.NavigationTask):
    """Extended ObjectNav (Memo, arXiv 2510.19732, section 4): a stream of object goals in one house.

    One habitat-lab episode is a trial: the agent is placed once and gets the goals of `episode.info["goal_sequence"]`
    one after the other. A goal ends when the agent stops, or after `max_goal_steps`; the next begins where the agent
    stands. The trial ends with its last goal. So memory carried through the episode is memory carried across goals.

    The episode file is a standard ObjectNav file; `object_category` is the first goal. Run as plain ObjectNav it is the
    first goal alone.
    """

    def reset(self, episode: Any) -> Any:
        self.goal_sequence: List[str] = _goal_sequence(episode)
        self.goal_index = 0
        self.goal_steps = 0
        self.max_goal_steps = int(self._config.measurements.goal_sequence.max_goal_steps)
        self._point_at(episode, 0)
        return super().reset(episode)

    @property
    def goal_ends(self) -> bool:
        """Whether the step just taken ends the current goal."""
        return bool(getattr(self, "is_stop_called", False)) or self.goal_steps >= self.max_goal_steps

    def next_goal(self, episode: Any, observations: Dict[str, Any]) -> None:
        """Moves on to the next goal and shows it in `observations`, which the agent is about to get."""
        self.goal_index += 1
        self.goal_steps = 0
        self.is_stop_called = False
        self._point_at(episode, self.goal_index)
        for name, sensor in self.sensor_suite.sensors.items():
            if getattr(sensor, "depends_on_goal", False) or name == self._config.goal_sensor_uuid:
                observations[name] = sensor.get_observation(observations=observations, episode=episode, task=self)

    def _point_at(self, episode: Any, index: int) -> None:
        episode.object_category = self.goal_sequence[index]
        episode.goals = self._dataset.goals_by_category[episode.goals_key]
        episode._shortest_path_cache = None  # habitat-lab keeps the path to the episode's goals there

    def _check_episode_is_active(self, *args: Any, **kwargs: Any) -> bool:
        self.goal_steps += 1
        return not (self.goal_ends and self.goal_index == len(self.goal_sequence) - 1)


def _goal_sequence(episode: Any) -> List[str]:
    sequence = (episode.info or {}).get("goal_sequence")
    if not sequence:
        raise ValueError(
            "episode {} has no info.goal_sequence: it is no ExtObjectNav episode".format(episode.episode_id)
        )
    return list(sequence)


@registry.register_measure
class GoalSequence(Measure):
    """Results of an ExtObjectNav trial, goal by goal; listed last, it also moves the task on to its next goal.

    Metric: `index` (of the goal now sought, from 0), `finished` (1 on the step that ended a goal), `successes` so far,
    and `goals`: one {category, success, spl, soft_spl, distance_to_goal (m, geodesic), steps, start_distance (m)} for
    each ended goal; `sequence`: the categories of all the trial's goals. A goal still sought when the trial's step
    limit strikes is not in `goals`.
    """

    cls_uuid = "goal_sequence"

    def __init__(self, sim: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sim=sim, config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def reset_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        task.measurements.check_measure_dependencies(
            self.uuid, ["distance_to_goal", "success", "spl", "soft_spl", "ext_objectnav_reward"]
        )
        self._start_distance_m = task.measurements.measures["distance_to_goal"].get_metric()
        self._metric = {"index": 0, "finished": 0, "successes": 0, "goals": [], "sequence": list(task.goal_sequence)}

    def update_metric(self, *args: Any, episode: Any, task: Any, observations: Any, **kwargs: Any) -> None:
        metric = self._metric
        metric["finished"] = int(task.goal_ends)
        if not task.goal_ends:
            return
        measures = task.measurements.measures
        goal = {name: float(measures[name].get_metric()) for name in ("success", "spl", "soft_spl", "distance_to_goal")}
        goal.update(
            category=task.goal_sequence[task.goal_index],
            steps=task.goal_steps,
            start_distance=float(self._start_distance_m),
        )
        metric["goals"] = metric["goals"] + [goal]
        metric["successes"] += int(goal["success"])
        if task.goal_index + 1 < len(task.goal_sequence):
            task.next_goal(episode, observations)
            metric["index"] = task.goal_index
            for measure in measures.values():
                if measure is not self and not getattr(measure, "spans_goals", False):
                    measure.reset_metric(episode=episode, task=task, observations=observations)
            self._start_distance_m = measures["distance_to_goal"].get_metric()


@registry.register_measure
class ExtObjectNavReward(Measure):
    """Geodesic progress (m), plus `success_bonus` on the step that ends a goal in success: Memo's reward less slack."""

    cls_uuid = "ext_objectnav_reward"
    spans_goals = True

    def __init__(self, sim: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        self._bonus = float(config.success_bonus)
        super().__init__(sim=sim, config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def reset_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        task.measurements.check_measure_dependencies(self.uuid, ["distance_to_goal", "success"])
        self._goal_index = 0
        self._distance_m = task.measurements.measures["distance_to_goal"].get_metric()
        self._metric = 0.0

    def update_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        measures = task.measurements.measures
        distance_m = measures["distance_to_goal"].get_metric()
        if task.goal_index != self._goal_index:  # this step is the first towards a new goal: its start is one step back
            self._goal_index = task.goal_index
            self._distance_m = distance_m
        progress_m = self._distance_m - distance_m
        self._metric = float(progress_m) if math.isfinite(progress_m) else 0.0
        if task.goal_ends:
            self._metric += self._bonus * float(measures["success"].get_metric())
        self._distance_m = distance_m


@registry.register_measure(name="DistanceToGoal")
class DistanceToGoal(nav.DistanceToGoal):
    """As habitat-lab's, which spends most of its time on np.allclose of two positions."""

    def update_metric(self, *args: Any, **kwargs: Any) -> None:
        before = self._previous_position
        if before is not None:
            now = self._sim.get_agent_state().position.tolist()
            if all(abs(a - b) <= 1e-4 + 1e-5 * abs(b) for a, b in zip(before, now)):
                return
            self._previous_position = None  # it has moved: no need to look again
        super().update_metric(*args, **kwargs)


@registry.register_sensor
class DetectionsSensor(Sensor):
    """A perfect object detector ([height, width, 1] int32): at each pixel the task's category id (as in `objectgoal`)
    plus 1, else 0.

    It looks the semantic sensor's ids up in the episode file's goals, so it knows the categories that the data set
    searches for in this scene. It is ground truth that a robot does not have: agents that ask for it are labelled so.
    """

    cls_uuid = "detections"

    def __init__(self, sim: Any, config: Any, dataset: Any, *args: Any, **kwargs: Any) -> None:
        self._sim = sim
        self._dataset = dataset
        self._scene: Optional[str] = None
        super().__init__(config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def _get_sensor_type(self, *args: Any, **kwargs: Any) -> Any:
        return SensorTypes.SEMANTIC

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        cameras = self._sim.sensor_suite.observation_spaces.spaces
        if "semantic" not in cameras:
            raise ValueError("the detections sensor needs the semantic_sensor beside it")
        highest = max(self._dataset.category_to_task_category_id.values()) + 1
        return spaces.Box(0, highest, shape=(*cameras["semantic"].shape[:2], 1), dtype=np.int32)

    def get_observation(self, *args: Any, observations: Any, episode: Any, **kwargs: Any) -> np.ndarray:
        if self._scene != episode.scene_id:
            self._scene = episode.scene_id
            self._category_of = self._categories_by_semantic_id(os.path.basename(episode.scene_id))
        ids = np.asarray(observations["semantic"]).astype(np.int64)
        ids = ids.reshape(*ids.shape[:2], 1)
        return self._category_of[np.where((ids >= 0) & (ids < self._category_of.size), ids, 0)]

    def _categories_by_semantic_id(self, scene: str) -> np.ndarray:
        found = {
            int(goal.object_id): task_id + 1
            for category, task_id in self._dataset.category_to_task_category_id.items()
            for goal in self._dataset.goals_by_category.get("{}_{}".format(scene, category), [])
        }
        table = np.zeros(max(found, default=0) + 1, dtype=np.int32)
        for semantic_id, category_id in found.items():
            table[semantic_id] = category_id
        return table
