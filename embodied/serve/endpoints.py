"""Where a server listens: a Unix socket that only this user reaches, and perhaps a port of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

_BACKLOG = 64
_LONGEST_PATH = 107
"""Bytes of a Unix socket's path, in Linux."""


class EndpointError(OSError):
    """A server cannot listen there; the message is one line that names the place and the remedy."""


class UnixEndpoint:
    """A listening Unix socket at `path`, which nobody but this user can connect to.

    A socket file that a dead server left is replaced, a living one's is not.

    Raises:
        EndpointError: somebody listens there already; the folder is open to others; the path is no place for a socket.
    """

    def __init__(self, path: Path) -> None:
        path = path.absolute()
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise EndpointError(f"socket: {path} is longer than {_LONGEST_PATH} bytes; choose a shorter path")
        self.path = path
        with _locked(
            _private_folder(path.parent)
        ):  # two servers that start at once: one looks and binds, then the other
            _clear(path)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                os.fchmod(self.socket.fileno(), 0o600)  # what the file is created with, so it is never open to others
                self.socket.bind(str(path))
                self.socket.listen(_BACKLOG)
            except OSError as error:
                self.socket.close()
                raise EndpointError(f"socket: cannot listen at {path}: {error.strerror}") from error
            self._identity = _identity(path)

    def close(self) -> None:
        """Closes the socket and removes its file, unless it is another's by now."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()


def listen_tcp(port: int) -> socket.socket:
    """A socket that listens at a port of 127.0.0.1; 0: a free one. Raises EndpointError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise EndpointError(f"tcp_port: cannot listen at 127.0.0.1:{port}: {error.strerror}") from error
    return listener


def token(path: Path) -> str:
    """The token in `path`; a missing file is written, with a random one.

    Raises:
        EndpointError: the file cannot be read or written, others can read it, or it is too short to be a secret.
    """
    try:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        if path.stat().st_mode & 0o077:
            raise EndpointError(f"token_file: others can read {path}; chmod 600 it")
        found = path.read_text(encoding="utf-8").strip()
    except EndpointError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise EndpointError(f"token_file: cannot use {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(found) < 16:
        raise EndpointError(
            f"token_file: the token in {path} is shorter than 16 characters; remove it to get a new one"
        )
    return found


def _private_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        raise EndpointError(f"socket: cannot make the folder {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(about.st_mode):
        raise EndpointError(f"socket: {folder} is no folder")
    if about.st_uid != os.getuid():
        raise EndpointError(f"socket: the folder {folder} is not this user's; choose another path")
    if about.st_mode & 0o022:
        raise EndpointError(f"socket: others can write to the folder {folder}; chmod 700 it, or choose another path")
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(path: Path) -> None:
    """Removes the socket of a dead server."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EndpointError(f"socket: {path} is there and is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a living server whose queue is full says "try again", a dead one refuses
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError:
            pass
    raise EndpointError(f"socket: a server is listening at {path} already; stop it, or choose another path")


def _identity(path: Path) -> tuple[int, int]:
    about = path.lstat()
    return about.st_dev, about.st_ino
