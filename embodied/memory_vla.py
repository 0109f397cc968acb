"""MemoryVLA (2508.19236, section 3): encode, remember, decide.

One decision, of B robots side by side::

    pictures, instruction --> encoder --> perceptual [B, N, C], cognitive [B, D]          embodied/encoders/
                              working memory: perceptual [B, N, P], cognitive [B, 1, D]   embodied/working_memory.py
                              memory bank: retrieve, fuse, consolidate                    memory_bank/
                              action expert: a chunk of H actions                         policies/action_expert/

A decision is made where a chunk begins, in training as in acting, and the bank is told the time in seconds: how many
actions of a chunk a robot carries out before it decides anew may differ between the two.

Streams that are not remembered go straight from working memory to the expert: without any, this is a plain
vision-language-action model with the same expert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from embodied.encoders import EncoderConfig, make_encoder
from embodied.encoders.base import Encoded
from embodied.working_memory import WorkingMemory
from memory_bank import BankConfig, MemoryBank, MemoryState, StreamConfig, Trace
from policies.action_expert import ActionExpert, ExpertConfig, Normalizer

PERCEPTUAL, COGNITIVE, STATE = "perceptual", "cognitive", "state"
VLA = "vla"
"""The kind of policy that a checkpoint of this one says it is of."""


@dataclass
class MemoryConfig:
    """The memory bank, as `memory_bank.BankConfig` has it; its streams follow from the encoder."""

    streams: list[str] = field(
        default_factory=lambda: [PERCEPTUAL, COGNITIVE],
        metadata={"help": "what is remembered: perceptual, cognitive, both, or [] for no memory"},
    )
    capacity: int = field(default=16, metadata={"help": "entries at most (L)"})
    blocks: int = field(default=2, metadata={"help": "cross-attention blocks of retrieval"})
    heads: int = field(default=1, metadata={"help": "attention heads of retrieval"})
    fuse: str = field(default="gate", metadata={"help": "gate or mean of present and retrieved"})
    write: str = field(default="fused", metadata={"help": "what is stored: fused (the paper) or raw"})
    strategy: str = field(default="merge", metadata={"help": "what a full bank does: merge, fifo, reservoir or none"})
    merge_weight: str = field(default="equal", metadata={"help": "equal (the paper) or count"})
    merged_time: str = field(default="earlier", metadata={"help": "time of a merged entry: earlier or mean"})
    joint: bool = field(default=False, metadata={"help": "both streams merge the same entries"})
    clock: str = field(default="episode", metadata={"help": "time that keys carry: episode, age or none"})
    time_unit_s: float = field(default=0.1, metadata={"help": "seconds of one unit of the time embedding"})
    detach: bool = field(default=True, metadata={"help": "stored entries carry no gradient (the paper)"})

    def bank(self, streams: Mapping[str, StreamConfig]) -> BankConfig:
        """The bank of those of `streams` that are remembered. Raises BankError, naming a wrong field."""
        kept = {name: replace(stream, heads=self.heads) for name, stream in streams.items() if name in self.streams}
        options = {name: value for name, value in vars(self).items() if name not in ("streams", "heads")}
        config = BankConfig(streams=kept, **options)
        config.validate()
        return config


@dataclass
class VlaConfig:
    """The whole policy. It travels with the checkpoint."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig, metadata={"help": "pictures and words to tokens"})
    perceptual_dim: int = field(default=256, metadata={"help": "width of the perceptual tokens in memory"})
    cognitive_dim: int = field(
        default=0, metadata={"help": "width that the cognitive token is projected to; 0: as it comes from the encoder"}
    )
    memory: MemoryConfig = field(default_factory=MemoryConfig, metadata={"help": "the memory bank"})
    expert: ExpertConfig = field(default_factory=ExpertConfig, metadata={"help": "the diffusion action expert"})
    use_state: bool = field(
        default=True, metadata={"help": "the expert also attends to a token of the robot's state (not in the paper)"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        self.encoder.validate()
        self.expert.validate()
        for name in self.memory.streams:
            if name not in (PERCEPTUAL, COGNITIVE):
                raise ValueError(f"memory.streams: no stream '{name}'; remember perceptual, cognitive, both or []")
        if self.memory.streams:
            self.memory.bank({name: StreamConfig(tokens=1, dim=self.memory.heads) for name in self.memory.streams})
        if self.perceptual_dim < 1 or self.cognitive_dim < 0:
            raise ValueError("perceptual_dim must be at least 1, and cognitive_dim not negative")


class MemoryVla(nn.Module):
    """The policy. What it remembers is a value that goes in and comes out.

    Args:
        config: see `VlaConfig`.
        cameras: names; their order is that of the tokens.
        state_size: S, numbers of the robot's state; 0: it has none.
        action_size: A.

    Raises:
        EncoderError: weights cannot be loaded.
        BankError, ValueError: the config cannot be right.
    """

    def __init__(self, config: VlaConfig, cameras: Sequence[str], state_size: int, action_size: int) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.state_size = state_size if config.use_state else 0
        self.encoder = make_encoder(config.encoder, cameras)
        self.working_memory = WorkingMemory(self.encoder, config.perceptual_dim, config.cognitive_dim or None)
        widths = {PERCEPTUAL: self.working_memory.perceptual_dim, COGNITIVE: self.working_memory.cognitive_dim}
        streams = {
            PERCEPTUAL: StreamConfig(tokens=self.encoder.tokens, dim=widths[PERCEPTUAL]),
            COGNITIVE: StreamConfig(tokens=1, dim=widths[COGNITIVE]),
        }
        self.bank = MemoryBank(config.memory.bank(streams)) if config.memory.streams else None
        attended = {PERCEPTUAL: widths[PERCEPTUAL]}
        if self.state_size:
            self.normalize_state = Normalizer(self.state_size)
            attended[STATE] = self.state_size
        self.expert = ActionExpert(config.expert, action_size, widths[COGNITIVE], attended)

    def initial_memory(self, rows: int, seeds: Tensor | None = None) -> MemoryState:
        """The memory of `rows` robots that have seen nothing."""
        return {} if self.bank is None else self.bank.empty_state(rows, seeds)

    def encode(self, images: Mapping[str, Tensor], instructions: Sequence[str]) -> Encoded:
        """Pictures {camera: uint8 [B, H, W, 3]} and B instructions, as the encoder gives them."""
        return self.encoder(images, instructions)

    def loss(
        self,
        encoded: Encoded,
        state: Tensor,
        times: Tensor,
        actions: Tensor,
        action_mask: Tensor,
        memory: MemoryState,
        resets: Tensor,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, MemoryState]:
        """T decisions of B demonstrations, side by side.

        Consolidation is learned with only if it is met: go on from the memory of the segment before, or let T exceed
        the bank's capacity.

        Args:
            encoded: perceptual [B, T, N, C], cognitive [B, T, D].
            state: [B, T, S] in their units.
            times: [B, T] seconds since the episode began.
            actions: [B, T, H, A], the chunks that follow.
            action_mask: [B, T, H] bool: false beyond an episode's end.
            memory: of the B rows before the first decision.
            resets: [B, T] bool: decisions that begin an episode.
            mask: [B, T] bool: false at padding; None: none is padded.
            generator: of noise, diffusion steps and dropped conditions.

        Returns:
            The mean loss, and the memory after the last decision, without gradients.
        """
        rows, steps = times.shape
        tokens = self.working_memory(Encoded(*(each.flatten(0, 1) for each in encoded)))
        if self.bank is not None:
            present = {name: tokens[name].unflatten(0, (rows, steps)) for name in self.bank.streams}
            unrolled = self.bank.unroll(present, times, memory, mask, resets)
            tokens |= {name: each.flatten(0, 1) for name, each in unrolled.tokens.items()}
            memory = {name: each.detach() for name, each in unrolled.state.items()}
        if mask is not None:
            action_mask = action_mask & mask[..., None]
        cognitive, attended = self._condition(tokens, state.flatten(0, 1))
        loss = self.expert.loss(
            actions.flatten(0, 1), action_mask.flatten(0, 1), cognitive, attended, generator=generator
        )
        return loss, memory

    @torch.no_grad()
    def act(
        self,
        encoded: Encoded,
        state: Tensor,
        times: Tensor,
        memory: MemoryState,
        noise: Tensor,
        resets: Tensor | None = None,
        write: Tensor | None = None,
        trace: Trace | None = None,
    ) -> tuple[Tensor, MemoryState]:
        """One decision of B robots.

        Args:
            encoded: perceptual [B, N, C], cognitive [B, D].
            state: [B, S].
            times: [B] seconds since the episode began.
            memory: of the rows; it is not changed.
            noise: [B, H, A], standard normal: the chunk is a function of it.
            resets: [B] bool: rows that begin an episode.
            write: [B] bool: rows that remember this decision; None: all.
            trace: records what the bank did.

        Returns:
            Chunks [B, H, A] in their units, and the memory afterwards.
        """
        tokens = self.working_memory(encoded)
        if self.bank is not None:
            present = {name: tokens[name] for name in self.bank.streams}
            step = self.bank.step(present, times, memory, write, resets, trace=trace is not None)
            if trace is not None and step.trace is not None:
                trace.record(step.trace)
            tokens |= step.tokens
            memory = step.state
        cognitive, attended = self._condition(tokens, state)
        return self.expert.act(noise, cognitive, attended), memory

    def trained_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: all weights and statistics but the encoder's frozen ones, which are shipped."""
        frozen = self.encoder.state_dict().keys() - self.encoder.trained_state().keys()
        left_out = {f"encoder.{name}" for name in frozen}
        return {name: value for name, value in self.state_dict().items() if name not in left_out}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `trained_state` gave. Raises EncoderError or ValueError if it is of another policy."""
        prefix = "encoder."
        self.encoder.load_trained_state({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        own = {name: value for name, value in self.trained_state().items() if not name.startswith(prefix)}
        rest = {name: value for name, value in state.items() if not name.startswith(prefix)}
        for name in sorted(own.keys() | rest.keys()):
            if name not in rest or name not in own or own[name].shape != rest[name].shape:
                raise ValueError(f"the weights are of another policy: they differ at {name}")
        self.load_state_dict(rest, strict=False)

    def _condition(self, tokens: Mapping[str, Tensor], state: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The cognitive token [B, D], and the streams that the expert attends to."""
        attended = {PERCEPTUAL: tokens[PERCEPTUAL]}
        if self.state_size:
            attended[STATE] = self.normalize_state(state).unsqueeze(1)
        return tokens[COGNITIVE].squeeze(1), attended
