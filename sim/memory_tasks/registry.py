"""Memory tasks by name, and their scripted agents. A new task is one file and one line here."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.memory_tasks.base import MemoryVectorEnv, ScriptedAgent
from sim.memory_tasks.taught import TaughtVectorEnv


@dataclass(frozen=True)
class MemoryTask:
    """Where a task's parts are: `module:class`. `agents`: role -> class; every task has `oracle` and `reactive`."""

    gym_id: str
    vector_env: str
    agents: Mapping[str, str]


_PACKAGE = "sim.memory_tasks"
TASKS = {
    "t_maze": MemoryTask(
        "Engram/EndlessTMaze-v1",
        f"{_PACKAGE}.t_maze:TMazeVectorEnv",
        {
            "oracle": f"{_PACKAGE}.t_maze:TMazeOracle",
            "reactive": f"{_PACKAGE}.t_maze:TMazeReactive",
            "rewriter": f"{_PACKAGE}.t_maze:TMazeRewriter",
        },
    ),
    "key_to_door": MemoryTask(
        "Engram/DarkKeyToDoor-v1",
        f"{_PACKAGE}.key_to_door:KeyToDoorVectorEnv",
        {
            "oracle": f"{_PACKAGE}.key_to_door:KeyToDoorOracle",
            "reactive": f"{_PACKAGE}.key_to_door:KeyToDoorReactive",
            "explorer": f"{_PACKAGE}.key_to_door:KeyToDoorExplorer",
        },
    ),
    "ballet": MemoryTask(
        "Engram/Ballet-v1",
        f"{_PACKAGE}.ballet:BalletVectorEnv",
        {"oracle": f"{_PACKAGE}.ballet:BalletOracle", "reactive": f"{_PACKAGE}.ballet:BalletReactive"},
    ),
    "color_cubes": MemoryTask(
        "Engram/ColorCubes-v1",
        f"{_PACKAGE}.color_cubes:ColorCubesVectorEnv",
        {
            "oracle": f"{_PACKAGE}.color_cubes:ColorCubesOracle",
            "reactive": f"{_PACKAGE}.color_cubes:ColorCubesReactive",
            "mapper": f"{_PACKAGE}.color_cubes:ColorCubesMapper",
        },
    ),
}


def make_memory_env(
    name: str, num_envs: int = 1, seed: int = 0, state: Mapping[str, Any] | None = None, **options: Any
) -> MemoryVectorEnv:
    """A vector environment of the task `name`.

    Args:
        options: of the task's class.
        state: position to start from, as its `state()` gave it.

    Raises:
        ValueError: there is no such task, or an option is wrong; one line that names it.
    """
    made = _class(task(name).vector_env)
    known = [key for key in inspect.signature(made).parameters if key not in ("num_envs", "seed", "state")]
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option '{option}'; choose among {', '.join(known)}")
    found: MemoryVectorEnv = made(num_envs=num_envs, seed=seed, state=state, **options)
    return found


def make_taught_env(
    name: str,
    teacher: str,
    num_envs: int = 1,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
    **options: Any,
) -> TaughtVectorEnv:
    """As `make_memory_env`, with what the scripted agent of the role `teacher` would do among the observations."""
    env = make_memory_env(name, num_envs, seed, None if state is None else state["env"], **options)
    return TaughtVectorEnv(env, make_scripted(name, teacher, env, seed), state)


def make_scripted(name: str, role: str, env: MemoryVectorEnv, seed: int = 0) -> ScriptedAgent:
    """The scripted agent of a task. Raises ValueError if there is none of that role."""
    agents = task(name).agents
    if role not in agents:
        raise ValueError(f"{name} has no scripted agent '{role}'; choose one of {', '.join(agents)}")
    made: ScriptedAgent = _class(agents[role])(env, seed)
    return made


def task(name: str) -> MemoryTask:
    """Raises ValueError, with the nearest name, if there is no such task."""
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"no memory task '{name}', choose one of {', '.join(TASKS)}{hint}")
    return TASKS[name]


def _class(entry: str) -> Any:
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)
