"""The command `embodied`.

Every part takes a YAML config and `key.sub=value` overrides. An error of the user's is one line on the standard error
output and exit status 2; `--debug` shows where it came from.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from embodied import config as configs
from embodied.config import ConfigError
from embodied.long_horizon.cli import app as long_horizon_app
from embodied.memory_cli import app as memory_app
from embodied.metaworld.cli import app as metaworld_app

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Memory-first robotics in Habitat: make houses, train, evaluate, report.",
)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CONFIG.yaml] [KEY=VALUE]...", help="A config file, then overrides, e.g. sim.num_envs=4"),
]

app.add_typer(memory_app, name="memory")
app.add_typer(metaworld_app, name="metaworld")
data_app = typer.Typer(no_args_is_help=True, help="Data sets: from a robot's bags.")
app.add_typer(data_app, name="data")
app.add_typer(long_horizon_app, name="long-horizon")


@app.callback()
def _main(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    pass


@app.command()
def demo(arguments: Arguments = None) -> None:
    """The main job: make houses, train a policy, evaluate it on unseen houses, write a report. A second run goes on."""
    from embodied.demo import DemoConfig, run_demo

    path, overrides = _split(arguments, default="demo.yaml")
    report, completed = run_demo(configs.load(DemoConfig, path, overrides))
    if not completed:
        _stopped("run `embodied demo` again")
    print(report)


@app.command()
def houses(arguments: Arguments = None) -> None:
    """Generate a data set of furnished houses with navmeshes and episodes."""
    from sim.houses import HouseDatasetConfig, build_dataset

    print(build_dataset(configs.load(HouseDatasetConfig, *_split(arguments))))


@app.command()
def record(arguments: Arguments = None) -> None:
    """Record demonstrations of the tabletop tasks from their scripted experts; what is there already is kept."""
    from embodied.record import RecordConfig
    from embodied.record import record as run_recording

    root, completed = run_recording(configs.load(RecordConfig, *_split(arguments)))
    if not completed:
        _stopped("what was recorded is saved; run the same command again")
    print(root)


@app.command()
def train(arguments: Arguments = None) -> None:
    """Train a policy; a run that is already in the config's output goes on. Ctrl-C saves a checkpoint first."""
    from embodied.training import load_config
    from embodied.training import train as run_training

    result = run_training(load_config(*_split(arguments)))
    if not result.completed:
        _stopped(f"step {result.steps} is saved; run the same command again")
    print(result.checkpoint)


@app.command(name="eval")
def evaluate(arguments: Arguments = None) -> None:
    """Evaluate agents (baselines by name, policies by their run's folder) on an episode file."""
    from embodied.evaluation import EvalConfig
    from embodied.evaluation import evaluate as run_evaluation

    config = configs.load(EvalConfig, *_split(arguments))
    _print_results(run_evaluation(config))
    print(config.output)


@app.command()
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished evaluation.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Write an evaluation's report: one HTML file that opens offline."""
    from embodied.report import ReportConfig, write_report

    print(write_report(configs.load(ReportConfig, None, [f"evaluation={run}", *(overrides or [])])))


@app.command()
def study(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="rewriting or key_to_door")],
    arguments: Arguments = None,
) -> None:
    """Train a grid of policies in memory tasks and write the table; what is finished is not run again."""
    from embodied.studies.registry import config_class
    from embodied.studies.registry import run as run_study

    table, completed = run_study(configs.load(config_class(name), *_split(arguments)))
    if not completed:
        _stopped("what was trained is saved; run the same command again")
    print(table.read_text(encoding="utf-8"))
    print(table)


@app.command(name="eval-memory")
def evaluate_memory(arguments: Arguments = None) -> None:
    """Evaluate a trained run in its memory task: success and return with intervals, as JSON."""
    import json

    from embodied.evaluation.memory_tasks import MemoryEvalConfig, evaluate_run

    print(json.dumps(evaluate_run(configs.load(MemoryEvalConfig, *_split(arguments))), indent=1))


@app.command()
def serve(arguments: Arguments = None) -> None:
    """Serve a trained MemoryVLA to robots and simulators: observation in, chunk out, an episode a session."""
    from embodied.serve.config import ServeConfig

    config = configs.load(ServeConfig, *_split(arguments))
    from embodied.serve.server import serve as run_server

    run_server(config)


