"""Checkpoints: a folder each, written whole or not at all, and never unpickled.

::

    RUN/checkpoints/step_000012800/
        checkpoint.json         format, steps, config, contract (sensors, actions), versions, sha256 of the other files
        policy.safetensors      weights
        training.safetensors    optimiser, random generators, recurrent states     } only what resuming needs:
        training.json           counters, positions of environments                } a policy plays without them
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from embodied.files import replacing_folder

FORMAT = 1
META_FILE, POLICY_FILE = "checkpoint.json", "policy.safetensors"
TRAINING_TENSORS, TRAINING_FILE = "training.safetensors", "training.json"
CHECKPOINTS_DIR = "checkpoints"
_NAME = re.compile(r"step_(\d+)$")


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message is one line that names the file and the cause."""


@dataclass
class TrainingState:
    """What resuming needs beside the policy."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """JSON."""


@dataclass
class Checkpoint:
    """A checkpoint whose files have been found whole."""

    folder: Path
    meta: dict[str, Any]

    @property
    def steps(self) -> int:
        """Environment steps it was trained for."""
        return int(self.meta["steps"])

    def weights(self) -> dict[str, Tensor]:
        return _tensors(self.folder / POLICY_FILE)

    def training(self) -> TrainingState:
        """Raises CheckpointError if it was stored without."""
        if not (self.folder / TRAINING_FILE).exists():
            raise CheckpointError(f"{self.folder} holds a policy only, nothing to resume from")
        values = json.loads((self.folder / TRAINING_FILE).read_text(encoding="utf-8"))
        return TrainingState(_tensors(self.folder / TRAINING_TENSORS), values)


def save(
    folder: Path,
    weights: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    training: TrainingState | None = None,
) -> None:
    """Stores a checkpoint.

    Args:
        meta: JSON; at least `steps`, `config` (of the policy, at least) and `contract`.

    Raises:
        FileError: the folder cannot be written; no half of it is left.
    """
    with replacing_folder(folder) as draft:
        _save_tensors(draft / POLICY_FILE, weights)
        if training is not None:
            _save_tensors(draft / TRAINING_TENSORS, training.tensors)
            (draft / TRAINING_FILE).write_text(json.dumps(training.values), encoding="utf-8")
        files = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
        body = {"format": FORMAT, "versions": _versions(), **meta, "files": files}
        (draft / META_FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Checkpoint:
    """The checkpoint in `path`: its folder, or a run's folder (then its newest).

    Raises:
        CheckpointError: there is none; it is of another format; a file of it is missing or damaged.
    """
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}: there is no such folder")
    for folder in (path, path / CHECKPOINTS_DIR):
        if path.is_dir() and not (path / META_FILE).exists() and _stored(folder):
            path = _stored(folder)[-1]
            break
    meta_path = path / META_FILE
    if not meta_path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: a checkpoint is a folder with {META_FILE}")
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {meta_path} is damaged: {error}") from error
    if not isinstance(meta, dict) or "files" not in meta or "steps" not in meta:
        raise CheckpointError(f"{meta_path} is no checkpoint of Engram")
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"{meta_path} is of format {meta.get('format')}, this version reads format {FORMAT}")
    for name, digest in meta["files"].items():
        if not (path / name).is_file():
            raise CheckpointError(f"the checkpoint {path} is incomplete: {name} is missing")
        if _sha256(path / name) != digest:
            raise CheckpointError(f"the checkpoint {path} is damaged: {name} is not as it was written")
    return Checkpoint(path, meta)


def load_weights(module: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Fills `module` with the checkpoint's weights.

    Raises:
        CheckpointError: they are of another module; the message names the first tensor that differs.
    """
    weights, own = checkpoint.weights(), module.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        if name not in weights:
            raise CheckpointError(f"{checkpoint.folder / POLICY_FILE} has no tensor {name}: it is of another policy")
        if name not in own:
            raise CheckpointError(f"{checkpoint.folder / POLICY_FILE} has the tensor {name}, the policy does not")
        if own[name].shape != weights[name].shape:
            raise CheckpointError(
                f"{checkpoint.folder / POLICY_FILE}: {name} has shape {list(weights[name].shape)}, the policy needs "
                f"{list(own[name].shape)}"
            )
    module.load_state_dict(weights)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run: the run's folder.
        keep: how many of the newest are kept.
    """

    def __init__(self, run: Path, keep: int = 2) -> None:
        self.folder = run / CHECKPOINTS_DIR
        self._keep = keep

    def save(self, steps: int, weights: Mapping[str, Tensor], meta: Mapping[str, Any], training: TrainingState) -> Path:
        """Stores one, and removes those that are too many. Raises FileError."""
        folder = self.folder / f"step_{steps:09d}"
        save(folder, weights, {"steps": steps, **meta}, training)
        for old in _stored(self.folder)[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def newest(self, say: Callable[[str], object] = print) -> Checkpoint | None:
        """The newest whole one; None if there is none. `say` is told of a damaged one that is passed over.

        Raises:
            CheckpointError: there are checkpoints, and all are damaged.
        """
        error: CheckpointError | None = None
        for folder in reversed(_stored(self.folder)):
            try:
                found = load(folder)
            except CheckpointError as damage:
                error = damage
                continue
            if error is not None:
                say(f"warning: {error}; going on from the one before it, {folder.name}")
            return found
        if error is not None:
            raise CheckpointError(f"{error}; no earlier checkpoint is left: remove {self.folder.parent} to start anew")
        return None

    def metas(self) -> list[dict[str, Any]]:
        """What is written in each one's `checkpoint.json`, oldest first; damaged ones are left out."""
        found = []
        for folder in self.stored():
            with contextlib.suppress(OSError, ValueError):
                found.append(dict(json.loads((folder / META_FILE).read_text(encoding="utf-8"))))
        return found

    def stored(self) -> list[Path]:
        """Folders, oldest first."""
        return _stored(self.folder)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's running averages as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    body = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": body["param_groups"]})


def _stored(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step_*") if _NAME.search(path.name)]
    return sorted(found, key=lambda path: int(_NAME.search(path.name)[1]))  # type: ignore[index]


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Dense and on the CPU, as the format wants them; clones where two names share memory.
    safetensors.torch.save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the checkpoint file {path} cannot be read: {error}") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(packages: Iterable[str] = ("engram", "torch", "numpy")) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
