"""From a camera's stamp to the stamp of the velocity that the base gets, with memories of different size beside.

Processes of their own over DDS: policy node (a small policy, torch on one thread), safety gate, memory node, and this
one, which plays the robot: colour and depth at 64 x 64, CameraInfo and odometry at 10 Hz, and a query to the memory
twice a second. A frame's latency is the stamp of the first velocity on the base's topic after the policy's command for
that frame, less the frame's stamp; `policy_*` is without the gate, which passes commands on 50 times a second.

The policy has random weights unless --checkpoint names one: that changes what it does, not how long it takes.

Also measured: seconds from the memory node's start until it answers, with the largest memory, and how much of that it
was computing (a loaded machine shows a wide gap); with --kills N, entries that were acknowledged and are gone after the
node was killed (-9) N times under writes.

Usage: python benchmarks/ros.py [--quick] [--checkpoint RUN] [--kills N]
Last line: {"latency_p50_ms", "latency_p99_ms", "growth", "policy_p99_ms", "query_p99_ms", "restart_s", ...}; p99 is the
worst of all sizes, growth is the p99 with the largest memory over that with the smallest.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "ros"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, where this file is called ros too

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from robots import Driver, answered, parameters, private_domain, process, save_checkpoint, spinning, until
from std_srvs.srv import Trigger

from memory_bank.long_term import Entry, LongTermStore, Pose, StoreConfig
from ros import contract, interfaces, messages
from ros.embedding import DIM

SIZES = (10, 1000, 10_000)
_PATIENCE_S = 240.0


class Robot:
    """The robot, played by this process, and what it sees of the others."""

    def __init__(self, node: Any) -> None:
        self.node, self.types = node, interfaces.load()
        self.robot = contract.load()
        self.driver = Driver(node, self.robot, commands="base")
        self.decisions: list[Any] = []
        self.base_ns: list[int] = []
        self.stored: list[str] = []
        node.create_subscription(self.types.msg.Decision, "policy/decision", self.decisions.append, 100)
        node.create_subscription(messages.twist_type(self.robot.base), self.robot.base.topic, self._base, 100)
        node.create_subscription(
            self.types.msg.MemoryEntry, "memory/stored", lambda entry: self.stored.append(entry.id), 100
        )
        self.navigate = ActionClient(node, self.types.action.Navigate, "policy/navigate")
        self.arm = node.create_client(Trigger, "safety/arm")
        self.query = node.create_client(self.types.srv.QueryMemory, "memory/query")
        self.list = node.create_client(self.types.srv.ListMemory, "memory/list")

    def _base(self, message: Any) -> None:
        self.base_ns.append(messages.nanoseconds(message.header.stamp))

    def call(self, client: Any, request: Any) -> Any:
        return answered(client, request, _PATIENCE_S)

    def go(self) -> None:
        """Arms the gate and gives the policy a goal that it does not reach."""
        Navigate = self.types.action.Navigate
        stamp = messages.stamp_of(0)
        pose = messages.pose_stamped(messages.Pose(1e4, 0.0, 0.0), stamp, self.robot.frames.name("odom"))
        while True:
            until(self.navigate.server_is_ready, _PATIENCE_S, "the policy")
            until(lambda: self.call(self.arm, Trigger.Request()).success, _PATIENCE_S, "arming")
            sending = self.navigate.send_goal_async(Navigate.Goal(kind=Navigate.Goal.POSE, pose=pose))
            until(sending.done, _PATIENCE_S, "the policy's answer")
            if sending.result().accepted:
                return
            time.sleep(0.5)

    def measure(self, seconds: float, tick: Any) -> dict[str, float]:
        """Latencies over so many seconds, milliseconds."""
        self.decisions.clear()
        self.base_ns.clear()
        asked: list[float] = []
        ending = time.monotonic() + seconds
        while time.monotonic() < ending:
            began = time.perf_counter()
            answer = self.call(self.query, self.types.srv.QueryMemory.Request(text="chair", limit=5))
            asked.append(1e3 * (time.perf_counter() - began))
            if not answer.success:
                raise RuntimeError(answer.message)
            time.sleep(max(0.0, 0.5 - (time.perf_counter() - began)))
            tick()
        decisions, base = list(self.decisions), sorted(self.base_ns)
        policy, through = [], []
        for decision in decisions:
            seen, commanded = (
                messages.nanoseconds(decision.header.stamp),
                messages.nanoseconds(decision.commanded),
            )
            policy.append((commanded - seen) / 1e6)
            place = bisect.bisect_left(base, commanded)
            if place < len(base):
                through.append((base[place] - seen) / 1e6)
        if len(through) < 10:
            raise RuntimeError(f"only {len(through)} commands in {seconds} s: is the robot driving?")
        return {
            "frames": len(through),
            "p50": float(np.percentile(through, 50)),
            "p99": float(np.percentile(through, 99)),
            "policy_p50": float(np.percentile(policy, 50)),
            "policy_p99": float(np.percentile(policy, 99)),
            "query_p50": float(np.percentile(asked, 50)),
            "query_p99": float(np.percentile(asked, 99)),
        }


def fill(root: Path, count: int) -> None:
    """A memory of `count` entries as the node keeps it, without pictures."""
    rng = np.random.default_rng(0)
    folder = root / "memory_000001"
    folder.mkdir(parents=True)
    (root / "CURRENT.json").write_text(json.dumps({"memory": folder.name}))
    config = StoreConfig(fold_entries=32_768, fold_bytes=256 << 20)
    with LongTermStore.open(folder / "store", DIM, config=config) as store:
        for start in range(0, count, 500):
            numbers = range(start, min(start + 500, count))
            store.append(
                [
                    Entry(
                        embedding=rng.standard_normal(DIM).astype(np.float32),
                        t0=float(number),
                        t1=float(number),
                        caption=f"{'chair' if number % 3 else 'table'} {number}",
                        pose=Pose(*rng.uniform(-10, 10, 2).tolist()),
                    )
                    for number in numbers
                ]
            )


@contextmanager
def memory_node(folder: Path, log: Path, **more: Any) -> Iterator[Any]:
    with process("ros.memory_node", *parameters(store=folder, **more), log=log) as child:
        yield child


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kills(robot: Robot, folder: Path, log: Path, count: int, tick: Any) -> int:
    """Kills the memory node `count` times under writes; entries acknowledged and lost."""
    rng = random.Random(0)
    writing = {"rate_hz": 50.0, "new_below": 1.0, "encoder_side": 32}
    robot.stored.clear()
    for _ in range(count):
        with memory_node(folder, log, **writing) as child:
            before = len(robot.stored)
            until(lambda before=before: len(robot.stored) > before, _PATIENCE_S, "a memory")
            time.sleep(rng.uniform(0.0, 0.5))
            child.kill()
            child.wait()
        time.sleep(0.2)
        tick()
    acknowledged = set(robot.stored)
    with memory_node(folder, log, **writing):
        kept = {
            entry.id for entry in robot.call(robot.list, robot.types.srv.ListMemory.Request(limit=1_000_000)).entries
        }
    return len(acknowledged - kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 s a size instead of 100")
    parser.add_argument("--checkpoint", type=Path, help="a velocity policy; without: random weights")
    parser.add_argument("--kills", type=int, default=0, help="times the memory node is killed under writes")
    options = parser.parse_args()
    private_domain()
    seconds = 20.0 if options.quick else 100.0
    rclpy.init()
    node = rclpy.create_node("robot")
    found: dict[int, dict[str, float]] = {}
    restart_s = restart_cpu_s = 0.0
    lost = 0
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack, Progress(transient=True) as progress:
        folder = Path(temporary)
        log = folder / "log"
        bar = progress.add_task("starting", total=len(SIZES) * seconds / 0.5 + options.kills)
        tick = lambda: progress.advance(bar)  # noqa: E731
        checkpoint = options.checkpoint or save_checkpoint(folder / "checkpoint", bias=(0.0, 0.2))
        robot = Robot(node)
        stack.enter_context(spinning(node))
        stack.enter_context(process("ros.safety_node", log=log))
        settings = parameters(checkpoint=checkpoint.absolute(), autostart=True, goal_timeout_s=10_000.0)
        stack.enter_context(process("ros.policy_node", *settings, log=log))
        for size in SIZES:
            progress.update(bar, description=f"{size} entries")
            fill(folder / f"memory_{size}", size)
            began = time.monotonic()
            with memory_node(folder / f"memory_{size}", log) as child:
                if robot.call(robot.list, robot.types.srv.ListMemory.Request(limit=1)).total < size:
                    raise RuntimeError("the memory is not whole")
                restart_s, restart_cpu_s = time.monotonic() - began, cpu_s(child.pid)
                robot.go()
                until(lambda: robot.decisions and robot.stored, _PATIENCE_S, "decisions and memories")
                found[size] = robot.measure(seconds, tick)
            robot.stored.clear()
        if options.kills:
            progress.update(bar, description="kill -9")
            lost = kills(robot, folder / "killed", log, options.kills, tick)
    node.destroy_node()
    rclpy.try_shutdown()

    table = Table(
        "entries", "frames", "p50 ms", "p99 ms", "policy p50", "policy p99", "query p50", "query p99", box=None
    )
    for size, row in found.items():
        table.add_row(str(size), *(f"{value:.1f}" for value in row.values()))
    Console().print(table)
    print("policy:", options.checkpoint or "random weights")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    summary = {
        "latency_p50_ms": round(max(row["p50"] for row in found.values()), 1),
        "latency_p99_ms": round(max(row["p99"] for row in found.values()), 1),
        "growth": round(found[SIZES[-1]]["p99"] / found[SIZES[0]]["p99"], 3),
        "growth_p50": round(found[SIZES[-1]]["p50"] / found[SIZES[0]]["p50"], 3),
        "policy_p50_ms": round(max(row["policy_p50"] for row in found.values()), 1),
        "policy_p99_ms": round(max(row["policy_p99"] for row in found.values()), 1),
        "query_p99_ms": round(max(row["query_p99"] for row in found.values()), 1),
        "restart_s": round(restart_s, 2),
        "restart_cpu_s": round(restart_cpu_s, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    if options.kills:
        summary |= {"kills": options.kills, "lost": lost}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
