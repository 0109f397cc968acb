"""Training: one file for each algorithm, on common parts (run folder, progress, replay)."""

from embodied.training.registry import ALGORITHMS, load_config, train

__all__ = ["ALGORITHMS", "load_config", "train"]
