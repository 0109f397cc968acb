"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
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
