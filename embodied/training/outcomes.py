"""Success while training, over a window of the goals that ended last."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

_WINDOW = 200


class Outcomes:
    """Counts goals as they end: episodes, or in ExtObjectNav each goal of the stream.

    Args:
        envs: how many environments there are.
    """

    def __init__(self, envs: int) -> None:
        self._successes: deque[float] = deque(maxlen=_WINDOW)
        self._so_far = np.zeros(envs)
        self.goals = 0
        self.episodes = 0
        self.restarts = 0

    def update(self, infos: dict[str, Any]) -> None:
        """Reads the infos of one step of the vector environment."""
        metrics = infos["metrics"]
        final = infos.get("final_info", np.full(len(self._so_far), None))
        for row, ended in enumerate(final):
            if ended is None:
                if "goal_sequence.finished" in metrics and metrics["goal_sequence.finished"][row]:
                    self._goal(row, metrics["goal_sequence.successes"][row])
                continue
            self.episodes += 1
            if ended["worker_restarted"]:  # it broke off: neither a success nor a failure
                self.restarts += 1
            elif "goal_sequence.finished" not in metrics:
                self._goal(row, self._so_far[row] + ended["metrics"].get("success", 0.0))
            elif ended["metrics"]["goal_sequence.finished"]:
                self._goal(row, ended["metrics"]["goal_sequence.successes"])
            self._so_far[row] = 0.0

    def _goal(self, row: int, successes: float) -> None:
        self._successes.append(float(successes - self._so_far[row]))
        self._so_far[row] = successes
        self.goals += 1

    def figures(self) -> dict[str, float]:
        body = {"goals": self.goals, "episodes": self.episodes, "worker_restarts": self.restarts}
        return {**body, "success": float(np.mean(self._successes))} if self._successes else dict(body)

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "successes": list(self._successes),
            "so_far": self._so_far.tolist(),
            **{name: getattr(self, name) for name in ("goals", "episodes", "restarts")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._successes = deque(state["successes"], maxlen=_WINDOW)
        self._so_far = np.array(state["so_far"])
        self.goals, self.episodes, self.restarts = state["goals"], state["episodes"], state["restarts"]
