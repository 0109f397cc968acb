"""python -m sim.manipulation ROOT [--task TASK] [--split SPLIT] [--count N] [--seed N]: writes episode files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.manipulation.episodes import SPLITS, TASKS, write_episodes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.manipulation", description="Writes tabletop episodes.")
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("--task", choices=TASKS, action="append", help="which task; may be repeated; default: all")
    parser.add_argument("--split", choices=SPLITS, action="append", help="which split; may be repeated; default: all")
    parser.add_argument("--count", type=int, default=100, help="episodes of each file")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other episodes")
    arguments = parser.parse_args()
    try:
        for task in arguments.task or TASKS:
            for split in arguments.split or SPLITS:
                print(write_episodes(arguments.root, task, split, arguments.count, arguments.seed))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
