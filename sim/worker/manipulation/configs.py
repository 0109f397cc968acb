"""habitat-lab's structured configs of the tabletop tasks, so that task YAMLs can name and override them."""

from dataclasses import dataclass

from habitat.config.default_structured_configs import ActionConfig, LabSensorConfig, MeasurementConfig, TaskConfig
from hydra.core.config_store import ConfigStore


@dataclass
class TabletopTaskConfig(TaskConfig):
    type: str = "PressInOrder-v0"
    cue: str = "remembered"
    """remembered: the cue is shown once, at the start. visible: it stays in view (the matched twin)."""


@dataclass
class EndEffectorDeltaConfig(ActionConfig):
    type: str = "EndEffectorDelta"
    metres_per_step: float = 0.03
    """Displacement along an axis in one step of 0.1 s at an action of 1."""
    radians_per_step: float = 0.15
    """Turn about the vertical in one step at an action of 1."""


@dataclass
class GripperStateSensorConfig(LabSensorConfig):
    type: str = "GripperStateSensor"


@dataclass
class ExpertActionSensorConfig(LabSensorConfig):
    type: str = "ExpertActionSensor"


@dataclass
class TabletopSuccessConfig(MeasurementConfig):
    type: str = "TabletopSuccess"


@dataclass
class StageProgressConfig(MeasurementConfig):
    type: str = "StageProgress"


@dataclass
class StageGainConfig(MeasurementConfig):
    type: str = "StageGain"


@dataclass
class TabletopFailureConfig(MeasurementConfig):
    type: str = "TabletopFailure"


def _store(kind: str, name: str, node: type) -> None:
    ConfigStore.instance().store(
        package="habitat.task.{}.{}".format(kind, name), group="habitat/task/{}".format(kind), name=name, node=node
    )


ConfigStore.instance().store(
    package="habitat.task", group="habitat/task", name="tabletop_task", node=TabletopTaskConfig
)
_store("actions", "end_effector_delta", EndEffectorDeltaConfig)
_store("lab_sensors", "gripper_state", GripperStateSensorConfig)
_store("lab_sensors", "expert_action", ExpertActionSensorConfig)
_store("measurements", "tabletop_success", TabletopSuccessConfig)
_store("measurements", "stage_progress", StageProgressConfig)
_store("measurements", "stage_gain", StageGainConfig)
_store("measurements", "tabletop_failure", TabletopFailureConfig)
