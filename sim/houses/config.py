"""What a data set of houses holds: how many, from which seeds, with which episodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.houses.categories import goal_categories

SPLITS = ("train", "val", "test")
TASKS = ("pointnav", "objectnav", "ext_objectnav")


@dataclass
class HouseDatasetConfig:
    """Houses and episodes of a data set; every split takes houses from its own range of seeds."""

    out: str = field(default="data/houses", metadata={"help": "folder of the data set"})
    train: int = field(default=40, metadata={"help": "houses to train on"})
    val: int = field(default=8, metadata={"help": "houses to validate on"})
    test: int = field(default=8, metadata={"help": "houses to test on"})
    train_seed: int = field(default=0, metadata={"help": "seed of the first training house"})
    val_seed: int = field(default=100_000, metadata={"help": "seed of the first validation house"})
    test_seed: int = field(default=200_000, metadata={"help": "seed of the first test house"})
    min_rooms: int = field(default=3, metadata={"help": "fewest rooms of a house, hallway included"})
    max_rooms: int = field(default=9, metadata={"help": "most rooms of a house, hallway included"})
    pointnav: int = field(default=50, metadata={"help": "PointNav episodes a house"})
    objectnav: int = field(default=50, metadata={"help": "ObjectNav episodes a house"})
    ext_objectnav: int = field(default=4, metadata={"help": "ExtObjectNav trials a house"})
    eval_episodes: int = field(
        default=0,
        metadata={"help": "episodes of each task in a validation or test house; 0: as many as in a training house"},
    )
    goals_per_trial: int = field(default=20, metadata={"help": "goals of an ExtObjectNav trial"})
    goal_categories: str = field(
        default="all",
        metadata={"help": "all, furniture, challenge (chair, bed, plant, toilet, tv, sofa), or names with commas"},
    )
    pointnav_metres: tuple[float, float] = field(
        default=(1.0, 30.0), metadata={"help": "least and most geodesic distance from start to goal, PointNav"}
    )
    objectnav_metres: tuple[float, float] = field(
        default=(2.0, 30.0),
        metadata={"help": "the same to the nearest place that sees the goal, ObjectNav and ExtObjectNav"},
    )
    meshes: str = field(
        default="",
        metadata={"help": "real furniture of Debian's sweethome3d-furniture: cc0, or all (CC-BY too); empty: none"},
    )
    meshes_dir: str = field(
        default="", metadata={"help": "folder of its .sh3f files; empty: where the package puts them"}
    )
    workers: int = field(default=2, metadata={"help": "houses made side by side; each takes a core"})
    python: str = field(default="", metadata={"help": "the simulator's interpreter; empty: the built one"})

    def seeds(self, split: str) -> range:
        """Seeds of a split's houses."""
        first = int(getattr(self, f"{split}_seed"))
        return range(first, first + int(getattr(self, split)))

    def counts(self) -> dict[str, int]:
        """Episodes a house, by task."""
        return {task: int(getattr(self, task)) for task in TASKS}

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        for name in ("train", "val", "test", "eval_episodes", *TASKS):
            if getattr(self, name) < 0:
                raise ValueError(f"houses.{name} must not be negative, and is {getattr(self, name)}")
        for i, a in enumerate(SPLITS):
            if self.seeds(a) and not 0 <= self.seeds(a)[0] <= self.seeds(a)[-1] < 1_000_000:
                raise ValueError(f"houses.{a}_seed: seeds must lie in 0..999999")
            for b in SPLITS[i + 1 :]:
                both = range(max(self.seeds(a).start, self.seeds(b).start), min(self.seeds(a).stop, self.seeds(b).stop))
                if both:
                    raise ValueError(
                        f"houses.{a}_seed and houses.{b}_seed: seed {both[0]} would be in both splits; move one of them"
                    )
        if not 3 <= self.min_rooms <= self.max_rooms <= 9:
            raise ValueError(f"houses.min_rooms, max_rooms must lie in 3..9, not {self.min_rooms}..{self.max_rooms}")
        for name in ("pointnav_metres", "objectnav_metres"):
            least, most = getattr(self, name)
            if not 0.0 <= least < most:
                raise ValueError(f"houses.{name}: {least} to {most} is no range of distances")
        if self.ext_objectnav and self.goals_per_trial < 1:
            raise ValueError(f"houses.goals_per_trial must be at least 1, not {self.goals_per_trial}")
        if self.workers < 1:
            raise ValueError(f"houses.workers must be at least 1, not {self.workers}")
        if len(goal_categories(self.goal_categories)) < 2:
            raise ValueError("houses.goal_categories must name at least two categories")
