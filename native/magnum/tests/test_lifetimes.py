"""Nothing leaks and nothing crashes, however often simulators and objects come and go. Each test is a process of its
own, so that a crash is one failure and memory is measured from a clean start."""

import json
import subprocess
from pathlib import Path

from sim.runtime import default_sim_python

SCRIPT = Path(__file__).with_name("lifetimes.py")
#: What one simulator, and one rigid object in it, were seen to weigh.
SIMULATOR_MB, OBJECT_MB = 8.0, 0.03


def run(name, *arguments):
    command = [str(default_sim_python()), str(SCRIPT), name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hundred_simulators_open_and_close_without_growth():
    result = run("reopen", 100)
    memory = result["memory_mb"]
    assert len(memory) == 100
    # The first few fill caches. After them the OpenGL driver keeps 16 kB a rendering context, whatever its cameras.
    assert memory[-1] - memory[20] < SIMULATOR_MB / 2
    assert result["open_files"] < 20


def test_thousands_of_physics_steps_leave_memory_as_it_was():
    result = run("physics", 3000, 30)
    memory = result["memory_mb"]
    assert memory[-1] - memory[len(memory) // 3] < 1
    assert len(result["heights_m"]) == 30
    assert all(0 < height < 2.5 for height in result["heights_m"])  # none fell through the floor


def test_objects_that_come_and_go_leave_memory_as_it_was():
    memory = run("churn", 1000)["memory_mb"]
    assert memory[-1] - memory[2] < 50 * OBJECT_MB


def test_a_process_may_end_with_everything_open():
    assert run("leave_open")["alive"] == 6
