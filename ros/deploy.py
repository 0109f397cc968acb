"""`embodied deploy`: the nodes of a robot as processes, started, watched and ended together, without colcon.

::

    embodied deploy habitat_robot checkpoint=runs/p0 episodes=data/houses/episodes/pointnav_val.json.gz

    [robot]  ...        every line with its node's name; Ctrl-C ends them from the last in the file to the first,
    [safety] armed      so that the policy goes before the gate, and the gate leaves the base at zero

A node that dies is started again, after a pause that doubles each time. One that ends with status 2 was given something
wrong, and said what: then all end. When this process dies, its nodes are told to end, too.

A robot that is stopped stays so until `python -m ros.arm`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from embodied import config as configs
from ros import contract

ALWAYS, NEVER = "always", "never"
_WRONG_INPUT = 2
"""What a node that was given something wrong ends with (`ros.running.run`)."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_WELL_S = 30.0
"""A node that ran for so long was well: the pauses begin anew."""
_END_S = 8.0
"""A node that has not ended so long after it was asked to is killed."""
_PR_SET_PDEATHSIG = 1
_COLORS = (36, 32, 33, 35, 34, 31)


@dataclass
class NodeConfig:
    """One process."""

    module: str = field(default="", metadata={"help": "Python module to run, like ros.safety_node"})
    parameters: dict[str, Any] = field(default_factory=dict, metadata={"help": "ROS parameters by name"})
    remap: dict[str, str] = field(default_factory=dict, metadata={"help": "names by what they are mapped from"})
    restart: str = field(default=ALWAYS, metadata={"help": "always or never; never: its end ends all"})


@dataclass
class DeployConfig:
    """`embodied deploy`."""

    contract: str = field(default="robot.yaml", metadata={"help": "the robot's contract, given to every node"})
    contract_overrides: list[str] = field(default_factory=list, metadata={"help": "changes to it, key.sub=value"})
    namespace: str = field(default="", metadata={"help": "of all nodes, to tell robots of one graph apart"})
    use_sim_time: bool = field(default=False, metadata={"help": "all nodes take time from /clock"})
    domain_id: int = field(default=-1, metadata={"help": "ROS_DOMAIN_ID; -1: the environment's"})
    arm: bool = field(default=False, metadata={"help": "arm the safety gate once, at the start"})
    logs: str = field(default="", metadata={"help": "folder for a log file of each node; empty: none"})
    checkpoint: str = field(default="", metadata={"help": "for ${checkpoint} in the nodes' parameters"})
    episodes: str = field(default="", metadata={"help": "for ${episodes} in the nodes' parameters"})
    memory: str = field(default="runs/robot_memory", metadata={"help": "for ${memory} in the nodes' parameters"})
    nodes: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "name: {module, parameters, remap, restart}, in the order of starting"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the key, where a value cannot be right."""
        contract.load(self.contract, self.contract_overrides)
        if not self.nodes:
            raise ValueError("nodes: nothing to start; name some, like safety: {module: ros.safety_node}")
        if self.namespace.strip("/") and not all(part.isidentifier() for part in self.namespace.strip("/").split("/")):
            raise ValueError(f"namespace: '{self.namespace}' is no ROS namespace, like robot1")
        for name, node in self.node_configs().items():
            if not node.module:
                raise ValueError(f"nodes.{name}.module must name a Python module, like ros.safety_node")
            if node.restart not in (ALWAYS, NEVER):
                raise ValueError(f"nodes.{name}.restart must be always or never, not '{node.restart}'")
            empty = [key for key, value in node.parameters.items() if value == "" and key in ("checkpoint", "episodes")]
            if empty:
                raise ValueError(f"{empty[0]} is empty, and the node {name} needs it: add {empty[0]}=...")

    def node_configs(self) -> dict[str, NodeConfig]:
        """Raises ConfigError where a node's keys are wrong."""
        for name, body in self.nodes.items():
            if not isinstance(body, dict):
                raise ValueError(f"nodes.{name} must be a mapping, like {{module: ros.safety_node}}")
        return {name: configs.from_dict(NodeConfig, body, f"nodes.{name}") for name, body in self.nodes.items()}


