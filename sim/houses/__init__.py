"""Generated houses: a deterministic function from a seed to a furnished house that habitat-sim loads, with episodes.

    from sim.houses import HouseDatasetConfig, build_dataset
    build_dataset(HouseDatasetConfig(out="data/houses", train=40, val=8, test=8))

The parts: `shapes`, `textures`, `palette`, `glb` (meshes and pictures); `assets`, `furniture`, `things`, `categories`
(80 kinds of object); `plan`, `floor`, `furnish`, `stage`, `house` (from a seed to a house); `files`, `dataset`,
`config` (from a house to a data set); `contact_sheet` (for people).
"""

from sim.houses.categories import CATEGORIES, GOAL_SETS, goal_categories
from sim.houses.config import HouseDatasetConfig
from sim.houses.dataset import build_dataset
from sim.houses.house import House, HouseError, generate_house

__all__ = [
    "CATEGORIES",
    "GOAL_SETS",
    "House",
    "HouseDatasetConfig",
    "HouseError",
    "build_dataset",
    "generate_house",
    "goal_categories",
]
