"""The command line: errors are one line on the error output, with status 2."""

import subprocess
import sys

import pytest

from embodied.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("train", "sim.num_env=3"), "override sim.num_env=3: no setting 'sim.num_env'; did you mean sim.num_envs?"),
        (("train", "nowhere/x.yaml"), "no config file at nowhere/x.yaml"),
        (("train", "seed=1", "configs"), "'configs' is neither a config file in first place nor an override"),
        (("eval", "agents=[orcale]"), "did you mean oracle?"),
        (("eval", "agents=[runs/no/such/run]"), "no agent and no checkpoint 'runs/no/such/run'"),
        (("houses", "min_rooms=1"), "override min_rooms=1: houses.min_rooms"),
        (("report", "nowhere"), "no finished evaluation in nowhere"),
        (("demo", "split=train"), "override split=train: split must be val or test, not 'train'"),
        (("config", "robot"), "no part 'robot' has a config; choose one of demo, houses, record, train, eval, report"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(capsys, arguments, message):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.startswith("embodied: ")
    assert err.count("\n") == 1


def test_debug_shows_where_an_error_came_from():
    with pytest.raises(ValueError, match="no setting 'bogus'"):
        main(["--debug", "train", "bogus=1"])


def test_a_checkpoint_that_is_none_is_refused(capsys, tmp_path, houses):
    episodes = houses / "episodes" / "pointnav_val.json.gz"
    status, _, err = run(
        capsys, "eval", f"agents=[{tmp_path}]", f"sim.episodes={episodes}", f"output={tmp_path / 'out'}"
    )
    assert status == 2
    assert f"no checkpoint at {tmp_path}" in err
    assert err.count("\n") == 1


def test_settings_are_listed_with_type_default_and_help(capsys):
    status, out, _ = run(capsys, "config", "train")
    assert status == 0
    assert "sim.num_envs  int = 2" in out
    assert "gradient steps a round" in out


def test_what_overrides_lead_to_is_printed_as_yaml(capsys):
    status, out, _ = run(capsys, "config", "train", "sim.num_envs=3", "batch_rows=5")
    assert status == 0
    assert "num_envs: 3" in out
    assert "batch_rows: 5" in out


def test_without_arguments_there_is_help():
    done = subprocess.run([sys.executable, "-m", "embodied.cli"], capture_output=True, text=True)
    assert done.returncode == 2
    for command in ("demo", "houses", "train", "eval", "report", "doctor", "config"):
        assert command in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
