"""The worker runs under a user's conda Habitat, whose Python is 3.9: its files must compile there and its protocol
work.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_uv():
    own = ROOT / ".uv" / "bin" / "uv"
    return str(own) if own.exists() else shutil.which("uv")


@pytest.fixture(scope="module")
def python39():
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which("python3.9"), *sorted(map(str, pyenv.glob("versions/3.9.*/bin/python")))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    pytest.skip("no Python 3.9 on this machine")


def test_every_worker_file_compiles_under_python_3_9(python39):
    files = [str(path) for path in sorted((ROOT / "sim" / "worker").rglob("*.py"))]
    code = "import sys; [compile(open(f, encoding='utf-8').read(), f, 'exec') for f in sys.argv[1:]]"
    done = subprocess.run([python39, "-c", code, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_protocol_works_under_python_3_9(python39, tmp_path):
    uv = find_uv()
    if uv is None:
        pytest.skip("no uv to install numpy for Python 3.9 with")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "VIRTUAL"))}
    install = [uv, "pip", "install", "-q", "--python", python39, "--target", str(tmp_path / "site")]
    done = subprocess.run([*install, "numpy<2", "pytest<9"], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        pytest.skip(f"cannot install numpy for Python 3.9: {done.stderr.strip().splitlines()[-1:]}")
    environment["PYTHONPATH"] = str(tmp_path / "site")
    tests = str(ROOT / "tests" / "sim" / "test_protocol.py")
    command = [
        python39,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        tests,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
