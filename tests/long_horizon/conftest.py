"""One recorded past in one small house, made once a session."""

from pathlib import Path

import pytest

from sim.long_horizon.config import ExperienceConfig
from sim.long_horizon.experience import record, start_worker
from sim.long_horizon.history import History
from sim.long_horizon.tasks import Truth

EXPERIENCE = ExperienceConfig(interactions=(4, 4), days=2, distractors=2, min_frames=60, every=5)


@pytest.fixture(scope="session")
def worker():
    started = start_worker()
    yield started
    started.close()


@pytest.fixture(scope="session")
def folder(houses, worker, tmp_path_factory) -> Path:
    """Read only: copy it before you damage it."""
    path = tmp_path_factory.mktemp("pasts") / "house_000000_0"
    assert record(worker, houses, "house_000000", EXPERIENCE, 0, path)
    return path


@pytest.fixture(scope="session")
def truth(houses, folder) -> Truth:
    return Truth(History(folder, houses))


@pytest.fixture(scope="session")
def questions(truth):
    return truth.draw(seed=0)
