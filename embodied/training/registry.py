"""Algorithms by name. A new one is one file with a config and `train`, and one line here."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from embodied import config as configs
from embodied.config import ConfigError
from embodied.training.run import TrainResult

ALGORITHMS = {
    "dagger": "embodied.training.dagger:DaggerConfig",
    "ppo": "embodied.training.ppo:PpoConfig",
    "vla": "embodied.training.vla:VlaTrainConfig",
}
DEFAULT = "dagger"


def config_class(algorithm: str) -> type[Any]:
    """The config dataclass of an algorithm. Raises ConfigError if there is no such algorithm."""
    if algorithm not in ALGORITHMS:
        near = difflib.get_close_matches(algorithm, ALGORITHMS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"algorithm: no algorithm '{algorithm}', choose one of {', '.join(ALGORITHMS)}{hint}")
    module, name = ALGORITHMS[algorithm].split(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Any:
    """The training config in a YAML file; its `algorithm` says of which kind. Raises ConfigError."""
    named = DEFAULT
    if path is not None:
        body, _ = configs.read_yaml(path)
        named = str(body.get("algorithm", DEFAULT))
    for override in overrides:
        if override.startswith("algorithm="):
            named = override.partition("=")[2]
    return configs.load(config_class(named), path, overrides)


def train(config: Any, console: Console | None = None) -> TrainResult:
    """Runs the algorithm that `config` is of; see its file for what it may raise."""
    module = importlib.import_module(type(config).__module__)
    result: TrainResult = module.train(config, console)
    return result
