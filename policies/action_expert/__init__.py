"""The diffusion action expert of MemoryVLA (section 3.4): memory's tokens in, a chunk of actions out."""

from policies.action_expert.actions import ActionError, ActionSpec, Normalizer
from policies.action_expert.config import ExpertConfig
from policies.action_expert.dit import ActionDiT, Condition
from policies.action_expert.expert import ActionExpert

__all__ = ["ActionDiT", "ActionError", "ActionExpert", "ActionSpec", "Condition", "ExpertConfig", "Normalizer"]
