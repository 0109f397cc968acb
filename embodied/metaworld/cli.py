"""The commands `embodied metaworld ...`, also as `python -m embodied.metaworld.record` and `.evaluate`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Meta-World: record its experts, evaluate on its tasks, compare.")

Tasks = Annotated[str, typer.Option(help="Names with commas between, like drawer-open-v3,door-open-v3; empty: six.")]
Seed = Annotated[int, typer.Option(help="Of episodes, and of what is drawn in them.")]
Cameras = Annotated[str, typer.Option(help="Names with commas between.")]
ImageSize = Annotated[int, typer.Option(help="Side of the pictures, pixels.")]
Repeat = Annotated[int, typer.Option(help="Meta-World's steps (80 a second) for which an action is held.")]
Shadows = Annotated[bool, typer.Option("--shadows", help="Draw shadows, as Meta-World does; five times slower.")]


@app.command()
def record(
    output: Annotated[str, typer.Argument(help="Folder of the data set; one that is there goes on.")],
    tasks: Tasks = "",
    episodes: Annotated[int, typer.Option(help="Of each task, that succeed.")] = 50,
    seed: Seed = 0,
    noise: Annotated[float, typer.Option(help="Standard deviation of the noise in executed displacements.")] = 0.3,
    cameras: Cameras = "corner2",
    image_size: ImageSize = 96,
    repeat: Repeat = 2,
    shadows: Shadows = False,
    images: Annotated[bool, typer.Option("--images", help="Lossless pictures in place of videos.")] = False,
) -> None:
    """Record demonstrations of Meta-World's scripted experts; what is there already is kept."""
    from embodied.metaworld.env import MetaWorldConfig
    from embodied.metaworld.record import RecordConfig
    from embodied.metaworld.record import record as run_recording

    env = MetaWorldConfig(_names(cameras), image_size, shadows, repeat)
    root, completed = run_recording(RecordConfig(output, _tasks(tasks), episodes, noise, seed, images, env))
    if not completed:
        _stopped("what was recorded is saved")
    print(root)


@app.command()
def evaluate(
    policy: Annotated[str, typer.Argument(help="A run's or a checkpoint's folder; or expert, or random.")],
    output: Annotated[str, typer.Argument(help="Folder for the results; an evaluation that is there goes on.")],
    tasks: Tasks = "",
    episodes: Annotated[int, typer.Option(help="Of each task.")] = 50,
    seed: Seed = 0,
    rows: Annotated[int, typer.Option(help="Episodes side by side.")] = 8,
    execute: Annotated[int, typer.Option(help="Actions carried out of a chunk; 0: as in training.")] = 0,
    memory: Annotated[str, typer.Option(help="intact, zero, shuffle or swap: how the bank is damaged.")] = "intact",
    shadows: Shadows = False,
    device: Annotated[str, typer.Option(help="Where the policy computes.")] = "cpu",
    threads: Annotated[int, typer.Option(help="torch's, on the CPU; 0: its choice.")] = 0,
) -> None:
    """Evaluate a policy on Meta-World's tasks, by their own success flag."""
    from embodied.metaworld.evaluate import EvaluateConfig, print_table
    from embodied.metaworld.evaluate import evaluate as run_evaluation

    config = EvaluateConfig(
        policy, output, _tasks(tasks), episodes, seed, rows, execute, memory, shadows, device, threads
    )
    body = run_evaluation(config)
    if body is None:
        _stopped("what was evaluated is saved")
    else:
        print_table(body)
        print(output)


@app.command()
def compare(
    evaluation: Annotated[str, typer.Argument(help="Folder of a finished evaluation.")],
    reference: Annotated[str, typer.Argument(help="Folder of the one to compare with, of the same episodes.")],
) -> None:
    """What a policy succeeds at more than another, in points, with paired intervals."""
    from embodied.metaworld.compare import compare as run_comparison
    from embodied.metaworld.compare import print_differences

    print_differences(run_comparison(Path(evaluation), Path(reference)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _tasks(text: str) -> list[str]:
    from embodied.metaworld.tasks import DEFAULT_TASKS

    return _names(text) or list(DEFAULT_TASKS)


def _stopped(what: str) -> None:
    print(f"stopped; {what}: run the same command again to go on", file=sys.stderr)
    raise typer.Exit(128 + signal.SIGINT)
