"""Which episode an environment runs next, as a pure function of (seed, environment, count).

habitat-lab's iterator keeps its state in a random generator, so an environment that is restarted after a crash, or a
run that is resumed, would see other episodes. Here the k-th episode of environment i depends on nothing but the
numbers, so that results do not change with the number of workers and a killed worker's replacement goes on where the
dead one was.
"""

import random
from typing import Any, Dict, List, Sequence

SHUFFLED = "shuffled"
SEQUENTIAL = "sequential"


class EpisodeStream:
    """An endless iterator over `episodes`, with a position that can be set.

    Args:
        episodes: habitat-lab episodes, in the data set's order.
        order: "shuffled" (training: every environment has its own order, every epoch a new one, episodes of one scene
            come in runs of `scene_run` so that scenes are not loaded for each) or "sequential" (evaluation: environment
            i of n gets episodes i, i + n, i + 2n ...).
        seed: of the order and of every episode.
        env_index, num_envs: this environment and how many there are.
        scene_run: how many episodes of one scene come in a row when shuffled.
    """

    def __init__(
        self,
        episodes: Sequence[Any],
        order: str = SHUFFLED,
        seed: int = 0,
        env_index: int = 0,
        num_envs: int = 1,
        scene_run: int = 8,
    ) -> None:
        if not episodes:
            raise ValueError("the episode data set is empty")
        if order not in (SHUFFLED, SEQUENTIAL):
            raise ValueError("episode order must be 'shuffled' or 'sequential', not {!r}".format(order))
        self._episodes = episodes
        self._order = order
        self._seed = seed
        self._env_index = env_index
        self._num_envs = num_envs
        self._scene_run = max(1, scene_run)
        self._scenes: Dict[str, List[int]] = {}
        for index, episode in enumerate(episodes):
            self._scenes.setdefault(episode.scene_id, []).append(index)
        self._epoch = -1
        self._permutation: List[int] = []
        self.count = 0
        """How many episodes have been handed out: the position that `seek` sets."""

    def seek(self, count: int) -> None:
        self.count = count

    def reseed(self, seed: int) -> None:
        self._seed = seed
        self._epoch = -1

    def __iter__(self) -> "EpisodeStream":
        return self

    def __next__(self) -> Any:
        index = self.index_of(self.count)
        self.count += 1
        return self._episodes[index]

    def index_of(self, count: int) -> int:
        """The data-set index of this environment's `count`-th episode."""
        if self._order == SEQUENTIAL:
            return (self._env_index + count * self._num_envs) % len(self._episodes)
        epoch, place = divmod(count, len(self._episodes))
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self._shuffle(epoch)
        return self._permutation[place]

    def episode_seed(self, count: int) -> int:
        """Seed of everything random inside the `count`-th episode."""
        where = self.index_of(count) if self._order == SEQUENTIAL else "{}/{}".format(self._env_index, count)
        return random.Random("episode {} {}".format(self._seed, where)).getrandbits(31)

    def _shuffle(self, epoch: int) -> List[int]:
        generator = random.Random("order {} {} {}".format(self._seed, self._env_index, epoch))
        runs = []
        for indices in self._scenes.values():
            shuffled = list(indices)
            generator.shuffle(shuffled)
            runs += [shuffled[i : i + self._scene_run] for i in range(0, len(shuffled), self._scene_run)]
        generator.shuffle(runs)
        return [index for run in runs for index in run]
