"""Evaluation: agents over the episodes of a split, with confidence intervals."""

from embodied.evaluation.config import EvalConfig
from embodied.evaluation.evaluate import evaluate, load

__all__ = ["EvalConfig", "evaluate", "load"]
