"""How long the base goes on moving after a fault, over real DDS: kill -9, a frozen camera, NaN, a flood, the e-stop.

Safety node, driver and policy are processes of their own. The base's commands are heard in this process, and the time
is from the fault to the last velocity other than zero: what the base itself would see, with this process's own delay.

Usage: python benchmarks/safety.py [--quick] [--rounds 40]
Last line: {"FAULT": {"n", "p50_ms", "max_ms"}, ..., "max_ms", "over_200_ms"}.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(ROOT / "tests" / "ros"))

from bench import Bench  # noqa: E402
from graph import Graph  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five rounds")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    with Graph() as graph:
        bench = Bench(graph)

        def estop() -> float:
            now = time.monotonic()
            graph.call(SetBool, "safety/estop", SetBool.Request(data=True))
            return now

        faults: dict[str, Callable[[], float]] = {
            "kill -9": lambda: bench.commander.kill(),
            "silent policy": lambda: bench.commander.do(command=None),
            "frozen camera": lambda: bench.robot.do(camera="repeat"),
            "no camera": lambda: bench.robot.do(camera="off"),
            "NaN": lambda: bench.commander.do(command=[math.nan, 0.0]),
            "1000 Hz": lambda: bench.commander.do(rate_hz=1000.0),
            "e-stop": estop,
        }
        times_s: dict[str, list[float]] = {name: [] for name in faults}
        for _ in track(range(5 if given.quick else given.rounds), "rounds"):
            for name, fault in faults.items():
                bench.ready()
                times_s[name].append(bench.stop_time_s(fault()))
    every = np.concatenate([np.array(times) for times in times_s.values()]) * 1000.0
    result: dict[str, object] = {
        name: {
            "n": len(times),
            "p50_ms": round(float(np.median(times)) * 1000.0, 1),
            "max_ms": round(max(times) * 1000.0, 1),
        }
        for name, times in times_s.items()
    }
    result |= {"max_ms": round(float(every.max()), 1), "over_200_ms": int((every > 200.0).sum())}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
