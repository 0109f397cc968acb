"""Studies by name. A new one is one file with a config and `run`, and one line here."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any

from embodied.config import ConfigError

STUDIES = {
    "rewriting": "embodied.studies.rewriting:RewritingConfig",
    "key_to_door": "embodied.studies.key_to_door:KeyToDoorConfig",
}


def config_class(study: str) -> type[Any]:
    """The config dataclass of a study. Raises ConfigError if there is no such study."""
    if study not in STUDIES:
        near = difflib.get_close_matches(study, STUDIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"no study '{study}', choose one of {', '.join(STUDIES)}{hint}")
    module, name = STUDIES[study].split(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def run(config: Any) -> tuple[Path, bool]:
    """Runs the study that `config` is of. Returns its table's path, and whether it is finished."""
    module = importlib.import_module(type(config).__module__)
    result: tuple[Path, bool] = module.run(config)
    return result
