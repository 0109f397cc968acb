"""Agents by name. A new baseline is one file and one line here; a checkpoint's path names a learned policy."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from pathlib import Path
from typing import Any, cast

from embodied.agents.base import Agent, AgentEnv, AgentError
from sim.config import SimConfig

AGENTS = {
    "random": "embodied.agents.random_walk:RandomAgent",
    "forward_only": "embodied.agents.forward_only:ForwardOnlyAgent",
    "oracle": "embodied.agents.oracle:OracleAgent",
    "frontier": "embodied.agents.frontier:FrontierAgent",
    "expert": "embodied.agents.expert:ExpertAgent",
}
#: What plays a checkpoint, by its kind; called with the checkpoint's path before the environment and the seed.
PLAYERS = {
    "navigation": "embodied.agents.policy:PolicyAgent",
    "vla": "embodied.agents.vla:VlaAgent",
}


def make_agent(name_or_checkpoint: str, env: AgentEnv, seed: int = 0, **options: Any) -> Agent:
    """Makes the baseline of that name, or the policy in that checkpoint, for `env`.

    Args:
        options: of the agent's class, beside environment and seed.

    Raises:
        AgentError: there is neither; or the environment lacks what the agent needs.
    """
    if name_or_checkpoint in AGENTS:
        return cast(Agent, agent_class(name_or_checkpoint)(env, seed, **options))
    return cast(Agent, agent_class(name_or_checkpoint)(Path(name_or_checkpoint), env, seed, **options))


def agent_class(name_or_checkpoint: str) -> Any:
    """The class behind a name or a checkpoint's path; it is imported here, so that baselines need no torch."""
    entry = AGENTS.get(name_or_checkpoint)
    if entry is None:
        if not Path(name_or_checkpoint).exists():
            near = difflib.get_close_matches(name_or_checkpoint, AGENTS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise AgentError(
                f"no agent and no checkpoint '{name_or_checkpoint}': choose one of {', '.join(AGENTS)}, or a path{hint}"
            )
        entry = PLAYERS[_kind(Path(name_or_checkpoint))]
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)


def prepare_sim(name_or_checkpoint: str, config: SimConfig) -> SimConfig:
    """`config` with what the agent asks of the simulator (extra sensors) added."""
    request = getattr(agent_class(name_or_checkpoint), "sim_overrides", None)
    overrides = [line for line in (request(config) if request else []) if line not in config.overrides]
    return dataclasses.replace(config, overrides=[*config.overrides, *overrides])


def describe_agent(name_or_checkpoint: str, config: SimConfig) -> tuple[str, str]:
    """(title, privileges) for reports: what to call it, and what it is told that a robot would not know."""
    found = agent_class(name_or_checkpoint)
    privileges = getattr(found, "privileges", None)
    return str(getattr(found, "title", name_or_checkpoint)), privileges(config) if callable(privileges) else ""


def _kind(path: Path) -> str:
    """Of which kind the policy in a checkpoint is. Raises CheckpointError if none can be read there."""
    from embodied.checkpoint import CheckpointError, load  # it imports torch, which baselines do without

    kind = load(path).meta.get("kind", "navigation")
    if kind not in PLAYERS:
        raise CheckpointError(f"{path} is of a '{kind}' policy; this version plays {', '.join(PLAYERS)}")
    return str(kind)
