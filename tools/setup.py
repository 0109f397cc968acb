"""Prepares a clone: the main environment, the simulator's, its C runtime and its `magnum` module. `make setup` runs it.

Runs under any Python 3.8 or later with nothing but the standard library, needs no root where the system libraries are
there, and may be interrupted at any moment and run again: each step looks at what is there, and a step's result appears
whole or not at all.

Environment: UV (a uv to use), ENGRAM_PYTHON (interpreter of the main environment, 3.11 to 3.13), ENGRAM_SIM_BASE (a
CPython 3.13).
"""

import argparse
import glob
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sim import runtime  # noqa: E402

UV_HOME = ROOT / ".uv"
MAIN_ENV = ROOT / ".venv"
SIM_ENV = runtime.SIM_HOME / "venv"
LOCKS = ROOT / "locks"
MAGNUM = ROOT / "native" / "magnum"
#: What the private C runtime is made of: Debian package -> libraries taken from it.
LIBC_FILES = {
    "libc6": (
        "ld-linux-x86-64.so.2",
        *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
    ),
    "libstdc++6": ("libstdc++.so.6",),
    "libgcc-s1": ("libgcc_s.so.1",),
}
#: By distribution, the release whose C runtime is new enough.
NEWER_RELEASE = {"debian": "trixie", "ubuntu": "noble"}


class SetupError(Exception):
    """Something the user must do; the message says what."""


# ---- talking ---------------------------------------------------------------------------------------------------------

_started = time.monotonic()


def say(text):
    print("[setup %4.0f s] %s" % (time.monotonic() - _started, text), flush=True)


def run(command, what, **options):
    """Runs a command whose output the user sees; SetupError names the step if it fails."""
    command = [str(part) for part in command]
    if subprocess.run(command, **options).returncode != 0:
        raise SetupError("%s failed. The command was: %s" % (what, " ".join(shlex.quote(part) for part in command)))


def output(command):
    """Standard output of a command, or None if it cannot run or fails."""
    try:
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.decode().strip() if done.returncode == 0 else None


# ---- steps -----------------------------------------------------------------------------------------------------------


def system_packages():
    """Installs missing libraries and the compiler if this user may, else says the line that does."""
    missing = runtime.missing_system_packages()
    if shutil.which("g++") is None:
        missing.append("g++")
    install_packages(missing)


def install_packages(packages):
    if not packages:
        return
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(
            "missing on this system: what Debian calls %s. Install them, then run this again" % " ".join(packages)
        )
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (shutil.which("sudo") is None or output(["sudo", "-n", "true"]) is None):
        raise SetupError("missing system packages. Run this, then `make setup` again:\n    sudo " + line)
    say("installing system packages: " + " ".join(packages))
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run([*prefix, "apt-get", "update", "-qq"], env=quiet)
    run(prefix + line.split() + ["-qq"], "installing system packages", env=quiet)


def find_uv():
    """uv from $UV or PATH, else installed from the package registry into the clone."""
    for candidate in (os.environ.get("UV"), shutil.which("uv"), UV_HOME / "bin" / "uv"):
        if candidate and output([candidate, "--version"]):
            return str(candidate)
    say("installing uv into .uv/")
    if output([sys.executable, "-c", "import venv, ensurepip"]) is None:
        version = "%d.%d" % sys.version_info[:2]
        install_packages(["python%s-venv" % version])
    run([sys.executable, "-m", "venv", "--clear", UV_HOME], "creating a virtual environment for uv")
    run([UV_HOME / "bin" / "python", "-m", "pip", "install", "--quiet", "uv>=0.5"], "installing uv")
    return str(UV_HOME / "bin" / "uv")


