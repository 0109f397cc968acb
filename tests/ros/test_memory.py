"""The memory's folder: what was acknowledged is there after any end, and clearing or loading is all or nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from memory_bank.long_term import Entry, Query, StoreError
from ros.memory import Memory

KILLS = int(os.environ.get("ENGRAM_KILLS", "5"))
DIM = 1280
WRITER = """
import sys
from pathlib import Path
import numpy as np
from memory_bank.long_term import Entry
from ros.memory import Memory

memory = Memory(Path(sys.argv[1]), 1280)
rng = np.random.default_rng(int(sys.argv[2]))
while True:
    picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
    entry = Entry(embedding=rng.standard_normal(1280).astype(np.float32), t0=1.0, t1=1.0)
    print(memory.add(entry, picture).id, flush=True)
"""


def entry(number: int) -> Entry:
    vector = np.zeros(DIM, np.float32)
    vector[number] = 1.0
    return Entry(embedding=vector, t0=float(number), t1=float(number), caption=f"thing {number}")


PICTURE = np.full((8, 8, 3), 200, np.uint8)


def test_nothing_acknowledged_is_lost_by_kill_9_under_writes(tmp_path):
    rng, acknowledged = random.Random(0), []
    for number in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "memory"), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parents[2])),
        )
        first = child.stdout.readline()
        assert first
        time.sleep(rng.uniform(0.0, 0.3))
        child.kill()
        rest = child.stdout.read()
        child.wait()
        lines = (first + rest).split("\n")
        acknowledged += lines[:-1]  # the last may be half a line
    memory = Memory(tmp_path / "memory", DIM)
    kept = {each.id for each in memory.page(0, 1_000_000)}
    assert len(acknowledged) > KILLS
    assert not set(acknowledged) - kept
    assert all(memory.jpeg(id)[:3] == b"\xff\xd8\xff" for id in acknowledged)
    memory.close()


def test_cleared_it_is_empty_and_loaded_it_is_as_it_was_saved(tmp_path):
    memory = Memory(tmp_path / "memory", DIM)
    stored = [memory.add(entry(number), PICTURE).id for number in range(5)]
    assert memory.save(tmp_path / "saved") == 5
    with pytest.raises(StoreError, match="exists"):
        memory.save(tmp_path / "saved")
    assert memory.clear() == 5
    assert (len(memory), memory.jpeg(stored[0])) == (0, b"")
    with pytest.raises(StoreError, match="no saved memory"):
        memory.load(tmp_path / "nowhere")
    assert memory.load(tmp_path / "saved") == 5
    assert [each.id for each in memory.page(0, 10)] == stored
    assert [each.id for each in memory.page(3, 10)] == stored[3:]
    assert memory.query(Query(text="thing 3", k=1))[0].entry.id == stored[3]
    assert memory.jpeg(stored[4])
    memory.close()
    again = Memory(tmp_path / "memory", DIM)
    assert len(again) == 5
    again.close()


def test_a_clearing_that_a_crash_cut_off_never_was(tmp_path):
    memory = Memory(tmp_path / "memory", DIM)
    memory.add(entry(0), PICTURE)
    memory.close()
    (tmp_path / "memory" / "memory_000002" / "frames").mkdir(parents=True)  # begun, and not yet named
    again = Memory(tmp_path / "memory", DIM)
    assert len(again) == 1
    assert not (tmp_path / "memory" / "memory_000002").exists()
    again.close()


def test_one_process_a_memory(tmp_path):
    memory = Memory(tmp_path / "memory", DIM)
    with pytest.raises(StoreError):
        Memory(tmp_path / "memory", DIM)
    memory.close()
