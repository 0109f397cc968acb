"""How to run simulators: which interpreter, task, houses, how many, how long to wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

TASKS_DIR = Path(__file__).parent / "tasks"
MANIPULATION_TASKS = ("press_in_order", "put_back", "pick_shown_colour", "press_n_times")
"""Tasks with a gripper; each has a matched twin whose cue stays in view, `NAME_visible`."""


@dataclass
class SimConfig:
    """One set of simulator workers; every worker holds one environment."""

    task: str = field(
        default="pointnav",
        metadata={
            "help": "a task of sim/tasks (pointnav, objectnav, ext_objectnav, press_in_order, put_back, "
            "pick_shown_colour, press_n_times, the last four also with _visible), or a habitat-lab YAML: a path, or "
            "benchmark/... inside habitat-lab"
        },
    )
    control: str = field(default="discrete", metadata={"help": "discrete (0.25 m, turns) or velocity (v, w at 10 Hz)"})
    episodes: str = field(default="", metadata={"help": "episode file (.json.gz); empty: the one the task names"})
    scenes_dir: str = field(
        default="", metadata={"help": "folder that relative scene ids of the episode file start from"}
    )
    image_size: int = field(default=64, metadata={"help": "height and width of the cameras, pixels; 0: the task's own"})
    turn_degrees: int = field(default=30, metadata={"help": "angle of one discrete turn"})
    overrides: list[str] = field(
        default_factory=list,
        metadata={"help": "further habitat-lab overrides, e.g. habitat.environment.max_episode_steps=300"},
    )
    num_envs: int = field(default=2, metadata={"help": "simulator workers, one environment each"})
    seed: int = field(default=0, metadata={"help": "of episode order and everything random inside episodes"})
    order: str = field(
        default="shuffled",
        metadata={"help": "shuffled (training) or sequential (evaluation: env i of n runs i, i + n, ...)"},
    )
    scene_run: int = field(default=8, metadata={"help": "episodes of one scene in a row when shuffled"})
    python: str = field(
        default="",
        metadata={"help": "interpreter that has habitat-sim, e.g. of a conda environment; empty: the built one"},
    )
    start_timeout_s: float = field(default=180.0, metadata={"help": "deadline for a worker's start, seconds"})
    reset_timeout_s: float = field(default=120.0, metadata={"help": "deadline for loading a scene, seconds"})
    step_timeout_s: float = field(default=60.0, metadata={"help": "deadline for one step, seconds"})
    max_deaths_per_scene: int = field(
        default=3,
        metadata={"help": "deaths in a row on one scene after which the error names it instead of restarting"},
    )

    @property
    def is_tabletop(self) -> bool:
        """Whether the task has a gripper over a table, and no robot that drives."""
        return self.task.removesuffix("_visible") in MANIPULATION_TASKS

    def lab_config(self) -> str:
        """The habitat-lab YAML that `task` names.

        Raises:
            ValueError: there is no such task.
        """
        own = TASKS_DIR / f"{self.task}.yaml"
        if own.exists():
            return str(own)
        if self.task.startswith("benchmark/") or Path(self.task).suffix in (".yaml", ".yml"):
            return self.task if self.task.startswith("benchmark/") else str(Path(self.task).absolute())
        known = sorted(path.stem for path in TASKS_DIR.glob("*.yaml") if not path.stem.endswith("_base"))
        raise ValueError(f"no task '{self.task}'; choose one of {', '.join(known)}, or give a habitat-lab YAML")

    def lab_overrides(self) -> list[str]:
        """Hydra overrides that carry this config's fields into the task's YAML."""
        overrides = []
        if self.episodes:
            overrides.append(f"habitat.dataset.data_path={_quoted(Path(self.episodes).absolute())}")
        if self.scenes_dir:
            overrides.append(f"habitat.dataset.scenes_dir={_quoted(Path(self.scenes_dir).absolute())}")
        if (TASKS_DIR / f"{self.task}.yaml").exists():
            cameras: tuple[str, ...] = ("rgb_sensor",)
            if not self.is_tabletop:
                overrides += [f"control={self.control}", f"habitat.simulator.turn_angle={self.turn_degrees}"]
                cameras = ("rgb_sensor", "depth_sensor")
            if self.image_size:
                for camera in cameras:
                    sensor = f"habitat.simulator.agents.main_agent.sim_sensors.{camera}"
                    overrides += [f"{sensor}.width={self.image_size}", f"{sensor}.height={self.image_size}"]
        return [*overrides, f"habitat.seed={self.seed}", *self.overrides]

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if self.num_envs < 1:
            raise ValueError(f"sim.num_envs must be at least 1, not {self.num_envs}")
        if self.order not in ("shuffled", "sequential"):
            raise ValueError(f"sim.order must be shuffled or sequential, not '{self.order}'")
        if self.control not in ("discrete", "velocity"):
            raise ValueError(f"sim.control must be discrete or velocity, not '{self.control}'")
        if self.episodes and not Path(self.episodes).is_file():
            raise ValueError(f"sim.episodes: no file at {self.episodes}")
        self.lab_config()


def _quoted(path: Path) -> str:
    """A path as a Hydra value, whatever characters it holds."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"
