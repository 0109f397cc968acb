"""Studies: every cell once, and tables that say what was measured."""

import json
from pathlib import Path

import pytest

from embodied import config as configs
from embodied.config import ConfigError
from embodied.studies import key_to_door, rewriting
from embodied.studies.grid import RESULT_NAME, RESULTS_NAME
from embodied.studies.key_to_door import KeyToDoorConfig
from embodied.studies.policies import POLICIES, policy_config
from embodied.studies.registry import config_class
from embodied.studies.rewriting import PUBLISHED, RewritingConfig, configurations, parse

SMALL = {"num_envs": 8, "steps": 512}


def test_a_study_trains_each_cell_once_and_tabulates_it(tmp_path):
    config = RewritingConfig(
        output=str(tmp_path),
        policies=["memoryless", "gru"],
        modes=["fixed"],
        lengths=[5],
        corridors=[3],
        seeds=[0],
        episodes=20,
        rollout_steps=16,
        **SMALL,
    )
    path, completed = rewriting.run(config)
    assert completed
    lines = [json.loads(line) for line in (tmp_path / RESULTS_NAME).read_text().splitlines()]
    assert [(line["policy"], line["configuration"], line["seed"]) for line in lines] == [
        ("memoryless", "fixed_l5_n3", 0),
        ("gru", "fixed_l5_n3", 0),
    ]
    assert all(set(line["success"]) == {"1", "3", "5", "10"} and line["steps"] == 512 for line in lines)
    table = path.read_text()
    assert "| fixed_l5_n3 | " in table
    assert PUBLISHED["fixed_l5_n3"][0] in table
    results = list(tmp_path.rglob(RESULT_NAME))
    written = [result.stat().st_mtime_ns for result in results]
    assert rewriting.run(config) == (path, True)
    assert [result.stat().st_mtime_ns for result in results] == written


def test_key_to_door_teaches_reinforces_and_compares_with_the_scripted(tmp_path):
    config = KeyToDoorConfig(
        output=str(tmp_path),
        policies=["memo_bounded"],
        seeds=[0],
        trials=8,
        longer=2,
        imitation_steps=800,
        steps=800,
        num_envs=4,
        memory_size=16,
    )
    path, completed = key_to_door.run(config)
    assert completed
    table = path.read_text()
    for name in ("random", "explorer", "oracle", "memo_bounded"):
        assert table.count(f"| {name} | ") == 2
    (result,) = [json.loads(line) for line in (tmp_path / RESULTS_NAME).read_text().splitlines()]
    assert set(result["return"]) == {"1", "2"}
    assert result["return"]["2"]["episodes"] == 8


def test_the_table_averages_seeds_and_says_where_some_are_missing():
    def result(policy, configuration, seed, value):
        success = {str(n): value for n in rewriting.VALIDATED_AT}
        return {"policy": policy, "configuration": configuration, "seed": seed, "success": success}

    table = rewriting.table(
        [
            result("gru", "fixed_l5_n3", 0, 1.0),
            result("gru", "fixed_l5_n3", 1, 0.5),
            result("gru", "uniform_l5_n1", 0, 0.25),
        ]
    )
    assert "| fixed_l5_n3 | 0.75/0.75/0.75/0.75 | 1.00/1.00/.96/.96 |" in table
    assert "| uniform_l5_n1 | 0.25/0.25/0.25/0.25 (1) |" in table
    assert "| published configurations | 0.75 | 0.98 |" in table
    assert "| uniform | 0.25 |" in table


def test_there_are_sixteen_configurations_by_name():
    names = configurations(RewritingConfig())
    assert len(names) == len(set(names)) == 16
    assert set(PUBLISHED) < set(names)
    assert parse("uniform_l10_n3") == ("uniform", 10, 3)


def test_every_policy_of_the_studies_is_one_that_can_be_made():
    for name in POLICIES:
        policy_config(name).validate()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: configs.load(RewritingConfig, None, ["policies=[lsdm]"]), "did you mean lstm"),
        (lambda: configs.load(RewritingConfig, None, ["modes=[fixt]"]), "no mode 'fixt', choose among"),
        (lambda: configs.load(KeyToDoorConfig, None, ["rooms=[7x7]"]), "no room '7x7', choose among 5x5, 9x9"),
        (lambda: config_class("rewritting"), "did you mean rewriting"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_results_lie_where_the_cell_does(tmp_path):
    from embodied.studies.grid import cell

    one = cell(tmp_path, "gru", "fixed_l5_n1", 2)
    assert one.result() is None
    one.keep({"success": 1.0})
    assert one.result() == {"policy": "gru", "configuration": "fixed_l5_n1", "seed": 2, "success": 1.0}
    assert one.folder == Path(tmp_path / "cells" / "gru" / "fixed_l5_n1" / "seed_2")
