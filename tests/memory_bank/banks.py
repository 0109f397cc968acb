"""Small banks for the tests."""

import torch

from memory_bank import BankConfig, MemoryBank, StreamConfig


def small_config(**changes) -> BankConfig:
    """Two streams a hundred times smaller than the paper's."""
    streams = {"perceptual": StreamConfig(tokens=4, dim=8), "cognitive": StreamConfig(tokens=1, dim=12)}
    return BankConfig(**{"streams": streams, "capacity": 3, "time_features": 8, **changes})


def make_bank(config: BankConfig | None = None, seed: int = 0, dtype: torch.dtype = torch.float32) -> MemoryBank:
    """A bank with seeded weights, its gate pushed off one half so that both of its shares matter."""
    torch.manual_seed(seed)
    bank = MemoryBank(config or small_config()).to(dtype)
    with torch.no_grad():
        for name, weight in bank.named_parameters():
            if "fuse" in name:
                weight.normal_(std=0.3)
    return bank
