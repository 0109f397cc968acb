"""The policy that all memories are compared in.

::

    observation, previous action -- encoder --+-- token -- memory ---+-- features -- action head
                                              |                      |
                                              +-- where the goal is -+

What is seen becomes a token a step (`policies.observations`), the memory (`policies.memories`, chosen by
`policy.memory`) turns the tokens so far into features, and the head (`policies.heads`) those into a choice of action.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.base import SequencePolicy, State
from policies.config import PolicyConfig
from policies.contract import Contract
from policies.heads import make_head
from policies.memories import make_memory
from policies.observations import Encoded, ObservationEncoder


class MemoryPolicy(SequencePolicy):
    """Reads what `ObservationEncoder` can read of a task.

    Raises:
        ContractError: it can read nothing of it, or not all that it should.
    """

    def __init__(self, config: PolicyConfig, offered: Contract) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(config, offered)
        self.contract = self.encoder.contract
        self.seen_shape = self.encoder.seen_shape
        self.memory = make_memory(config, self.encoder.token_size)
        self.feature_size = self.memory.size + self.encoder.whereabouts_size
        self.head = make_head(self.feature_size, self.contract.actions)

    def initial_state(self, rows: int) -> State:
        device = next(self.parameters()).device
        return self.memory.initial_state(rows, device) | self.encoder.initial_state(rows, device)

    def remember(
        self, observations: Mapping[str, Tensor], previous_actions: Tensor, state: State, resets: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        encoded = self.encoder(observations, previous_actions, state, resets)
        features, after = self.memory(encoded.tokens, state, resets)
        return self._joined(features, encoded), after | encoded.state, encoded.seen

    def remember_step(
        self,
        observations: Mapping[str, Tensor],
        previous_actions: Tensor,
        state: State,
        resets: Tensor,
        in_place: bool,
    ) -> tuple[Tensor, State]:
        now = {name: values.unsqueeze(0) for name, values in observations.items()}
        encoded = self.encoder(now, previous_actions.unsqueeze(0), state, resets.unsqueeze(0))
        features, after = self.memory.step(encoded.tokens[0], state, resets, in_place)
        return self._joined(features.unsqueeze(0), encoded)[0], after | encoded.state

    def _joined(self, features: Tensor, encoded: Encoded) -> Tensor:
        return torch.cat([features, encoded.whereabouts], dim=-1) if self.encoder.whereabouts_size else features
