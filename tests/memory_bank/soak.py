"""Kills a store's writer at random moments and looks whether anything acknowledged is lost.

Every life of the writer is a forked process: it opens the store, compares what was acknowledged in earlier lives with
what is there, then appends and retires as fast as it can, noting every acknowledgement in a file. This process only
forks and kills; it never touches the store, as threads of the store's libraries do not survive a fork.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import lancedb  # noqa: F401  (once, for all lives)
import numpy as np

from memory_bank.long_term import Entry, LongTermStore, Pose, StoreConfig

DIM = 16
CONFIG = StoreConfig(fold_entries=96, cache_bytes=1 << 26, keep_versions_s=0.3)
"""A fold every few appends and versions that go at once, so that kills fall into folds and what they drop."""


def soak(
    folder: Path, kills: int, seed: int = 0, longest_s: float = 2.0, tick: Callable[[], None] = lambda: None
) -> dict:
    """Runs that many lives, each killed at a random moment, then a last one that compares everything.

    Args:
        folder: an empty one.
        kills: lives that are killed.
        seed: of the moments.
        longest_s: a life's longest time; the shortest is nothing at all.
        tick: called after each life.

    Returns:
        {"kills", "acknowledged", "folds_hit"}: appends and retirements acknowledged, and kills that fell into a fold.

    Raises:
        AssertionError: something acknowledged is lost or changed, or the store does not open; the message tells.
    """
    rng = random.Random(seed)
    for life in range(kills):
        child = os.fork()
        if child == 0:
            _end(folder, lambda life=life: _live(folder, life, seed + life))
        time.sleep(rng.uniform(0.0, longest_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"life {life} ended by itself: {(folder / 'error').read_text()}"
        tick()
    child = os.fork()
    if child == 0:
        _end(folder, lambda: _compare(folder, everything=True))
    _, status = os.waitpid(child, 0)
    assert status == 0, (folder / "error").read_text()
    lines = _lines(folder / "acks")
    interrupted = (folder / "folds").read_text().split() if (folder / "folds").exists() else []
    return {
        "kills": kills,
        "acknowledged": len(lines),
        "folds_hit": interrupted.count("begin") - interrupted.count("end"),
    }


def _end(folder: Path, work: Callable[[], object]) -> None:
    """Runs a child's work and ends the process."""
    try:
        work()
        os._exit(0)
    except BaseException:
        (folder / "error").write_text(traceback.format_exc())
        os._exit(1)


def made(name: str) -> Entry:
    """The entry of that id, always the same."""
    rng = np.random.default_rng(_number(name))
    x, y = rng.uniform(-9, 9, 2)
    tokens = rng.standard_normal((2, 4)).astype(np.float16)
    t = float(rng.uniform(0, 1e6))
    return Entry(
        rng.standard_normal(DIM).astype(np.float32),
        t,
        t + 1,
        id=name,
        caption=f"the mug of {name}",
        pose=Pose(x, y),
        room=f"room {name[-1]}",
        tokens=tokens,
    )


def _number(name: str) -> int:
    return int.from_bytes(name.encode(), "little") % (2**63)


def _live(folder: Path, life: int, seed: int) -> None:
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    folds = os.open(folder / "folds", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store, names = _compare(folder, everything=life % 20 == 19)
    inner = store._fold_through

    def noted(*args, **kwargs):
        os.write(folds, b"begin ")
        inner(*args, **kwargs)
        os.write(folds, b"end ")

    store._fold_through = noted
    rng = random.Random(seed)
    number = 0
    while True:
        count = rng.choice((1, 1, 8, 32))
        some = [made(f"e{life}_{number + i}") for i in range(count)]
        number += count
        store.append(some)
        os.write(acks, "".join(f"+{entry.id}\n" for entry in some).encode())
        names += [entry.id for entry in some]
        if rng.random() < 0.2:
            gone = rng.choice(names)
            store.retire(gone, f"life {life}")
            os.write(acks, f"-{gone}\n".encode())


def _compare(folder: Path, everything: bool) -> tuple[LongTermStore, list[str]]:
    """Opens the store and compares; gives it, and the ids in it that were acknowledged."""
    store = LongTermStore.open(folder / "store", DIM, config=CONFIG)
    lines = _lines(folder / "acks")
    names = [line[1:] for line in lines if line[0] == "+"]
    gone = {line[1:] for line in lines if line[0] == "-"}
    looked = names if everything else [*names[-300:], *random.Random(len(names)).sample(names, min(50, len(names)))]
    for start in range(0, len(looked), 500):
        for entry in store.get(looked[start : start + 500]):  # raises where one is missing
            want = made(entry.id)
            assert np.array_equal(entry.embedding, want.embedding), f"{entry.id}: another embedding"
            assert np.array_equal(entry.tokens, want.tokens), f"{entry.id}: other tokens"
            same = (entry.t0, entry.t1, entry.caption, entry.pose, entry.room)
            assert same == (want.t0, want.t1, want.caption, want.pose, want.room), f"{entry.id}: changed"
            # what was retired without its acknowledgement having been noted may be retired
            assert entry.retired or entry.id not in gone, f"{entry.id}: in use again"
    if everything:
        scanned = [entry.id for entry in store.scan()]
        assert len(scanned) == len(set(scanned)), "an entry is there twice"
        assert set(names) <= set(scanned), "an acknowledged entry is not found by a scan"
        assert store.check() == [], store.check()
    return store, names


def _lines(path: Path) -> list[str]:
    """Complete lines: the last may have been cut by the kill."""
    return path.read_text().split("\n")[:-1] if path.exists() else []
