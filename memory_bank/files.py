"""Banks on disk: one safetensors file with a JSON header, written whole or not at all.

header     {"format", "version", "config": BankConfig, "rows", "sha256" of the tensors}
tensors    weights/NAME of the module; state/STREAM/FIELD of `BankState`, but for `projected`
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from embodied.files import replacing
from memory_bank.bank import MemoryBank
from memory_bank.config import BankConfig
from memory_bank.errors import BankError, BankFileError
from memory_bank.state import BankState, MemoryState

FORMAT = "engram memory bank"
VERSION = 1
_HEADER = "engram"


def save_bank(path: Path, bank: MemoryBank, state: MemoryState | None = None, weights: bool = True) -> None:
    """Writes a bank's config, its weights, and what it remembers.

    Args:
        path: the file; what is there is replaced when the new one is complete.
        bank: whose config and weights.
        state: what it remembers; None: nothing is written of it.
        weights: false: leave them out, where a checkpoint has them.

    Raises:
        embodied.files.FileError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    if weights:
        tensors |= {f"weights/{name}": value for name, value in bank.state_dict().items()}
    for name, stream in (state or {}).items():
        fields = stream.tidy()._asdict()
        del fields["projected"]  # of the weights, not of memory: `MemoryBank.cached` makes it again
        tensors |= {f"state/{name}/{field}": value for field, value in fields.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "config": bank.config.to_dict(),
        "rows": next(iter(state.values())).rows if state else None,
        "sha256": _digest(tensors),
    }
    with replacing(Path(path)) as draft:
        save_file(tensors, draft, metadata={_HEADER: json.dumps(header)})


def load_bank(path: Path, device: torch.device | str = "cpu") -> tuple[MemoryBank, MemoryState | None]:
    """The bank that `save_bank` wrote, and what it remembered.

    Raises:
        BankFileError: there is no such file, it is damaged, of another program or version, or has no weights.
    """
    header, tensors = _read(path)
    bank = MemoryBank(_config(path, header))
    weights = {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
    if not weights:
        raise BankFileError(f"{path} holds no weights: load its state into a bank that has them (load_state)")
    _match(path, "weights", weights, {name: value.shape for name, value in bank.state_dict().items()})
    bank.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    return bank.to(device), _state(path, header, tensors, bank.config, device)


def load_state(path: Path, bank: MemoryBank, device: torch.device | str = "cpu") -> MemoryState:
    """What the bank in the file remembered, for `bank`.

    Raises:
        BankFileError: see `load_bank`; or nothing was remembered, or by a bank of other shape.
    """
    header, tensors = _read(path)
    config = _config(path, header)
    for name in ("streams", "capacity"):
        theirs, mine = getattr(config, name), getattr(bank.config, name)
        if theirs != mine:
            raise BankFileError(f"{path} is of a bank whose {name} is {theirs}; this one's is {mine}")
    state = _state(path, header, tensors, config, device)
    if state is None:
        raise BankFileError(f"{path} holds no state: it was saved without one")
    return state


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not Path(path).is_file():
        raise BankFileError(f"no file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise BankFileError(f"{path} is damaged, or no safetensors file ({error})") from error
    try:
        header = json.loads(metadata.get(_HEADER, "{}"))
        ours = header.get("format") == FORMAT
    except (ValueError, AttributeError) as error:
        raise BankFileError(f"{path} is damaged: its header is no JSON object ({error})") from error
    if not ours:
        raise BankFileError(f"{path} is a safetensors file, but not of a memory bank")
    if header.get("version") != VERSION:
        raise BankFileError(f"{path} is of version {header.get('version')}; this Engram reads version {VERSION}")
    if header.get("sha256") != _digest(tensors):
        raise BankFileError(f"{path} is damaged: its tensors are not the ones that were written")
    return header, tensors


def _config(path: Path, header: dict[str, Any]) -> BankConfig:
    try:
        return BankConfig.from_dict(header.get("config", {}))
    except BankError as error:
        raise BankFileError(f"{path}: {error}") from error


def _state(
    path: Path, header: dict[str, Any], tensors: dict[str, Tensor], config: BankConfig, device: torch.device | str
) -> MemoryState | None:
    rows = header.get("rows")
    if rows is None:
        return None
    state: MemoryState = {}
    for name, stream in config.streams.items():
        prefix = f"state/{name}/"
        fields = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        like = BankState.empty(rows, config.capacity, stream.tokens, stream.bank_width, device="meta")
        expected = {key: value.shape for key, value in like._asdict().items() if key != "projected"}
        _match(path, f"the state of '{name}'", fields, expected)
        state[name] = BankState(**fields, projected=fields["tokens"][..., :0])
        sizes = state[name].size
        if bool(((sizes < 0) | (sizes > config.capacity)).any()):
            raise BankFileError(f"{path} is damaged: '{name}' has rows of more than {config.capacity} entries")
        state[name] = state[name].to(device)
    return state


def _match(path: Path, what: str, found: dict[str, Tensor], expected: dict[str, torch.Size]) -> None:
    """Raises BankFileError, naming the tensor, where one is missing, unknown, or of another shape."""
    for name in sorted(expected.keys() ^ found.keys()):
        raise BankFileError(f"{path}: {what} {'lacks' if name in expected else 'has an unknown'} '{name}'")
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise BankFileError(f"{path}: {what}: '{name}' has the shape {list(found[name].shape)}, not {list(shape)}")


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
