"""What of a pretrained model learns: parts are frozen, alone or with low-rank adapters (LoRA, 2106.09685)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from embodied.encoders.config import LANGUAGE, VISION, LoraConfig
from embodied.encoders.errors import EncoderError

PARTS = (VISION, LANGUAGE)


def add_lora(part: nn.Module, name: str, config: LoraConfig, default_targets: Sequence[str]) -> None:
    """Puts adapters into `part`, in place, and freezes the rest of it. The adapters change nothing at first.

    Raises:
        EncoderError: no layer has one of the names.
    """
    import peft

    targets = list(config.targets) or list(default_targets)
    lora = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=targets)
    try:
        peft.inject_adapter_in_model(lora, part)
    except ValueError as error:
        layers = (nn.Linear, nn.Conv2d)
        ends = sorted({n.rpartition(".")[2] for n, module in part.named_modules() if isinstance(module, layers)})
        raise EncoderError(
            f"encoder.lora.targets: {', '.join(targets)} cannot be adapted in the {name} part; "
            f"its layers end in {', '.join(ends)}"
        ) from error


def set_training(frozen: nn.Module, mode: bool) -> None:
    """Eval mode for a frozen part; the dropout of its adapters, which learn, goes with `mode`."""
    frozen.eval()
    for name, module in frozen.named_modules():
        if name.endswith("lora_dropout"):
            module.train(mode)