def find_python_3_13(uv):
    """A CPython 3.13 with headers, wherever it is: $ENGRAM_SIM_BASE, PATH, pyenv's folder, uv's."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = [os.environ.get("ENGRAM_SIM_BASE"), shutil.which("python3.13"), shutil.which("python3")]
    candidates += sorted(glob.glob(os.path.join(pyenv, "versions", "3.13.*", "bin", "python")), reverse=True)
    candidates.append(output([uv, "python", "find", "--no-project", "3.13"]))
    headerless = None
    for candidate in candidates:
        found = candidate and output([candidate, "-c", _DESCRIBE])
        if not found or not found.startswith("cpython 3.13 "):
            continue
        _, _, executable, header = found.split(" ", 3)
        if os.path.exists(header):
            return executable
        headerless = executable
    if headerless:
        install_packages(["python3.13-dev"])
        return headerless
    raise SetupError(
        "no CPython 3.13 found on PATH, in pyenv or in uv; the simulator needs one. Get it with one of\n"
        "    sudo apt-get install python3.13 python3.13-dev      (Debian 13)\n"
        "    pyenv install 3.13\n"
        "    %s python install 3.13\n"
        "or set ENGRAM_SIM_BASE to its path, then run `make setup` again" % uv
    )


_DESCRIBE = (
    "import os, sys, sysconfig; print(sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.executable,"
    " os.path.join(sysconfig.get_path('include'), 'Python.h'))"
)


def main_environment(uv, base_python):
    """`.venv`: torch and everything that learns, from locks/main.txt."""
    create_environment(uv, MAIN_ENV, os.environ.get("ENGRAM_PYTHON") or base_python)
    install_lock(uv, MAIN_ENV, "main.txt", "torch and its CUDA libraries are about 3 GB to download the first time")
    python = MAIN_ENV / "bin" / "python"
    if output([python, "-c", "import importlib.metadata as m; m.version('engram')"]) is None:
        say("installing Engram itself, editable")
        run([uv, "pip", "install", "-q", "--python", python, "--no-deps", "-e", ROOT], "installing Engram")


def interfaces():
    """Engram's ROS types, compiled beside the ROS wheels into the user's cache: else the first node would wait."""
    sources = ROOT / "ros" / "engram_interfaces"
    stamp = MAIN_ENV / "interfaces.sha256"
    digest = _digest([*sorted(path for path in sources.rglob("*") if path.is_file()), LOCKS / "main.txt"])
    if stamp.exists() and stamp.read_text() == digest:
        return
    say("compiling Engram's ROS types, half a minute")
    build = "from ros import interfaces; interfaces.build()"
    run([MAIN_ENV / "bin" / "python", "-c", build], "compiling ros/engram_interfaces", cwd=str(ROOT))
    _write(stamp, digest)


def sim_environment(uv, python_3_13):
    """`.sim/venv`: habitat-sim and habitat-lab. numpy 1.26.4 has no wheel for 3.13: uv compiles and keeps it."""
    create_environment(uv, SIM_ENV, python_3_13)
    install_lock(uv, SIM_ENV, "sim.txt", "the first time on this machine numpy 1.26.4 is compiled, about 4 minutes")


def create_environment(uv, folder, python):
    """A virtual environment of `python`; one of another version, or half made, is made anew."""
    wanted = output([python, "-c", "import sys; print(sys.version_info[:2])"])
    if wanted is None:
        raise SetupError("%s is no Python interpreter" % python)
    if output([folder / "bin" / "python", "-c", "import sys; print(sys.version_info[:2])"]) != wanted:
        run([uv, "venv", "-q", "--clear", "--python", python, folder], "creating %s" % folder.name)


def install_lock(uv, folder, lock, note):
    """Makes an environment hold what a lock file says; nothing to do when it was the last one installed."""
    stamp = folder / "lock.sha256"
    digest = _digest([LOCKS / lock])
    if stamp.exists() and stamp.read_text() == digest:
        return
    say("installing locks/%s into %s: %s" % (lock, folder.relative_to(ROOT), note))
    # Not `pip sync`: the ROS wheels' inner names differ from their registry names, and sync would remove them again.
    install = [uv, "pip", "install", "--python", folder / "bin" / "python", "--no-deps", "--require-hashes"]
    run([*install, "-r", LOCKS / lock], "installing %s" % lock)
    _write(stamp, digest)


def c_runtime():
    """`.sim/libc`: a newer C runtime where the system's is too old for the simulator's wheel. Needs no root."""
    if runtime.glibc_version() >= runtime.NEEDED_GLIBC:
        return
    names = [name for group in LIBC_FILES.values() for name in group]
    if all((runtime.LIBC_DIR / name).exists() for name in names):
        return
    say("private C runtime (.sim/libc): this system's glibc %d.%d is older than 2.38" % runtime.glibc_version())
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise SetupError(
                "glibc is older than 2.38 and there is no %s to fetch a newer one: use Debian 12 or later" % tool
            )
    with tempfile.TemporaryDirectory(dir=str(runtime.SIM_HOME)) as folder:
        work = Path(folder)
        download_packages(work, list(LIBC_FILES))
        draft = work / "libc"
        draft.mkdir()
        for package in work.glob("*.deb"):
            run(["dpkg", "-x", package, work / "root"], "unpacking %s" % package.name)
        for name in names:
            found = [path for path in (work / "root").rglob(name) if path.exists()]
            if not found:
                raise SetupError("the downloaded C runtime has no %s" % name)
            shutil.copy(str(found[0]), str(draft / name))
        shutil.rmtree(str(runtime.LIBC_DIR), ignore_errors=True)
        os.replace(str(draft), str(runtime.LIBC_DIR))


def download_packages(work, packages):
    """Downloads packages of the distribution's newer release, through the mirror and keys that apt is set up with."""
    release = os_release()
    distribution = next(
        (name for name in [release.get("ID"), *release.get("ID_LIKE", "").split()] if name in NEWER_RELEASE), None
    )
    mirror = apt_mirror(release.get("VERSION_CODENAME", ""))
    if distribution is None or mirror is None:
        raise SetupError(
            "cannot find where apt gets this system's packages from: only Debian and Ubuntu are known here"
        )
    suite = NEWER_RELEASE[distribution]
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    keyrings = "/usr/share/keyrings/%s-archive-keyring.gpg" % distribution
    signed = " [signed-by=%s]" % keyrings if os.path.exists(keyrings) else ""
    (work / "sources.list").write_text("deb%s %s %s main\n" % (signed, mirror, suite))
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": work,
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "APT::Sandbox::User": "",
        "APT::Architecture": "amd64",
    }
    apt = ["apt-get", "-qq"] + ["-o%s=%s" % item for item in options.items()]
    run([*apt, "update"], "reading %s's package list" % suite)
    run([*apt, "download", *packages], "downloading %s's C runtime" % suite, cwd=str(work))