class Process:
    """One node: its process, its lines, and when it is to be started again."""

    def __init__(
        self, name: str, node: NodeConfig, command: list[str], environment: dict[str, str], color: int
    ) -> None:
        self.name, self.node = name, node
        self._command, self._environment = command, environment
        self._label = f"\033[{color}m[{name}]\033[0m" if sys.stdout.isatty() else f"[{name}]"
        self.popen: subprocess.Popen[str] | None = None
        self.words: deque[str] = deque(maxlen=1)
        """The last line that it printed."""
        self._pause_s, self._started_at, self.start_at = _FIRST_PAUSE_S, 0.0, 0.0
        self._reader: threading.Thread | None = None

    def start(self, log: IO[str] | None) -> None:
        self._started_at = time.monotonic()
        self.popen = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches this process, which ends its nodes in order
            preexec_fn=_die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, args=(self.popen, log), daemon=True)
        self._reader.start()

    def _read(self, popen: subprocess.Popen[str], log: IO[str] | None) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            self.words.append(line.strip())
            print(f"{self._label} {line.rstrip()}", flush=True)
            if log is not None:
                log.write(line)
                log.flush()

    def ended(self) -> int | None:
        """Its exit status, once, when it has ended."""
        if self.popen is None or self.popen.poll() is None:
            return None
        status = self.popen.returncode
        self.popen = None
        if self._reader is not None:
            self._reader.join(timeout=1.0)
        if time.monotonic() - self._started_at > _WELL_S:
            self._pause_s = _FIRST_PAUSE_S
        self.start_at = time.monotonic() + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, _LONGEST_PAUSE_S)
        return status

    def end(self) -> None:
        """Asks it to end, waits, and kills it if it does not."""
        if self.popen is None:
            return
        for number, wait_s in ((signal.SIGINT, _END_S), (signal.SIGKILL, _END_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout=wait_s)
                break
        if self._reader is not None:
            self._reader.join(timeout=1.0)


def deploy(config: DeployConfig) -> int:
    """Runs the nodes until SIGINT or SIGTERM (0), or until one cannot go on (1)."""
    ending = threading.Event()
    before = {n: signal.signal(n, lambda *_: ending.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engram-deploy-")))
        processes = [
            Process(name, node, command_of(config, name, node, folder), _environment(config), _COLORS[i % len(_COLORS)])
            for i, (name, node) in enumerate(config.node_configs().items())
        ]
        logs = {process.name: _log(config, process.name, stack) for process in processes}
        try:
            return _watch(config, processes, logs, ending)
        finally:
            for process in reversed(processes):
                process.end()
            for number, handler in before.items():
                signal.signal(number, handler)


def _watch(
    config: DeployConfig, processes: list[Process], logs: dict[str, IO[str] | None], ending: threading.Event
) -> int:
    for process in processes:
        process.start(logs[process.name])
    arming = _arming(config) if config.arm else None
    if arming is not None:
        arming.start(None)
    elif any(process.node.module == "ros.safety_node" for process in processes):
        print(f"stopped until it is armed: {sys.executable} {' '.join(_arm_arguments(config))}", flush=True)
    while not ending.wait(0.1):
        if arming is not None and arming.ended() is not None:
            arming = None
        for process in processes:
            status = process.ended()
            if status is not None:
                last = f": {process.words[-1]}" if process.words else ""
                if status == _WRONG_INPUT or process.node.restart == NEVER:
                    print(f"{process.name} ended with status {status}{last}", file=sys.stderr, flush=True)
                    return 1
                pause_s = process.start_at - time.monotonic()
                print(f"{process.name} {_how(status)}; it starts again in {pause_s:.1f} s", file=sys.stderr, flush=True)
            elif process.popen is None and time.monotonic() >= process.start_at:
                process.start(logs[process.name])
    if arming is not None:
        arming.end()
    return 0


def command_of(config: DeployConfig, name: str, node: NodeConfig, folder: Path) -> list[str]:
    """The command that runs a node; its parameters lie in a file in `folder`."""
    parameters = {
        "contract": str(configs.find(config.contract).absolute()),
        "use_sim_time": config.use_sim_time,
        **({"contract_overrides": list(config.contract_overrides)} if config.contract_overrides else {}),
        **node.parameters,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}), encoding="utf-8")
    command = [sys.executable, "-m", node.module, "--ros-args", "--params-file", str(path)]
    if config.namespace.strip("/"):
        command += ["-r", f"__ns:=/{config.namespace.strip('/')}"]
    for source, target in node.remap.items():
        command += ["-r", f"{source}:={target}"]
    return command


def _environment(config: DeployConfig) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if config.domain_id >= 0:
        environment["ROS_DOMAIN_ID"] = str(config.domain_id)
    return environment


def _arm_arguments(config: DeployConfig) -> list[str]:
    namespace = config.namespace.strip("/")
    return ["-m", "ros.arm", *(["--namespace", f"/{namespace}"] if namespace else [])]


def _arming(config: DeployConfig) -> Process:
    command = [sys.executable, *_arm_arguments(config), "--timeout-s", "300"]
    return Process("arm", NodeConfig(module="ros.arm"), command, _environment(config), _COLORS[-1])


def _log(config: DeployConfig, name: str, stack: contextlib.ExitStack) -> IO[str] | None:
    if not config.logs:
        return None
    folder = Path(config.logs)
    folder.mkdir(parents=True, exist_ok=True)
    return stack.enter_context(open(folder / f"{name}.log", "a", encoding="utf-8"))


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _die_with_parent() -> None:
    """In the child, before it runs: it gets SIGTERM when its parent dies (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
