"""Settings of the learned policies."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field


@dataclass
class PolicyConfig:
    """A policy's architecture. It travels with the checkpoint."""

    name: str = field(default="memory_policy", metadata={"help": "a policy of policies/registry.py"})
    memory: str = field(default="gru", metadata={"help": "a memory of policies/memories/__init__.py"})
    sensors: list[str] = field(
        default_factory=list,
        metadata={"help": "sensors to read; none named: cameras, goal and pose, or what else the task has"},
    )
    channels: list[int] = field(
        default_factory=lambda: [32, 64, 64], metadata={"help": "of the convolutions over the cameras' pictures"}
    )
    vision_size: int = field(default=256, metadata={"help": "width of what the pictures are summed up in"})
    embedding_size: int = field(
        default=32, metadata={"help": "width of goal, pose, previous action and other vectors each"}
    )
    memory_size: int = field(default=256, metadata={"help": "width of the memory, and of what comes out of it"})
    temperature: float = field(
        default=1.0, metadata={"help": "of drawing actions when the policy is played: 1 as trained, 0 the likeliest"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        from policies.memories import MEMORIES
        from policies.registry import POLICIES

        if self.name not in POLICIES:
            raise ValueError(f"policy.name: no policy '{self.name}'; choose one of {', '.join(POLICIES)}")
        if self.memory not in MEMORIES:
            near = difflib.get_close_matches(self.memory, MEMORIES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"policy.memory: no memory '{self.memory}'; choose one of {', '.join(MEMORIES)}{hint}")
        if len(self.channels) != 3 or min(self.channels) < 1:
            raise ValueError(f"policy.channels must be three widths, not {self.channels}")
        for name in ("vision_size", "embedding_size", "memory_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} must be at least 1, not {getattr(self, name)}")
        if self.temperature < 0.0:
            raise ValueError(f"policy.temperature must not be negative, and is {self.temperature}")
