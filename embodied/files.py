"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


class FileError(OSError):
    """A file could not be written; the message is one line that names it, the cause and the remedy."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a draft beside `path` to write to, and puts it in the place of `path` when the block ends well.

    Whatever goes wrong, `path` is as it was before, and the draft is gone.

    Raises:
        FileError: the folder cannot be written, or the disk is full.
    """
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(descriptor)
        draft = Path(name)
        yield draft
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
        draft = None
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror or error}. Free some space or choose another folder; "
            "what was there before is unchanged"
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As `replacing`, for a folder and all the files that the block puts in it.

    Raises:
        FileError: the folder cannot be written, or the disk is full.
    """
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield draft
        for item in (*draft.rglob("*"), draft):
            sync(item)
        os.chmod(draft, 0o777 & ~_umask())
        if path.exists():  # a folder cannot replace a full one in one step
            shutil.rmtree(path)
        os.replace(draft, path)
        draft = None
        sync(path.parent)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror or error}. Free some space or choose another folder"
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Writes a file whole or not at all.

    Raises:
        FileError: see `replacing`.
    """
    with replacing(path) as draft:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)


def _umask() -> int:
    """The process's umask, which only setting it tells."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
