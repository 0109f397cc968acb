"""What tests share: one small data set of generated houses, made once and kept between runs."""

import fcntl
import os
from pathlib import Path

import pytest

# Tests run side by side: torch's threads would wait for each other's cores, a hundred times longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from sim.houses import HouseDatasetConfig, build_dataset

_KEPT = Path(__file__).resolve().parents[1] / ".cache" / "tests"


@pytest.fixture(scope="session")
def houses() -> Path:
    """Root of a data set of a few small houses. Read only: copy it before you damage it."""
    config = HouseDatasetConfig(
        out=str(_KEPT / "houses"), train=3, val=1, test=0, pointnav=12, objectnav=12, ext_objectnav=4, max_rooms=5
    )
    _KEPT.mkdir(parents=True, exist_ok=True)
    with open(_KEPT / "lock", "w") as lock:  # test processes start side by side; one builds, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_dataset(config, progress=False)
