"""Small tasks in which memory is the point, as arrays: a million steps take seconds.

Importing this package registers them with Gymnasium::

    env = gymnasium.make("sim.memory_tasks:Engram/EndlessTMaze-v1", corridors=3, length=5)
    envs = gymnasium.make_vec("sim.memory_tasks:Engram/DarkKeyToDoor-v1", num_envs=64, size=5)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym

from sim.memory_tasks.base import MemoryEnv, MemoryVectorEnv, ScriptedAgent
from sim.memory_tasks.registry import TASKS, make_memory_env, make_scripted, make_taught_env

__all__ = [
    "TASKS",
    "MemoryEnv",
    "MemoryVectorEnv",
    "ScriptedAgent",
    "make_memory_env",
    "make_scripted",
    "make_taught_env",
]


def _single(name: str, render_mode: str | None = None, **options: Any) -> MemoryEnv:
    return MemoryEnv(make_memory_env(name, **options))


def _vector(name: str, num_envs: int = 1, **options: Any) -> MemoryVectorEnv:
    return make_memory_env(name, num_envs, **options)


for _name, _task in TASKS.items():
    gym.register(_task.gym_id, entry_point=partial(_single, _name), vector_entry_point=partial(_vector, _name))