def os_release():
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def apt_mirror(codename, etc="/etc/apt"):
    """The address that apt gets release `codename` from, as the system's own sources (either format) say."""
    files = [os.path.join(etc, "sources.list")]
    files += sorted(glob.glob(os.path.join(etc, "sources.list.d", "*.list"))) + sorted(
        glob.glob(os.path.join(etc, "sources.list.d", "*.sources"))
    )
    for file in filter(os.path.exists, files):
        text = re.sub(r"^\s*#.*\n?", "", Path(file).read_text(), flags=re.MULTILINE)
        for line in text.splitlines():
            one_line = re.match(r"deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s", line)
            if one_line and one_line.group(2) == codename:
                return one_line.group(1)
        for stanza in text.split("\n\n"):
            fields = {
                key.strip().lower(): value.split()
                for key, _, value in (line.partition(":") for line in stanza.splitlines())
            }
            if "deb" in fields.get("types", []) and codename in fields.get("suites", []) and fields.get("uris"):
                return fields["uris"][0]
    return None


def launcher():
    """`.sim/python`: runs the simulator's interpreter, through the private C runtime where there is one."""
    python = '"$here/venv/bin/python"'
    if runtime.LIBC_DIR.exists():
        loader = '"$here/libc/ld-linux-x86-64.so.2" --argv0 %s --library-path "$here/libc" ' % python
    else:
        loader = ""
    text = '#!/bin/sh\nhere=$(dirname -- "$(readlink -f -- "$0")")\nexec %s%s "$@"\n' % (loader, python)
    if not runtime.LAUNCHER.exists() or runtime.LAUNCHER.read_text() != text:
        _write(runtime.LAUNCHER, text, mode=0o755)


def magnum(uv):
    """Our `magnum` module, compiled for the simulator's environment when its sources have changed."""
    sources = [
        path for pattern in ("*.toml", "*.py", "src/*", "python/magnum/*.py") for path in sorted(MAGNUM.glob(pattern))
    ]
    stamp = SIM_ENV / "magnum.sha256"
    digest = _digest(sources)
    if stamp.exists() and stamp.read_text() == digest:
        return
    say("compiling the magnum module, about a minute")
    python = SIM_ENV / "bin" / "python"
    install = [uv, "pip", "install", "-q", "--python", python, "--no-deps", "--no-build-isolation", "--reinstall"]
    run([*install, MAGNUM], "compiling native/magnum")
    check()
    _write(stamp, digest)


def check():
    """The simulator's packages import together, in the process that will run them (habitat_sim imports magnum)."""
    environment = dict(os.environ, HSIM_DISABLE_CUDA_DEVICE="1", MAGNUM_LOG="quiet", HABITAT_SIM_LOG="quiet")
    done = subprocess.run(
        [str(runtime.LAUNCHER), "-c", "import habitat_sim"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        last = (done.stdout.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise SetupError("habitat_sim does not import: %s. `.venv/bin/embodied doctor` looks closer" % last)


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _digest(paths):
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _write(path, text, mode=0o644):
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text)
    draft.chmod(mode)
    os.replace(str(draft), str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--main-only", action="store_true", help="only the main environment: for a Habitat of your own (sim.python)"
    )
    arguments = parser.parse_args()
    runtime.SIM_HOME.mkdir(exist_ok=True)
    try:
        if arguments.main_only:
            uv = find_uv()
            main_environment(uv, os.environ.get("ENGRAM_PYTHON") or "3.13")
            interfaces()
        else:
            system_packages()
            uv = find_uv()
            python_3_13 = find_python_3_13(uv)
            main_environment(uv, python_3_13)
            interfaces()
            sim_environment(uv, python_3_13)
            c_runtime()
            launcher()
            magnum(uv)
    except SetupError as error:
        print("setup: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run `make setup` again to go on", file=sys.stderr)
        return 130
    say("ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
