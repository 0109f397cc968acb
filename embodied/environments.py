"""Vector environments to train in, by name: Habitat's tasks, the memory tasks, POPGym's.

All have Gymnasium's vector interface with the next episode in the same step, observations as a dict of arrays, and the
`infos` of `sim.vector_env.HabitatVectorEnv`; `state()` is JSON, and an environment made from it shows the same position
at its first `reset`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from sim.config import SimConfig

HABITAT, POPGYM = "habitat", "popgym"


@dataclass
class EnvConfig:
    """Which environment."""

    name: str = field(
        default=HABITAT,
        metadata={"help": "habitat (then sim.task says which), a task of sim/memory_tasks (t_maze ...), or popgym"},
    )
    num_envs: int = field(default=64, metadata={"help": "environments side by side; Habitat's are sim.num_envs"})
    seed: int = field(default=0, metadata={"help": "of the episodes; Habitat's is sim.seed"})
    teacher: str = field(
        default="",
        metadata={"help": "memory tasks: a scripted agent whose actions are labels to imitate, e.g. explorer, oracle"},
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "of the task, like env.options.corridors=3; docs/memory_tasks.md"}
    )

    @property
    def is_habitat(self) -> bool:
        return self.name == HABITAT

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        from sim.memory_tasks import TASKS

        if self.name not in (known := (HABITAT, *TASKS, POPGYM)):
            near = difflib.get_close_matches(self.name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"env.name: no environment '{self.name}', choose one of {', '.join(known)}{hint}")
        if self.num_envs < 1:
            raise ValueError(f"env.num_envs must be at least 1, not {self.num_envs}")
        if self.is_habitat and self.options:
            raise ValueError("env.options are of memory tasks; Habitat's settings are in sim")
        if self.teacher and self.name not in TASKS:
            raise ValueError(f"env.teacher: {self.name} has no scripted agents")
        if self.teacher and self.teacher not in (roles := TASKS[self.name].agents):
            raise ValueError(f"env.teacher: {self.name} has no '{self.teacher}', choose one of {', '.join(roles)}")


def num_envs(env: EnvConfig, sim: SimConfig) -> int:
    """How many environments run side by side."""
    return sim.num_envs if env.is_habitat else env.num_envs


def make_env(env: EnvConfig, sim: SimConfig, state: dict[str, Any] | None = None) -> Any:
    """The vector environment of a config, at a position that its `state()` gave.

    Raises:
        ValueError: an option of the task is wrong.
        SimulatorError: the simulators cannot run the task.
    """
    if env.is_habitat:
        from sim.vector_env import HabitatVectorEnv

        return HabitatVectorEnv(sim, state)
    from sim.memory_tasks import make_memory_env, make_taught_env

    try:
        if env.name == POPGYM:
            from sim.memory_tasks.popgym import PopgymVectorEnv

            return PopgymVectorEnv(env.num_envs, seed=env.seed, state=state, **env.options)
        if env.teacher:
            return make_taught_env(env.name, env.teacher, env.num_envs, env.seed, state, **env.options)
        return make_memory_env(env.name, env.num_envs, env.seed, state, **env.options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"env: {error}") from error
