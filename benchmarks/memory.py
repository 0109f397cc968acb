"""The long-term store as it grows: queries, recall, insertion, memory.

One store takes entries of clustered embeddings (10,000 centres, cosine about 0.7 to them) with
poses, rooms, times and captions, in appends of 64, each acknowledged when it is on the disk. At 10^3, 10^4, ...
entries insertion stops, what is being folded is waited for, and queries are timed one after the other, each for 10
entries near a vector that no entry has; recall is against exact search over all vectors. The clock of insertion
includes the journal's syncs, folding and indexing beside, not the making of the data. Processor time a query is told
too, for a machine that does other things. Words, time and place are queried as well, and appends of one entry timed.

With --kills N the writer of a small store is killed N times at random moments instead (tests/memory_bank/soak.py).

Usage: python benchmarks/memory.py [--quick] [--plot PNG] [--folder FOLDER] [--kills N]
Last line: {"query_p99_ms", "recall_at_10", "inserts_per_s", ...} at the largest size.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from memory_bank.long_term import Entry, LongTermStore, Place, Pose, Query

DIM = 384
APPEND = 64
CHUNK = 4096
QUERIES = 300
CENTRES = 10_000
COLOURS = ("red", "green", "blue", "white", "black", "yellow")
THINGS = ("mug", "plate", "book", "lamp", "chair", "plant", "bottle", "towel", "bowl", "box")
ROOMS = ("kitchen", "bath", "hall", "bedroom", "office")


class Source:
    """Embeddings and entries from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.centres = np.random.default_rng(seed).standard_normal((CENTRES, DIM), dtype=np.float32)

    def vectors(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """[count, DIM] of length 1."""
        near = self.centres[rng.integers(0, len(self.centres), count)]
        made = near + rng.standard_normal((count, DIM), dtype=np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def entries(self, first: int, vectors: np.ndarray) -> Iterator[Entry]:
        rng = np.random.default_rng([self.seed, 2, first])
        drawn = rng.integers(0, 1 << 30, (len(vectors), 3))
        xy = rng.uniform(-20, 20, (len(vectors), 2))
        for i, vector in enumerate(vectors):
            colour, thing, room = (
                names[d % len(names)] for names, d in zip((COLOURS, THINGS, ROOMS), drawn[i], strict=True)
            )
            yield Entry(
                vector,
                first + i,
                first + i + 1,
                caption=f"a {colour} {thing} in the {room}, seen as object {first + i}",
                pose=Pose(xy[i, 0], xy[i, 1]),
                room=room,
                instance_ids=(f"{thing}_{drawn[i, 0] % 50}",),
                provenance={"frame": first + i},
            )


class Exact:
    """The ten nearest of each query among all vectors so far, by number."""

    def __init__(self, queries: np.ndarray) -> None:
        self.queries = queries
        self.scores = np.full((len(queries), 10), -2, np.float32)
        self.numbers = np.full((len(queries), 10), -1)

    def add(self, first: int, vectors: np.ndarray) -> None:
        scores = np.concatenate([self.scores, self.queries @ vectors.T], axis=1)
        new = np.broadcast_to(np.arange(first, first + len(vectors)), (len(self.queries), len(vectors)))
        numbers = np.concatenate([self.numbers, new], axis=1)
        best = np.argsort(-scores, axis=1)[:, :10]
        self.scores = np.take_along_axis(scores, best, 1)
        self.numbers = np.take_along_axis(numbers, best, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="stop at 100,000 entries")
    parser.add_argument("--size", type=int, help="stop at this many, instead of a million")
    parser.add_argument("--plot", type=Path, help="draw the growth into this file")
    parser.add_argument("--kills", type=int, default=0, help="kill the writer this often instead")
    parser.add_argument(
        "--folder", type=Path, help="where the store is made and left, or goes on; default: a temporary one"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.kills:
        return kill(arguments.kills, arguments.seed)
    size = arguments.size or (100_000 if arguments.quick else 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = grow((arguments.folder or Path(folder)) / "store", size, arguments.seed)
    show(rows)
    if arguments.plot:
        plot(rows, arguments.plot)
    print(json.dumps(rows[-1]))


def kill(kills: int, seed: int) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "memory_bank"))
    from soak import soak

    with tempfile.TemporaryDirectory() as folder, _progress() as progress:
        task = progress.add_task("kills", total=kills)
        result = soak(Path(folder), kills, seed, tick=lambda: progress.advance(task))
    print(json.dumps(result))


def grow(path: Path, size: int, seed: int) -> list[dict[str, Any]]:
    """Fills a store up to `size` and measures at every power of ten."""
    source = Source(seed)
    exact = Exact(source.vectors(np.random.default_rng([seed, 1]), QUERIES))
    stops = [10**power for power in range(3, 9) if 10**power < size] + [size]
    rows = []
    with LongTermStore.open(path, DIM) as store, _progress() as progress:
        task = progress.add_task("entries", total=size)
        count, there = 0, store.count(Query(retired=True))  # a store of an earlier run goes on
        for stop in [stop for stop in stops if stop >= there] or [there]:
            timed, apart, began = 0, 0.0, time.perf_counter()
            while count < stop:
                own = time.perf_counter()
                vectors = source.vectors(np.random.default_rng([seed, 3, count]), min(CHUNK, stop - count))
                entries = list(source.entries(count, vectors))[max(0, there - count) :]
                exact.add(count, vectors)
                apart += time.perf_counter() - own  # making and comparing vectors is the benchmark's own
                for start in range(0, len(entries), APPEND):
                    store.append(entries[start : start + APPEND])
                count += len(vectors)
                timed += len(entries)
                progress.update(task, completed=count)
            rate = timed / (time.perf_counter() - began - apart) if timed else 0
            rows.append({"entries": count, "inserts_per_s": round(rate)} | measure(store, exact, count))
            print(json.dumps(rows[-1]), flush=True)
        rows[-1] |= single_appends(store, source)
    return rows


def measure(store: LongTermStore, exact: Exact, count: int) -> dict[str, Any]:
    """Queries at rest."""
    store.wait()
    for vector in exact.queries[:30]:
        store.query(vector=vector + 0.01)
    latencies, found, busy = [], 0, time.process_time()
    for vector, numbers in zip(exact.queries, exact.numbers, strict=True):
        began = time.perf_counter()
        hits = store.query(vector=vector, k=10)
        latencies.append(time.perf_counter() - began)
        found += len({hit.entry.provenance["frame"] for hit in hits} & set(numbers.tolist()))
    busy = time.process_time() - busy
    rng = np.random.default_rng(count)

    def timed(**asked: Any) -> float:
        began = time.perf_counter()
        store.query(k=10, **asked)
        return time.perf_counter() - began

    words = [timed(text=f"{COLOURS[i % 6]} {THINGS[i % 10]} object {rng.integers(count)}") for i in range(50)]
    window = [timed(vector=exact.queries[i], time=(t := float(rng.integers(count)), t + 1000.0)) for i in range(50)]
    place = [timed(vector=exact.queries[i], place=Place(*rng.uniform(-20, 20, 2), 0, 2.0)) for i in range(50)]
    return {
        "query_p50_ms": _ms(latencies, 50),
        "query_p99_ms": _ms(latencies, 99),
        "query_cpu_ms": round(busy / len(latencies) * 1e3, 2),
        "recall_at_10": round(found / (10 * len(latencies)), 4),
        "words_p50_ms": _ms(words, 50),
        "vector_time_p50_ms": _ms(window, 50),
        "vector_place_p50_ms": _ms(place, 50),
        "resident_mb": _resident_mb(),
        "disk_mb": round(sum(item.stat().st_size for item in store.path.rglob("*") if item.is_file()) / 2**20),
    }


def single_appends(store: LongTermStore, source: Source) -> dict[str, Any]:
    """Appends of one entry each: by one thread, and by sixteen, whose syncs are shared."""
    entries = list(source.entries(10**9, source.vectors(np.random.default_rng(9), 1200)))
    times = []
    for entry in entries[:200]:
        began = time.perf_counter()
        store.append(entry)
        times.append(time.perf_counter() - began)
    parts = [entries[200 + i :: 16] for i in range(16)]
    threads = [threading.Thread(target=lambda part=part: [store.append(entry) for entry in part]) for part in parts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(map(len, parts)) / (time.perf_counter() - began)
    return {"single_append_p50_ms": _ms(times, 50), "single_appends_16_threads_per_s": round(rate)}


def _ms(seconds: list[float], percentile: int) -> float:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 2)


def _resident_mb() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) // 1024


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f}/s")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        transient=True,
        console=Console(stderr=True),
    )


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="long-term store")
    names = list(rows[0])
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{row[name]:,}" for name in names))
    Console().print(table)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = [row["entries"] for row in rows]
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for axis, title, names in (
        (axes[0], "query, ms", ["query_p50_ms", "query_p99_ms"]),
        (axes[1], "recall at 10", ["recall_at_10"]),
        (axes[2], "inserts a second", ["inserts_per_s"]),
        (axes[3], "MB", ["resident_mb", "disk_mb"]),
    ):
        for name in names:
            axis.plot(sizes, [row[name] for row in rows], marker="o", label=name.replace("_", " "))
        axis.set(xscale="log", xlabel="entries", title=title)
        axis.set_ylim(*((0.9, 1.005) if names == ["recall_at_10"] else (0, None)))
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
