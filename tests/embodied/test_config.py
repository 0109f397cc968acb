"""Configs: what is wrong is named, with its place and what would be right."""

import re
from dataclasses import dataclass, field

import pytest

from embodied import config as configs
from embodied.config import CONFIGS_DIR, ConfigError, load, read_yaml
from embodied.demo import DemoConfig
from embodied.evaluation import EvalConfig
from embodied.training import load_config
from ros.contract import RobotContract
from ros.deploy import DeployConfig
from sim.houses import HouseDatasetConfig


@dataclass
class Engine:
    """A section."""

    power_w: float = field(default=1.0, metadata={"help": "at full throttle"})
    cylinders: int = field(default=4, metadata={"help": "how many"})

    def validate(self) -> None:
        if self.cylinders < 1:
            raise ValueError(f"engine.cylinders must be at least 1, not {self.cylinders}")


@dataclass
class Car:
    """A config."""

    name: str = field(default="beetle", metadata={"help": "what to call it"})
    engine: Engine = field(default_factory=Engine, metadata={"help": "what drives it"})
    colours: list[str] = field(default_factory=lambda: ["red"], metadata={"help": "it comes in"})
    span: tuple[float, float] = field(default=(1.0, 2.0), metadata={"help": "from, to"})
    electric: bool = False

    def validate(self) -> None:
        self.engine.validate()
        if "mud" in self.colours:
            raise ValueError("no colour 'mud'")


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "car.yaml"
        path.write_text(text)
        return path

    return write


def test_overrides_win_over_the_file_and_the_file_over_the_defaults(written):
    path = written("name: duck\nengine:\n  power_w: 1e3\n  cylinders: 2\n")
    car = load(Car, path, ["engine.cylinders=3", "colours=[blue, green]", "span=[3, 4]"])
    assert car == Car("duck", Engine(1000.0, 3), ["blue", "green"], (3.0, 4.0))


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("name: a\nengine:\n  powerw: 3", [], "{path}:3: no setting 'engine.powerw'; did you mean engine.power_w?"),
        ("", ["cylinders=3"], "override cylinders=3: no setting 'cylinders'; did you mean engine.cylinders?"),
        ("", ["wheels=4"], "override wheels=4: no setting 'wheels'; the settings here are name, engine, colours, span"),
        ("engine:\n  cylinders: four", [], "{path}:2: engine.cylinders must be an integer, not 'four'"),
        ("engine:\n  power_w: [1]", [], "{path}:2: engine.power_w must be a number, not [1]"),
        ("electric: maybe", [], "{path}:1: electric must be true or false, not 'maybe'"),
        ("colours: red", [], "{path}:1: colours must be a list of str, like [a, b], not 'red'"),
        ("span: [1, x]", [], "{path}:1: span must be [float, float], not [1, 'x']"),
        ("engine: 3", [], "{path}:1: engine is a section with the settings power_w, cylinders; give one"),
        ("name: a\nengine:\n  cylinders: 0", [], "{path}:3: engine.cylinders must be at least 1, not 0"),
        ("", ["engine.cylinders=0"], "override engine.cylinders=0: engine.cylinders must be at least 1, not 0"),
        ("colours:\n- red\n- mud", [], "{path}:1: colours: no colour 'mud'"),
        ("name: ${nome}", [], "{path}:1: name: Interpolation key 'nome' not found"),
        ("", ["name"], "override 'name' must be key=value"),
        ("", ["span=[1"], "override span=[1: the value is not YAML"),
        ("name: a\nname: b", [], "{path}:2: not YAML: found duplicate key name"),
        ("a: b: c", [], "{path}:1: not YAML"),
        ("- a", [], "{path}: a config is a mapping"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_its_place(written, text, overrides, message):
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        load(Car, path, overrides)
    assert str(caught.value).startswith(message.format(path=path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_gets_the_nearest_name(written):
    path = written("")
    with pytest.raises(ConfigError, match=f"no config file at .*carr.yaml; did you mean {re.escape(str(path))}"):
        load(Car, path.with_name("carr.yaml"))


def test_empty_files_and_sections_are_defaults(written):
    assert load(Car, written("")) == load(Car, written("engine:\n")) == Car()


def test_configs_survive_yaml_and_json(written):
    car = Car("duck", Engine(2.5, 2), ["blue"], (0.5, 0.75), True)
    assert load(Car, written(configs.to_yaml(car))) == car
    assert configs.from_dict(Car, configs.to_dict(car), "a test") == car


def test_the_listing_has_every_setting_with_type_default_and_help():
    fields = {field.key: field for field in configs.fields(Car)}
    assert list(fields) == ["name", "engine.power_w", "engine.cylinders", "colours", "span", "electric"]
    cylinders = fields["engine.cylinders"]
    assert (cylinders.type, cylinders.default, cylinders.help) == ("int", "4", "how many")
    assert fields["colours"].default == "[red]"


@pytest.mark.parametrize("schema", [DemoConfig, EvalConfig, HouseDatasetConfig])
def test_every_setting_of_the_shipped_schemas_is_explained(schema):
    for setting in configs.fields(schema):
        assert setting.help, setting.key


def test_the_shipped_configs_load():
    shipped = {path.name: path for path in CONFIGS_DIR.glob("*.yaml")}
    assert "demo.yaml" in shipped
    for name, path in shipped.items():
        part = name.split("_")[0].removesuffix(".yaml")
        if part == "train" or "algorithm" in read_yaml(path)[0]:
            load_config(path, ["sim.episodes="] if part == "train" else [])
        else:
            schemas = {"demo": DemoConfig, "habitat": DeployConfig, "robot": RobotContract}
            load(schemas[part], path, ["checkpoint=runs/a", "episodes=b.json.gz"] if part == "habitat" else [])
