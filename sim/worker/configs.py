"""habitat-lab's structured configs of what `tasks.py` registers, so that task YAMLs can name and override them."""

from dataclasses import dataclass

from habitat.config.default_structured_configs import LabSensorConfig, MeasurementConfig
from hydra.core.config_store import ConfigStore


@dataclass
class OracleActionSensorConfig(LabSensorConfig):
    type: str = "OracleActionSensor"
    goal_radius: float = 0.2
    """The oracle stops within this many metres of the goal."""


@dataclass
class DetectionsSensorConfig(LabSensorConfig):
    type: str = "DetectionsSensor"


@dataclass
class GoalSequenceMeasurementConfig(MeasurementConfig):
    type: str = "GoalSequence"
    max_goal_steps: int = 500
    """A goal not reached after this many steps has failed; the next one begins."""


@dataclass
class ExtObjectNavRewardMeasurementConfig(MeasurementConfig):
    type: str = "ExtObjectNavReward"
    success_bonus: float = 2.0


def _store(kind: str, name: str, node: type) -> None:
    ConfigStore.instance().store(
        package="habitat.task.{}.{}".format(kind, name), group="habitat/task/{}".format(kind), name=name, node=node
    )


_store("lab_sensors", "oracle_action", OracleActionSensorConfig)
_store("lab_sensors", "detections", DetectionsSensorConfig)
_store("measurements", "goal_sequence", GoalSequenceMeasurementConfig)
_store("measurements", "ext_objectnav_reward", ExtObjectNavRewardMeasurementConfig)
