"""`embodied doctor`: looks at every piece that Engram stands on, and says what it found and how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from sim import runtime

_DDS_DEADLINE_S = 10.0
_LOW_DISK_GIB = 5


class Trouble(Exception):
    """A piece that does not work: what was found, and the remedy."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


@dataclass(frozen=True)
class Check:
    """One piece. `run` returns what it found or raises `Trouble`; without a `needed` one the main job still runs."""

    name: str
    run: Callable[[], str]
    needed: bool = True


def main() -> int:
    """Runs all checks and prints a line for each; 1 if the main job could not run, else 0."""
    console = Console(highlight=False)
    broken = 0
    for check in CHECKS:
        try:
            found, mark, remedy = check.run(), "[green]ok  [/]", ""
        except Trouble as trouble:
            found, remedy = str(trouble), trouble.remedy
            mark = "[red]FAIL[/]" if check.needed else "[yellow]none[/]"
            broken += check.needed
        except Exception as error:  # a check must not end the others, and what it could not do is a finding
            found, mark, remedy = f"{type(error).__name__}: {error}", "[red]FAIL[/]", "run `make setup` again"
            broken += check.needed
        console.print(f"{mark} {check.name:<22} {escape(' '.join(found.split()))}", soft_wrap=True)
        if remedy:
            console.print(f"     {'':<22} [bold]->[/] {escape(remedy)}", soft_wrap=True)
    console.print("everything that the main job needs is there" if not broken else f"{broken} of these must be mended")
    return 1 if broken else 0


# -- the learning side
# --------------------------------------------------------------------------------------------------


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Trouble(f"Python {version}", "Engram needs 3.11 to 3.13: set ENGRAM_PYTHON and run `make setup`")
    return f"{version} ({sys.executable})"


def _torch() -> str:
    import torch

    value = torch.ones(2, 3) @ torch.ones(3, 2)
    assert value[0, 0] == 3
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise Trouble("no CUDA device that torch can use", "training runs on the CPU; with a GPU, install its driver")
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _video() -> str:
    import imageio_ffmpeg

    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"


def _disk() -> str:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    if free_gib < _LOW_DISK_GIB:
        raise Trouble(
            f"{free_gib:.1f} GiB free here", "runs, houses and reports need room: free some, or run elsewhere"
        )
    return f"{free_gib:.0f} GiB free here"


def _dds() -> str:
    """A message from another process, over real DDS."""
    try:
        import rclpy
        from rclpy.qos import QoSProfile
        from std_msgs.msg import String
    except ImportError as error:
        raise Trouble(str(error), "for ROS 2: `make setup` installs the wheels, or source a system ROS 2") from error
    topic = f"engram_doctor_{os.getpid()}"
    rclpy.init()
    try:
        node = rclpy.create_node(f"{topic}_listener")
        heard: list[str] = []
        node.create_subscription(String, topic, lambda message: heard.append(message.data), QoSProfile(depth=1))
        talker = subprocess.Popen(
            [sys.executable, "-c", _TALKER, topic], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        start = time.monotonic()
        while not heard and time.monotonic() - start < _DDS_DEADLINE_S:
            rclpy.spin_once(node, timeout_sec=0.1)
        talker.communicate()
        node.destroy_node()
    finally:
        rclpy.shutdown()
    if not heard:
        remedy = "allow UDP multicast on the loopback interface, or look at ROS_DOMAIN_ID and RMW_IMPLEMENTATION"
        raise Trouble(f"no message between two processes in {_DDS_DEADLINE_S:.0f} s", remedy)
    return f"a message between two processes after {time.monotonic() - start:.1f} s"


#: Publishes until its standard input closes.
_TALKER = """
import select, sys, rclpy
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node(sys.argv[1] + "_talker")
publisher = node.create_publisher(String, sys.argv[1], 1)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    publisher.publish(String(data="loopback"))
"""


# -- the simulator's side
# -----------------------------------------------------------------------------------------------


def _c_runtime() -> str:
    version = "glibc {}.{}".format(*runtime.glibc_version())
    if os.environ.get("ENGRAM_SIM_PYTHON"):
        return f"{version}; the simulator interpreter is yours"
    if runtime.glibc_version() >= runtime.NEEDED_GLIBC:
        return version
    if not (runtime.LIBC_DIR / "libc.so.6").exists():
        raise Trouble(f"{version}, and no private C runtime", "run `make setup`")
    return f"{version}; the simulator runs on the private C runtime in .sim/libc"


def _simulator_python() -> str:
    try:
        python = runtime.default_sim_python()
    except FileNotFoundError as error:
        raise Trouble(str(error), "run `make setup`") from error
    code = "import sys, numpy; print('%d.%d.%d, numpy' % sys.version_info[:3], numpy.__version__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Trouble(f"{python}: {last}", "remove the folder .sim and run `make setup`")
    return f"{done.stdout.strip()} ({python})"


def _graphics() -> str:
    missing = runtime.missing_system_packages()
    if missing:
        raise Trouble(f"missing: {', '.join(missing)}", "sudo apt-get install " + " ".join(missing))
    return f"libEGL and libOpenGL; EGL drivers: {', '.join(runtime.egl_vendors())}"


def _simulation() -> str:
    """Makes a house, opens it in a worker, and looks at its picture and its navmesh."""
    from sim.config import SimConfig
    from sim.errors import SimulatorError
    from sim.houses import HouseDatasetConfig, build_dataset
    from sim.vector_env import HabitatVectorEnv

    with tempfile.TemporaryDirectory() as folder:
        try:
            root = build_dataset(HouseDatasetConfig(out=folder, train=1, val=0, test=0, max_rooms=3), progress=False)
            episodes = root / "episodes" / "pointnav_train.json.gz"
            env = HabitatVectorEnv(SimConfig(task="pointnav", episodes=str(episodes), num_envs=1))
        except SimulatorError as error:
            raise Trouble(str(error), "mend what is marked above; the worker's own words are in the message") from error
        try:
            observations, infos = env.reset()
            shades = len(np.unique(observations["rgb"]))
            distance_m = float(infos["metrics"]["distance_to_goal"][0])
            versions = f"habitat-sim {env.versions['habitat_sim']}, habitat-lab {env.versions['habitat_lab']}"
        finally:
            env.close()
    if shades < 8:
        raise Trouble(f"{versions}: the rendered frame is blank", "check the EGL driver: try LIBGL_ALWAYS_SOFTWARE=1")
    if not np.isfinite(distance_m):
        raise Trouble(f"{versions}: the navmesh finds no path", "please report this: the generated house is faulty")
    return f"{versions}; a frame with {shades} shades, a goal {distance_m:.1f} m away on the navmesh"


CHECKS = (
    Check("Python", _python),
    Check("torch", _torch),
    Check("GPU", _gpu, needed=False),
    Check("video encoder", _video),
    Check("disk", _disk),
    Check("C runtime", _c_runtime),
    Check("simulator's Python", _simulator_python),
    Check("graphics libraries", _graphics),
    Check("simulation", _simulation),
    Check("ROS 2 over DDS", _dds, needed=False),
)


if __name__ == "__main__":
    sys.exit(main())
