"""The set-up script: what it finds, what it says when something is missing, and that it leaves nothing half done."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sim import runtime

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("engram_setup", ROOT / "tools" / "setup.py")
assert _SPEC is not None
assert _SPEC.loader is not None
setup = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(setup)


def test_the_mirror_is_read_from_one_line_sources(tmp_path):
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n"
    )
    assert setup.apt_mirror("bookworm", str(tmp_path)) == "http://mirror.example/debian"
    assert setup.apt_mirror("noble", str(tmp_path)) is None


def test_the_mirror_is_read_from_deb822_sources(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.sources").write_text(
        "Types: deb deb-src\nURIs: http://other.example/tool\nSuites: stable\nComponents: main\n\n"
        "Types: deb\n# a comment\nURIs: http://mirror.example/ubuntu\nSuites: jammy jammy-updates\nComponents: main\n"
    )
    assert setup.apt_mirror("jammy", str(tmp_path)) == "http://mirror.example/ubuntu"


def test_without_python_3_13_the_error_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.delenv("ENGRAM_SIM_BASE", raising=False)
    with pytest.raises(setup.SetupError, match=r"(?s)no CPython 3\.13 found.*pyenv install 3\.13.*ENGRAM_SIM_BASE"):
        setup.find_python_3_13(str(tmp_path / "no-uv"))


def test_without_rights_the_line_to_run_is_printed(monkeypatch, tmp_path):
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    with pytest.raises(setup.SetupError, match=r"sudo apt-get install .*libegl1 g\+\+"):
        setup.install_packages(["libegl1", "g++"])


def test_a_c_runtime_interrupted_while_fetched_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "glibc_version", lambda: (2, 36))
    monkeypatch.setattr(runtime, "SIM_HOME", tmp_path)
    monkeypatch.setattr(runtime, "LIBC_DIR", tmp_path / "libc")

    def interrupted(work, packages):
        (work / "libc6.deb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "download_packages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.c_runtime()
    assert list(tmp_path.iterdir()) == []


def test_the_launcher_works_through_a_link_and_keeps_arguments(tmp_path):
    link = tmp_path / "a link"
    link.symlink_to(runtime.default_sim_python())
    code = "import sys; print(sys.version_info[:2], sys.argv[1:], sys.prefix != sys.base_prefix)"
    done = subprocess.run([str(link), "-c", code, "two words", "$HOME"], capture_output=True, text=True)
    assert done.stdout.strip() == "(3, 13) ['two words', '$HOME'] True"


def test_the_setup_script_runs_under_old_python():
    source = (ROOT / "tools" / "setup.py").read_text() + (ROOT / "sim" / "runtime.py").read_text()
    assert "match " not in re.sub(r"re\.match", "", source)
    compile(source.replace("from __future__ import annotations", ""), "setup.py", "exec", dont_inherit=True)


def test_every_dependency_is_locked_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["ros"]
    lock = (ROOT / "locks" / "main.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", lock, flags=re.MULTILINE))
    names = {re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pinned, f"run `make lock`: {sorted(names - pinned)} are not in locks/main.txt"
    assert lock.count("==") - lock.count("--hash") < lock.count("--hash")
    assert "://" not in lock


def test_a_second_run_has_nothing_to_do():
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "setup.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split("] ")[1] for line in done.stdout.splitlines()] == ["ready"]
