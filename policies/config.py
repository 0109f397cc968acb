"""Settings of the learned policies."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class PolicyConfig:
    """A policy's architecture. It travels with the checkpoint."""

    name: str = field(default="cnn_gru", metadata={"help": "a policy of policies/registry.py"})
    channels: list[int] = field(
        default_factory=lambda: [32, 64, 64], metadata={"help": "of the convolutions over the cameras' pictures"}
    )
    vision_size: int = field(default=256, metadata={"help": "width of what the pictures are summed up in"})
    embedding_size: int = field(default=32, metadata={"help": "width of goal, pose and previous action each"})
    memory_size: int = field(default=256, metadata={"help": "width of the recurrent memory"})
    temperature: float = field(
        default=1.0, metadata={"help": "of drawing actions when the policy is played: 1 as trained, 0 the likeliest"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        from policies.registry import POLICIES

        if self.name not in POLICIES:
            raise ValueError(f"policy.name: no policy '{self.name}'; choose one of {', '.join(POLICIES)}")
        if len(self.channels) != 3 or min(self.channels) < 1:
            raise ValueError(f"policy.channels must be three widths, not {self.channels}")
        for name in ("vision_size", "embedding_size", "memory_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} must be at least 1, not {getattr(self, name)}")
        if self.temperature < 0.0:
            raise ValueError(f"policy.temperature must not be negative, and is {self.temperature}")
