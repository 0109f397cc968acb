"""The action, sensor and measures of the tabletop tasks, in habitat-lab's registry."""

from typing import Any

import numpy as np
from gym import spaces
from habitat.core.embodied_task import Measure, SimulatorTaskAction
from habitat.core.registry import registry
from habitat.core.simulator import Sensor, SensorTypes
from habitat.core.spaces import ActionSpace


@registry.register_task_action(name="EndEffectorDelta")
class EndEffectorDelta(SimulatorTaskAction):
    """Moves the gripper: [dx, dy, dz, droll, dpitch, dyaw, gripper], each in [-1, 1], in the table's frame.

    dx, dy, dz are scaled by `metres_per_step`, dyaw by `radians_per_step`. The gripper is held upright: droll and
    dpitch do nothing. The last is a command, not a delta: above 0 the gripper closes (over two steps), below 0 it
    opens, at 0 it goes on as it was told.
    """

    def __init__(self, *args: Any, config: Any, **kwargs: Any) -> None:
        super().__init__(*args, config=config, **kwargs)
        self.metres_per_step = float(config.metres_per_step)
        self.radians_per_step = float(config.radians_per_step)

    @property
    def action_space(self) -> ActionSpace:
        return ActionSpace({"delta": spaces.Box(-1.0, 1.0, shape=(7,), dtype=np.float32)})

    def reset(self, *args: Any, **kwargs: Any) -> None:
        pass

    def step(self, *args: Any, task: Any, delta: np.ndarray, **kwargs: Any) -> None:
        motion = np.asarray(delta, dtype=np.float64)
        task.bench.move(motion[:3] * self.metres_per_step, motion[5] * self.radians_per_step, float(motion[6]))


class _TaskSensor(Sensor):
    cls_uuid = ""

    def __init__(self, sim: Any, config: Any, task: Any, *args: Any, **kwargs: Any) -> None:
        self._task = task
        super().__init__(config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def _get_sensor_type(self, *args: Any, **kwargs: Any) -> Any:
        return SensorTypes.TENSOR


@registry.register_sensor
class GripperStateSensor(_TaskSensor):
    """The gripper ([8] float32): position of the tool point (m, table frame), quaternion (x, y, z, w), opening (0..1).

    The table's frame (REP 103): the tabletop's middle, x forward (towards the camera), y left, z up. An opening of 1
    is 8 cm between the fingers.
    """

    cls_uuid = "state"

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        return spaces.Box(-1.0, 1.0, shape=(8,), dtype=np.float32)

    def get_observation(self, *args: Any, **kwargs: Any) -> np.ndarray:
        gripper = self._task.bench.gripper
        half = gripper.yaw / 2.0
        rotation = (0.0, 0.0, np.sin(half), np.cos(half))
        return np.array([*gripper.position, *rotation, gripper.opening], dtype=np.float32)


class _TaskMeasure(Measure):
    cls_uuid = ""

    def __init__(self, sim: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sim=sim, config=config)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return self.cls_uuid

    def reset_metric(self, *args: Any, **kwargs: Any) -> None:
        self.update_metric(*args, **kwargs)


@registry.register_measure
class TabletopSuccess(_TaskMeasure):
    """1 once the task is solved, which also ends the episode."""

    cls_uuid = "success"

    def update_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        self._metric = float(task.solved)


@registry.register_measure
class StageProgress(_TaskMeasure):
    """The share of the task's stages that are done, 0..1."""

    cls_uuid = "stage_progress"

    def update_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        self._metric = float(task.progress)


@registry.register_measure
class StageGain(_TaskMeasure):
    """How much the progress grew in this step: the reward, beside the bonus for success."""

    cls_uuid = "stage_gain"

    def reset_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        self._before = float(task.progress)
        self._metric = 0.0

    def update_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        now = float(task.progress)
        self._metric, self._before = now - self._before, now


@registry.register_measure
class TabletopFailure(_TaskMeasure):
    """`failed`: 1 once the episode cannot be solved any more, which also ends it; `reasons`: why, in words."""

    cls_uuid = "failure"

    def update_metric(self, *args: Any, task: Any, **kwargs: Any) -> None:
        self._metric = {"failed": float(bool(task.failure)), "reasons": [task.failure] if task.failure else []}
