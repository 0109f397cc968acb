"""Settings of the learned policies."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

_WITHOUT_HEADS = ("gru", "lstm", "memoryless")


@dataclass
class PolicyConfig:
    """A policy's architecture. It travels with the checkpoint."""

    name: str = field(default="memory_policy", metadata={"help": "a policy of policies/registry.py"})
    memory: str = field(default="gru", metadata={"help": "a memory of policies/memories/__init__.py"})
    sensors: list[str] = field(
        default_factory=list,
        metadata={"help": "sensors to read; none named: cameras, goal and pose, or what else the task has"},
    )
    vision: str = field(
        default="cnn", metadata={"help": "cnn, resnet (policies/backbones.py), or timm/NAME for any timm model"}
    )
    vision_weights: str = field(
        default="", metadata={"help": "of a timm model: fresh if empty, pretrained, or a .safetensors file"}
    )
    vision_frozen: bool = field(default=False, metadata={"help": "a timm model's weights stay as they are"})
    channels: list[int] = field(
        default_factory=lambda: [32, 64, 64], metadata={"help": "of cnn and resnet over the cameras' pictures"}
    )
    vision_size: int = field(default=256, metadata={"help": "width of what the pictures are summed up in"})
    embedding_size: int = field(
        default=32, metadata={"help": "width of goal, pose, previous action and other vectors each"}
    )
    memory_size: int = field(default=256, metadata={"help": "width of the memory, and of what comes out of it"})
    layers: int = field(default=2, metadata={"help": "of transformers"})
    heads: int = field(default=4, metadata={"help": "of attention; they share memory_size"})
    segment: int = field(default=256, metadata={"help": "memo, rmt: steps that are summed up together"})
    segment_spread: float = field(
        default=0.2,
        metadata={"help": "memo, rmt: lengths vary in training, segment * (1 - this) to (1 + this)"},
    )
    summaries: int = field(default=32, metadata={"help": "memo, rmt: summary tokens a segment"})
    summary_cap: int = field(default=1024, metadata={"help": "memo: summary tokens kept in all"})
    consolidation: str = field(
        default="fifo",
        metadata={"help": "memo: what becomes of more, a strategy of memory_bank/strategies: fifo, merge, reservoir"},
    )
    context: int = field(default=1024, metadata={"help": "fct: steps attended to at most; gtrxl: steps kept a layer"})
    chunk: int = field(default=32, metadata={"help": "hcam: steps of a chunk"})
    chunks: int = field(default=64, metadata={"help": "hcam: chunks kept"})
    top_k: int = field(default=8, metadata={"help": "hcam: chunks attended to in detail"})
    registers: int = field(default=8, metadata={"help": "register: vectors of memory_size"})
    temperature: float = field(
        default=1.0, metadata={"help": "of drawing actions when the policy is played: 1 as trained, 0 the likeliest"}
    )
    hold_steps: float = field(
        default=1.0,
        metadata={"help": "of steps that one draw decides, on average, in play and in DAgger (policies/chance.py)"},
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        from memory_bank.strategies import STRATEGIES
        from policies.backbones import BACKBONES, TIMM
        from policies.memories import MEMORIES
        from policies.registry import POLICIES

        if self.name not in POLICIES:
            raise ValueError(f"policy.name: no policy '{self.name}'; choose one of {', '.join(POLICIES)}")
        if self.memory not in MEMORIES:
            near = difflib.get_close_matches(self.memory, MEMORIES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"policy.memory: no memory '{self.memory}'; choose one of {', '.join(MEMORIES)}{hint}")
        if self.vision not in BACKBONES and not self.vision.startswith(TIMM):
            raise ValueError(
                f"policy.vision: no backbone '{self.vision}'; choose one of {', '.join(BACKBONES)}, {TIMM}NAME"
            )
        if len(self.channels) != 3 or min(self.channels) < 1:
            raise ValueError(f"policy.channels must be three widths, not {self.channels}")
        positive = (
            *("vision_size", "embedding_size", "memory_size", "layers", "heads", "segment", "summaries"),
            *("context", "registers", "chunk", "chunks", "top_k"),
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} must be at least 1, not {getattr(self, name)}")
        if self.memory_size % (2 * self.heads) and self.memory not in _WITHOUT_HEADS:
            raise ValueError(
                f"policy.memory_size must be a multiple of twice policy.heads ({self.heads}), not {self.memory_size}"
            )
        if not 0.0 <= self.segment_spread < 1.0:
            raise ValueError(f"policy.segment_spread is a share, 0 to below 1, not {self.segment_spread}")
        if self.summary_cap < self.summaries:
            raise ValueError(f"policy.summary_cap must be at least policy.summaries ({self.summaries})")
        if self.consolidation not in STRATEGIES:
            raise ValueError(
                f"policy.consolidation: no strategy '{self.consolidation}'; choose one of {', '.join(STRATEGIES)}"
            )
        if self.temperature < 0.0:
            raise ValueError(f"policy.temperature must not be negative, and is {self.temperature}")
        if not self.hold_steps >= 1.0:
            raise ValueError(f"policy.hold_steps must be at least 1, and is {self.hold_steps}")
