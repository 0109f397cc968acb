"""Plays a trained MemoryVLA: observations in, one action after another out, whatever sends them.

One row, chunks of H = 4 actions of which 3 are carried out::

    call          0    1    2    3    4    5    6
    decides       *              *              *       looks, remembers, draws a chunk
    action        a0   a1   a2   b0   b1   b2   c0

Simulators, the service (`embodied.serve`) and robots all act through this class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from embodied import config as configs
from embodied.checkpoint import Checkpoint, CheckpointError, load
from embodied.memory_vla import VLA, MemoryVla, VlaConfig
from memory_bank import BankState, MemoryState, Trace
from policies.action_expert import ActionSpec

INTACT, ZERO, SHUFFLE, SWAP = "intact", "zero", "shuffle", "swap"


def load_vla(path: Path) -> tuple[MemoryVla, ActionSpec, Checkpoint]:
    """The policy in a checkpoint (or in a run's newest one), to act: its averaged weights, nothing that learns.

    Raises:
        CheckpointError: there is none, it is damaged, or of another kind of policy.
        EncoderError: its encoder's shipped weights are not there.
    """
    checkpoint = load(path)
    if checkpoint.meta.get("kind") != VLA:
        raise CheckpointError(
            f"{checkpoint.folder} is of a {checkpoint.meta.get('kind', 'navigation')} policy, not a VLA"
        )
    contract = checkpoint.meta["contract"]
    config = configs.from_dict(VlaConfig, checkpoint.meta["config"]["policy"], str(checkpoint.folder))
    spec = ActionSpec.from_json(contract["action"])
    policy = MemoryVla(config, list(contract["cameras"]), contract["state_size"], spec.size)
    try:
        policy.load_trained_state(checkpoint.weights())
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.folder}: {error}") from error
    return policy.eval().requires_grad_(False), spec, checkpoint


class VlaPlayer:
    """N rows that act at their own pace, each an episode with a memory of its own.

    Args:
        path: a checkpoint's folder, or a run's.
        rows: N.
        execute: actions of a chunk that are carried out before the next decision; 0: the most that training had between
            two decisions.
        seed: of the noise that chunks are drawn from; `reset` may give each episode its own.
        device: where to compute.
        memory: what decisions find in the bank, to see whether they use it: intact; zero (entries of zeros); shuffle
            (what is remembered, at the times of other entries); swap (what the next row remembers). What is written
            stays as it should be.

    Raises:
        CheckpointError, EncoderError: see `load_vla`.
        ValueError: `execute` exceeds the chunk, or the memory cannot be damaged so.
    """

    def __init__(
        self, path: Path, rows: int, execute: int = 0, seed: int = 0, device: str = "cpu", memory: str = INTACT
    ) -> None:
        if memory not in (INTACT, ZERO, SHUFFLE, SWAP):
            raise ValueError(f"memory must be {INTACT}, {ZERO}, {SHUFFLE} or {SWAP}, not '{memory}'")
        if memory == SWAP and rows < 2:
            raise ValueError("memory: with one row there is none to swap with; use two or more (sim.num_envs)")
        self.policy, self.spec, self.checkpoint = load_vla(path)
        self.policy.to(device)
        self.device = torch.device(device)
        contract = self.checkpoint.meta["contract"]
        self.cameras: dict[str, list[int]] = contract["cameras"]
        self.state_size = int(contract["state_size"])
        self.fps = float(contract["fps"])
        self.horizon = self.policy.config.expert.horizon
        self.execute = execute or min(int(contract["stride"][1]), self.horizon)
        if not 1 <= self.execute <= self.horizon:
            raise ValueError(f"execute must be 1 to {self.horizon} (the chunk), not {self.execute}")
        self._seed, self._damage = seed, memory
        self._chunks = np.zeros((rows, self.horizon, self.spec.size), np.float32)
        self._next = np.full(rows, self.execute)
        self._generators = [np.random.default_rng([seed, row]) for row in range(rows)]
        self._resets = np.ones(rows, bool)
        self.memory: MemoryState = {
            name: each.to(self.device) for name, each in self.policy.initial_memory(rows).items()
        }
        self.trace: Trace | None = None
        """Set it to have decisions recorded."""

    @property
    def rows(self) -> int:
        return len(self._next)

    def reset(self, rows: np.ndarray, seeds: np.ndarray | None = None) -> None:
        """Begins a new episode in the rows marked (bool [N]), drawing from `seeds` (int64 [N]) where given."""
        for row in np.flatnonzero(rows):
            self._resets[row], self._next[row] = True, self.execute
            if seeds is not None:
                self._generators[row] = np.random.default_rng([self._seed, int(seeds[row])])

    def decides(self) -> np.ndarray:
        """bool [N]: rows whose next `act` begins a chunk, and so looks at what it is given. Others need no pictures."""
        return self._next >= self.execute

    def act(
        self, images: Mapping[str, np.ndarray], state: np.ndarray, instructions: Sequence[str], times: np.ndarray
    ) -> np.ndarray:
        """Every row's action.

        Args:
            images: camera -> uint8 [N, H, W, 3]; only rows that decide are looked at.
            state: float32 [N, S].
            instructions: N texts.
            times: float64 [N], seconds since the episode began.

        Returns:
            float32 [N, A], in the action's units, within the limits of `spec`.

        Raises:
            EncoderError: a camera is missing, or a picture is of the wrong shape or type.
            ActionError: the policy's action is not finite.
        """
        rows = np.flatnonzero(self.decides())
        if len(rows):
            self._chunks[rows] = self.decide(
                rows,
                {name: images[name][rows] for name in self.policy.encoder.cameras if name in images},
                np.asarray(state)[rows],
                [instructions[row] for row in rows],
                np.asarray(times)[rows],
            )
            self._next[rows] = 0
        actions = self._chunks[np.arange(self.rows), self._next]
        self._next += 1
        return self.spec.finish(torch.from_numpy(actions.copy())).numpy()

    def decide(
        self,
        rows: np.ndarray,
        images: Mapping[str, np.ndarray],
        state: np.ndarray,
        instructions: Sequence[str],
        times: np.ndarray,
    ) -> np.ndarray:
        """A whole chunk for each of `rows` (int [k], each once), for who carries chunks out by himself.

        Args:
            images, state, instructions, times: as in `act`, of these k rows.

        Returns:
            float32 [k, H, A], in the action's units. The memory of other rows stays as it is.
        """
        index = torch.from_numpy(np.asarray(rows, np.int64)).to(self.device)
        shape = (self.horizon, self.spec.size)
        pictures = {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in images.items()}
        with torch.no_grad():
            encoded = self.policy.encode(pictures, instructions)
            # Drawn only now: a call that the encoder refuses leaves every row as it was.
            noise = np.stack([self._generators[row].standard_normal(shape, dtype=np.float32) for row in rows])
            states = torch.from_numpy(np.asarray(state, np.float32)).to(self.device)
            clock = torch.from_numpy(np.asarray(times, np.float64)).to(self.device)
            drawn = torch.from_numpy(noise).to(self.device)
            resets = torch.from_numpy(self._resets[rows]).to(self.device)
            own = {name: each.select(index) for name, each in self.memory.items()}
            chunks, memory = self.policy.act(encoded, states, clock, own, drawn, resets, trace=self.trace)
            if self._damage != INTACT:
                damaged = {name: self._damaged(each, index) for name, each in self.memory.items()}
                chunks, _ = self.policy.act(encoded, states, clock, damaged, drawn, resets)
        self.memory = {name: each.put(index, memory[name]) for name, each in self.memory.items()}
        self._resets[rows] = False
        return chunks.cpu().numpy()

    def _damaged(self, memory: BankState, rows: Tensor) -> BankState:
        """The memory of `rows` as `memory=` has it."""
        own = memory.select(rows)
        if self._damage == ZERO:
            return own._replace(tokens=torch.zeros_like(own.tokens))
        if self._damage == SWAP:
            return memory.select((rows + 1) % self.rows)
        places = torch.arange(own.capacity, device=self.device)
        tokens = own.tokens.clone()
        for row, size in enumerate(own.size.tolist()):
            order = self._generators[int(rows[row])].permutation(size)
            tokens[row, places[:size]] = own.tokens[row, torch.from_numpy(order).to(self.device)]
        return own._replace(tokens=tokens)
