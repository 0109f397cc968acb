"""How long and how full a recorded past is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ExperienceConfig:
    """The knobs of an experience phase."""

    interactions: tuple[int, int] = field(
        default=(5, 9), metadata={"help": "fewest and most pick-and-place interactions (2 to 40)"}
    )
    days: int = field(default=2, metadata={"help": "days that it spans; the last one is yesterday"})
    distractors: int = field(default=4, metadata={"help": "things that are gone to, looked at and not touched"})
    min_frames: int = field(
        default=150, metadata={"help": "frames at the least: the robot wanders about until there are so many"}
    )
    every: int = field(
        default=4, metadata={"help": "a frame is kept at every so many steps, and at each pick and place"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        least, most = self.interactions
        if not 2 <= least <= most <= 40:
            raise ValueError(f"experience.interactions must lie in 2..40, fewest first, not {least}..{most}")
        if not 1 <= self.days <= min(7, least):
            raise ValueError(f"experience.days must be 1 to 7 and at most the interactions, not {self.days}")
        for name, low in (("distractors", 0), ("min_frames", 1), ("every", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"experience.{name} must be at least {low}, not {getattr(self, name)}")
