"""How a policy is served. Imports nothing heavy: clients find the socket with it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


def default_socket() -> Path:
    """Where a server listens if nothing else is said: in a folder of this user's that no one else can open."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "engram" if runtime else Path(tempfile.gettempdir()) / f"engram-{os.getuid()}"
    return folder / "policy.sock"


@dataclass
class ServeConfig:
    """`embodied serve`: one policy, many sessions."""

    checkpoint: str = field(default="runs/vla", metadata={"help": "a checkpoint's folder, or a run's (its newest)"})
    socket: str = field(
        default="",
        metadata={
            "help": "path of the Unix socket; its folder is made for this user alone. Empty: engram/policy.sock in the "
            "user's runtime folder, or engram-UID/policy.sock in the temporary one"
        },
    )
    tcp_port: int = field(
        default=-1, metadata={"help": "also listen at this port of 127.0.0.1; 0: a free one; -1: no TCP"}
    )
    token_file: str = field(
        default="",
        metadata={"help": "file with the token that TCP clients must give; written, for this user alone, if missing"},
    )
    max_sessions: int = field(default=16, metadata={"help": "episodes at a time; each has a memory of its own"})
    batch_wait_ms: float = field(
        default=5.0, metadata={"help": "how long a request waits at most for others to be decided with, milliseconds"}
    )
    idle_s: float = field(
        default=600.0, metadata={"help": "sessions that are not used for so long are closed, seconds"}
    )
    io_timeout_s: float = field(
        default=5.0, metadata={"help": "deadline for a message to arrive once it has begun, or to be taken, seconds"}
    )
    report_s: float = field(default=60.0, metadata={"help": "seconds between lines on load and latency; 0: none"})
    seed: int = field(default=0, metadata={"help": "of the noise of chunks, together with each session's seed"})
    device: str = field(default="auto", metadata={"help": "auto (a GPU if there is one), cpu, cuda or cuda:N"})
    torch_threads: int = field(default=0, metadata={"help": "of the CPU; 0: torch's choice"})

    def socket_path(self) -> Path:
        return Path(self.socket) if self.socket else default_socket()

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        for name in ("max_sessions",):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("batch_wait_ms", "report_s", "seed", "torch_threads"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, as {getattr(self, name)} is")
        for name in ("idle_s", "io_timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not -1 <= self.tcp_port < 1 << 16:
            raise ValueError(f"tcp_port must be a port, 0 (a free one) or -1 (no TCP), not {self.tcp_port}")
        if self.tcp_port >= 0 and not self.token_file:
            raise ValueError("token_file: name a file for the token; whoever is on this machine can reach a TCP port")
