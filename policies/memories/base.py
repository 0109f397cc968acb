"""What every memory is: one token a step comes in, what is remembered of all steps goes out.

Letters of shapes, here and in the other files: T steps, N rows (each its own episode), D a token's width.

A state is a dict of tensors [N, ...] and a value: nothing is hidden in the module. Entries whose names begin with
`cache.` follow from the others (keys and values of tokens that are kept): a state without them is as good, and where
the weights have changed since, better. `policies.base.without_caches` leaves them out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.base import State


class Memory(nn.Module):
    """Base of all memories. A subclass takes (config: PolicyConfig, token_size: int)."""

    size: int
    """Width of what comes out at each step."""

    def initial_state(self, rows: int, device: torch.device) -> State:
        """The state of `rows` rows that have seen nothing; its shapes are those of every later state."""
        raise NotImplementedError

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """T steps, for training.

        Args:
            tokens: [T, N, D].
            state: before the first token. No gradient goes into what it holds of kept tokens.
            resets: bool [T, N]; a row forgets before a token marked so.

        Returns:
            [T, N, size], and the state after the last token.
        """
        raise NotImplementedError

    def step(self, token: Tensor, state: State, resets: Tensor, in_place: bool) -> tuple[Tensor, State]:
        """One step without gradients, the same numbers as `forward`.

        Args:
            token: [N, D].
            state: before it.
            resets: bool [N].
            in_place: the state may be written into: what was handed in is then no longer the state before.

        Returns:
            [N, size], and the state after it.
        """
        features, state = self(token.unsqueeze(0), state, resets.unsqueeze(0))
        return features[0], state


def spans(resets: Tensor) -> list[tuple[int, int]]:
    """Stretches [start, end) of resets [T, N] that no row begins an episode in but at their first step."""
    starts = sorted({0, *torch.nonzero(resets.any(dim=1)).flatten().tolist()})
    return list(zip(starts, [*starts[1:], len(resets)], strict=True))


def steps_before(resets: Tensor, seen: Tensor) -> Tensor:
    """How many steps of its episode lie before each step, int64 [T, N].

    Args:
        resets: bool [T, N].
        seen: int64 [N], how many of the episode under way lie before the first.
    """
    steps = torch.arange(len(resets), device=resets.device)[:, None]
    begin = torch.where(resets, steps, -1).cummax(dim=0).values
    return torch.where(begin < 0, steps + seen, steps - begin)
