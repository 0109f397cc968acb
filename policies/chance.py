"""Chance that lasts: one draw decides over several steps."""

from __future__ import annotations

import numpy as np


class HeldNoise:
    """Noise for `ActionDistribution.choose`, kept for a random number of steps, the same for each step on average.

    Where a policy cannot know whether the way is to the left or to the right, it gives both the same probability, and
    drawn anew at every step it turns to and fro on the spot. With one draw for some steps it makes up its mind, goes,
    and sees more (temporally extended exploration: Dabney et al., ICLR 2021; coloured noise: Eberhard et al., ICLR
    2023). Each step's action keeps its probability; what differs is how neighbouring steps hang together.

    Args:
        rows: how many rows act side by side.
        hold: for how many steps a draw is kept, on average; 1: drawn anew at each step.
    """

    def __init__(self, rows: int, hold: float) -> None:
        self._hold = hold
        self.kept: np.ndarray = np.zeros((rows, 0), np.float32)
        """float32 [rows, noise_size], of the last step."""

    @staticmethod
    def draws(noise_size: int) -> int:
        """How many numbers a row needs to be given at a step."""
        return 1 + noise_size

    def __call__(self, drawn: np.ndarray, resets: np.ndarray) -> np.ndarray:
        """The noise of this step, float32 [rows, noise_size].

        Args:
            drawn: uniform in [0, 1), [rows, draws(noise_size)].
            resets: bool [rows], where an episode begins, and with it a new draw.
        """
        anew = np.asarray(resets, bool) | (drawn[:, 0] * self._hold < 1.0)
        if self.kept.shape != drawn[:, 1:].shape:
            anew = np.ones(len(drawn), bool)
        self.kept = np.where(anew[:, None], drawn[:, 1:], self.kept if not anew.all() else drawn[:, 1:])
        return self.kept
