"""The lerobot package, imported when it is first needed: that takes seconds, and it has no build for Python 3.11."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from embodied.data.errors import DataError


def lerobot_datasets() -> ModuleType:
    """The module `lerobot.datasets`. Raises DataError where it is not installed."""
    try:
        return importlib.import_module("lerobot.datasets")
    except ImportError as error:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise DataError(
            f"LeRobot data sets need the package lerobot[dataset], which needs Python 3.12 or newer; this is {version} "
            f"({error}): install Engram under a newer Python"
        ) from error


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keeps off the terminal the bars that are drawn for each episode, and what video encoders say of themselves."""
    library, av = importlib.import_module("datasets"), importlib.import_module("av")
    shown = library.is_progress_bar_enabled()
    library.disable_progress_bars()
    av.logging.set_libav_level(av.logging.ERROR)
    try:
        yield
    finally:
        if shown:
            library.enable_progress_bars()
