"""Embodied agents: baselines, and learned policies, on one interface."""

from embodied.agents.base import Agent, AgentError, SeededAgent
from embodied.agents.registry import AGENTS, make_agent, prepare_sim

__all__ = ["AGENTS", "Agent", "AgentError", "SeededAgent", "make_agent", "prepare_sim"]