@app.command()
def replay(
    bag: Annotated[str, typer.Argument(metavar="BAG", help="An MCAP bag of a robot's run.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Play a bag to a policy again, step by step: `embodied replay RUN.mcap checkpoint=...`."""
    import json

    from ros.replay import ReplayConfig
    from ros.replay import replay as run_replay

    print(json.dumps(run_replay(configs.load(ReplayConfig, None, [f"bag={bag}", *(overrides or [])]))))


@data_app.command(name="from-bag")
def from_bag(arguments: Annotated[list[str], typer.Argument(metavar="BAG... [KEY=VALUE]...")]) -> None:
    """Turn MCAP bags into a LeRobot data set: `embodied data from-bag RUN.mcap output=data/runs`."""
    from ros.from_bag import FromBagConfig
    from ros.from_bag import from_bag as convert

    bags = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    print(convert(configs.load(FromBagConfig, None, [f"bags={bags}", *overrides])))


@app.command()
def deploy(arguments: Arguments = None) -> None:
    """Start a robot's nodes (driver, safety gate, memory, policy) as ROS 2 processes; Ctrl-C ends them in order."""
    from ros.deploy import DeployConfig
    from ros.deploy import deploy as run_nodes

    raise typer.Exit(run_nodes(configs.load(DeployConfig, *_split(arguments))))


@app.command()
def doctor() -> None:
    """Check every piece that Engram stands on, and say how to mend what is wrong."""
    from embodied.doctor import main as examine

    raise typer.Exit(examine())


@app.command(name="config")
def show_config(
    part: Annotated[
        str,
        typer.Argument(
            metavar="PART",
            help="demo, deploy, houses, record, train, eval, eval-memory, report, serve or a study",
        ),
    ],
    arguments: Arguments = None,
) -> None:
    """List every setting of a part, with type, default and meaning; with a config or overrides, print what results."""
    from embodied.training import load_config
    from embodied.training.registry import config_class

    schema = _schema(part)
    given = arguments or []
    if part == "train" and len(given) == 1 and given[0].startswith("algorithm="):  # its settings, then
        schema, given = config_class(given[0].partition("=")[2]), []
    if not given:
        return _print_settings(part, schema)
    path, overrides = _split(given)
    config = load_config(path, overrides) if part == "train" else configs.load(schema, path, overrides)
    print(configs.to_yaml(config), end="")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        status = app(given, prog_name="embodied", standalone_mode=False)
    except typer.Exit as end:
        status = end.exit_code
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except Exception as error:
        if debug or not _is_the_users(error):
            raise
        if message := _one_line(error):  # without arguments the help has been printed, and that is the message
            print(f"embodied: {message}", file=sys.stderr)
        status = 2
    sys.exit(status or 0)


def _is_the_users(error: Exception) -> bool:
    """Whether the message of `error` is written for users; anything else is a fault of ours and shows its traceback."""
    from sim.errors import SimulatorError
    from sim.houses import HouseError

    # ConfigError, CheckpointError, ContractError and AgentError are ValueErrors; FileError is an OSError.
    return isinstance(error, typer.TyperException | ValueError | OSError | SimulatorError | HouseError)


def _one_line(error: Exception) -> str:
    message = str(getattr(error, "message", error))
    return " ".join(message.split())


def _stopped(remedy: str) -> None:
    print(f"stopped; to go on, {remedy}", file=sys.stderr)
    raise typer.Exit(128 + signal.SIGINT)


def _split(arguments: Sequence[str] | None, default: str | None = None) -> tuple[Path | None, list[str]]:
    """The config file, if the first argument is one, and the overrides. Raises ConfigError."""
    given = list(arguments or [])
    path = None
    if given and "=" not in given[0]:
        path = configs.find(given.pop(0))
    elif default is not None:
        path = configs.CONFIGS_DIR / default
    for override in given:
        if "=" not in override:
            raise ConfigError(f"'{override}' is neither a config file in first place nor an override key=value")
    return path, given


def _schema(part: str) -> Any:
    from embodied.demo import DemoConfig
    from embodied.evaluation import EvalConfig
    from embodied.evaluation.memory_tasks import MemoryEvalConfig
    from embodied.record import RecordConfig
    from embodied.report import ReportConfig
    from embodied.serve.config import ServeConfig
    from embodied.studies.registry import STUDIES
    from embodied.studies.registry import config_class as study_class
    from embodied.training.registry import DEFAULT, config_class
    from ros.deploy import DeployConfig
    from sim.houses import HouseDatasetConfig

    schemas = {
        "demo": DemoConfig,
        "houses": HouseDatasetConfig,
        "record": RecordConfig,
        "train": config_class(DEFAULT),
        "eval": EvalConfig,
        "report": ReportConfig,
        "serve": ServeConfig,
        "deploy": DeployConfig,
        "eval-memory": MemoryEvalConfig,
        **{name: study_class(name) for name in STUDIES},
    }
    if part not in schemas:
        raise ConfigError(f"no part '{part}' has a config; choose one of {', '.join(schemas)}")
    return schemas[part]


def _print_settings(part: str, schema: Any) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    console.print(f"settings of `embodied {part}`: give them in a YAML file, or as key=value", highlight=False)
    for field in configs.fields(schema):
        console.print(Text.assemble((field.key, "bold"), f"  {field.type} = {field.default}"), soft_wrap=True)
        console.print(Padding(Text(field.help), (0, 0, 0, 4)))


def _print_results(body: dict[str, Any]) -> None:
    """An evaluation's table, for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table("agent", "episodes", "goals", "success", "SPL", box=None)
    if body["reference"]:
        table.add_column(f"success over {body['reference']}")
    for label, agent in body["agents"].items():
        row = [label, str(agent["episodes"]), str(agent["goals"])]
        row += [_interval(agent["metrics"].get(metric)) for metric in ("success", "spl")]
        if body["reference"]:
            row.append(_interval(agent["margin"].get("success")))
        table.add_row(*row)
    Console().print(table)


def _interval(estimate: dict[str, float] | None) -> str:
    if not estimate:
        return ""
    return f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


if __name__ == "__main__":
    main()
