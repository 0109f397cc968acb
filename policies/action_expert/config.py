"""Settings of the action expert; the defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field

SIZES = {"S": (6, 384, 4), "B": (12, 768, 12), "L": (24, 1024, 16)}
"""Layers, width, heads of the DiT's published sizes."""

COGNITIVE, BOTH = "cognitive", "both"


@dataclass
class ExpertConfig:
    """A diffusion transformer over a chunk of actions. It travels with the checkpoint."""

    size: str = field(
        default="B", metadata={"help": "S, B or L: 6 x 384, 12 x 768, 24 x 1024; or custom: layers, width, heads"}
    )
    layers: int = field(default=4, metadata={"help": "of size custom"})
    width: int = field(default=192, metadata={"help": "of size custom"})
    heads: int = field(default=4, metadata={"help": "of size custom"})
    horizon: int = field(default=16, metadata={"help": "actions in a chunk"})
    scheduler: str = field(
        default="ddim", metadata={"help": "ddim, dpm_solver++ or flow_matching (policies/action_expert/diffusion.py)"}
    )
    train_steps: int = field(default=100, metadata={"help": "diffusion steps of training, squared-cosine betas"})
    inference_steps: int = field(default=10, metadata={"help": "denoising steps of acting"})
    noise_draws: int = field(default=4, metadata={"help": "of noise for each chunk in a training step"})
    guidance: float = field(
        default=1.5, metadata={"help": "classifier-free guidance: 1 follows the condition, above 1 exaggerates it"}
    )
    guide: str = field(
        default=COGNITIVE,
        metadata={"help": "what guidance drops: cognitive (the paper) or both (also the perceptual and other tokens)"},
    )
    condition_dropout: float = field(default=0.1, metadata={"help": "share of chunks trained without that condition"})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, width, heads."""
        return SIZES.get(self.size, (self.layers, self.width, self.heads))

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        from policies.action_expert.diffusion import SCHEDULERS

        if self.size not in (*SIZES, "custom"):
            raise ValueError(f"expert.size must be S, B, L or custom, not '{self.size}'")
        layers, width, heads = self.shape
        if layers < 1 or heads < 1 or width < 1 or width % (2 * heads):
            raise ValueError(f"expert.width must be a multiple of twice expert.heads, not {width} for {heads} heads")
        for name in ("horizon", "train_steps", "inference_steps", "noise_draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"expert.{name} must be at least 1, not {getattr(self, name)}")
        if self.scheduler not in SCHEDULERS:
            raise ValueError(
                f"expert.scheduler: no scheduler '{self.scheduler}'; choose one of {', '.join(SCHEDULERS)}"
            )
        if self.inference_steps > self.train_steps:
            raise ValueError(f"expert.inference_steps must not exceed expert.train_steps ({self.train_steps})")
        if self.guide not in (COGNITIVE, BOTH):
            raise ValueError(f"expert.guide must be {COGNITIVE} or {BOTH}, not '{self.guide}'")
        if self.guidance < 1.0:
            raise ValueError(f"expert.guidance must be at least 1, not {self.guidance}")
        if not 0.0 <= self.condition_dropout < 1.0:
            raise ValueError(f"expert.condition_dropout is a share below 1, not {self.condition_dropout}")
        if self.guidance > 1.0 and self.condition_dropout == 0.0:
            raise ValueError(
                "expert.guidance above 1 needs expert.condition_dropout above 0: it compares with dropping"
            )
