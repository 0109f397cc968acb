"""Training of MemoryVLA on demonstrations (2508.19236, section 4.1).

One update, B episodes side by side, T decisions of each::

    segment (pictures or features, state, times, chunks)  ->  encode, remember, the expert's loss  ->  AdamW, averages
    memory after the segment                              ->  memory before the next one

Rows go through whole episodes, however long, and their memory with them. So consolidation is met in training as often
as it will be when acting. The stride between decisions is drawn anew for each episode.

What is random follows from the seed and the number of the update, so that a training that is killed and started again
ends as if it had not been.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from rich.console import Console
from torch import Tensor, nn

from embodied import config as configs
from embodied.checkpoint import Checkpoint, Checkpoints, TrainingState, load_optimizer_tensors, optimizer_tensors
from embodied.config import ConfigError
from embodied.data import DataConfig, DemonstrationSet, Prefetch, Segment, SegmentConfig, SegmentStream, split_episodes
from embodied.encoders.base import Encoded
from embodied.memory_vla import VLA, MemoryVla, VlaConfig
from embodied.training.features import Features, can_be_kept
from embodied.training.progress import TrainingProgress
from embodied.training.run import Run, TrainResult, stop_on_signals
from embodied.training.schedule import warm_up_then_cosine
from memory_bank import BankState, MemoryState
from policies.action_expert import ActionSpec
from policies.action_expert.actions import KINDS


@dataclass
class VlaTrainConfig:
    """Imitation of demonstrations by MemoryVLA."""

    algorithm: str = field(default=VLA, metadata={"help": "which algorithm this config is of"})
    output: str = field(default="runs/vla", metadata={"help": "the run's folder; a run that is there goes on"})
    seed: int = field(default=0, metadata={"help": "of weights, noise and the order of episodes"})
    data: DataConfig = field(default_factory=DataConfig, metadata={"help": "the demonstrations"})
    held_out: float = field(default=0.05, metadata={"help": "share of the episodes that is not trained on"})
    segments: SegmentConfig = field(
        default_factory=SegmentConfig,
        metadata={
            "help": "how episodes are cut; segments.chunk and segments.seed follow policy.expert.horizon and seed"
        },
    )
    policy: VlaConfig = field(default_factory=VlaConfig, metadata={"help": "architecture"})
    action: str = field(default="end_effector", metadata={"help": f"what an action is: {', '.join(KINDS)}"})
    gripper: int = field(default=-1, metadata={"help": "which number is a gripper that is open or closed; -1: none"})
    updates: int = field(default=10_000, metadata={"help": "gradient steps in all"})
    accumulate: int = field(default=1, metadata={"help": "segments in one gradient step"})
    learning_rate: float = field(default=2e-5, metadata={"help": "AdamW's, at its highest (the paper's)"})
    weight_decay: float = field(default=0.0, metadata={"help": "AdamW's"})
    warm_up: float = field(default=0.02, metadata={"help": "share of the training in which the rate rises"})
    final_rate: float = field(default=0.1, metadata={"help": "share of the learning rate left at the end (cosine)"})
    max_grad_norm: float = field(default=1.0, metadata={"help": "longer gradients are cut to this"})
    ema_decay: float = field(
        default=0.999, metadata={"help": "of the running average of the weights, which is what acts; 0: none"}
    )
    precision: str = field(default="no", metadata={"help": "no (float32) or bf16 (mixed)"})
    device: str = field(default="auto", metadata={"help": "auto (accelerate's choice) or cpu"})
    keep_features: bool = field(
        default=True,
        metadata={"help": "encode every frame once if the encoder is frozen and shipped, and learn from that"},
    )
    features: str = field(default="data/features", metadata={"help": "folder for what a frozen encoder gave"})
    validate_every: int = field(default=500, metadata={"help": "updates between losses on held-out episodes; 0: never"})
    torch_threads: int = field(default=0, metadata={"help": "of the CPU; 0: torch's choice"})
    checkpoint_s: float = field(default=120.0, metadata={"help": "seconds between checkpoints"})
    keep_checkpoints: int = field(default=2, metadata={"help": "how many of the newest to keep"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if not self.data.root:
            raise ValueError("data.root: name the folder of a LeRobot data set, the one that holds meta/info.json")
        self.segments.validate()
        self.policy.validate()
        for name in ("updates", "accumulate", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("held_out", "warm_up", "final_rate", "ema_decay"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, 0 to 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.action not in KINDS:
            raise ValueError(f"action must be one of {', '.join(KINDS)}, not '{self.action}'")
        if self.precision not in ("no", "bf16"):
            raise ValueError(f"precision must be no or bf16, not '{self.precision}'")
        if self.device not in ("auto", "cpu"):
            raise ValueError(f"device must be auto or cpu, not '{self.device}'")


_FREE = frozenset(
    {"output", "checkpoint_s", "keep_checkpoints", "torch_threads", "device", "features", "data.cache_mb"}
    | {"segments.workers", "validate_every"}
)
"""Settings that do not decide the result: a run may go on with others."""


def train(config: VlaTrainConfig, console: Console | None = None) -> TrainResult:
    """Trains, or goes on with, the run in `config.output`; returns when it is finished or asked to stop by a signal.

    With `accelerate launch` it runs on many processes, each with its share of the episodes; rows then begin without
    memory when such a run goes on.

    Raises:
        ConfigError: a setting is wrong, or the folder is another run's.
        DataError: the demonstrations cannot be used.
        EncoderError, BankError: the policy cannot be made.
        CheckpointError: what is stored in the folder cannot be read.
        FileError: the folder cannot be written.
    """
    config.validate()
    console = console or Console()
    if config.torch_threads:
        torch.set_num_threads(config.torch_threads)
    accelerator = Accelerator(mixed_precision=config.precision, cpu=config.device == "cpu")
    console.quiet = not accelerator.is_main_process
    with contextlib.ExitStack() as stack:
        demonstrations = DemonstrationSet(config.data)
        stack.callback(demonstrations.close)
        learner = Learner(config, demonstrations, accelerator, console)
        run, resumed = stack.enter_context(_opened(config, accelerator, console))
        stack.callback(learner.close)
        if resumed is not None and resumed.steps >= config.updates:
            return TrainResult(run.folder, resumed.folder, resumed.steps, True, resumed.meta["figures"])
        if resumed is not None:
            learner.restore(resumed.training())
        progress = stack.enter_context(TrainingProgress(run.folder, config.updates, learner.updates, console))
        stop = stack.enter_context(stop_on_signals())
        saved_s = time.monotonic()
        stopping = False
        while learner.updates < config.updates and not stopping:
            figures = learner.update()
            if config.validate_every and learner.updates % config.validate_every == 0:
                figures["held_out_loss"] = learner.validate()
            progress.update(learner.updates, figures)
            stopping = _any(bool(stop), accelerator)
            if stopping or learner.updates == config.updates or time.monotonic() - saved_s > config.checkpoint_s:
                if accelerator.is_main_process:
                    run.checkpoints.save(
                        learner.updates,
                        learner.averaged_weights(),
                        {"kind": VLA, **learner.about(), "figures": progress.figures},
                        learner.state(),
                    )
                saved_s = time.monotonic()
        accelerator.wait_for_everyone()
        newest = Checkpoints(Path(config.output)).stored()[-1]
        return TrainResult(run.folder, newest, learner.updates, learner.updates == config.updates, progress.figures)


class Learner:
    """The policy that is trained, its optimiser, its average, and where it is in the data."""

    def __init__(
        self, config: VlaTrainConfig, demonstrations: DemonstrationSet, accelerator: Accelerator, console: Console
    ) -> None:
        self._config, self._accelerator, self._demonstrations = config, accelerator, demonstrations
        self.updates = 0
        chosen, self._held_out = split_episodes(demonstrations.episodes, config.held_out, config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            policy = MemoryVla(
                config.policy, list(demonstrations.cameras), demonstrations.state_size, demonstrations.action_size
            )
        stats = demonstrations.stats(chosen)
        policy.expert.normalizer.fit(stats["action"].q01, stats["action"].q99)
        if policy.state_size:
            policy.normalize_state.fit(stats["state"].q01, stats["state"].q99)
        self.spec = _action_spec(config, stats["action"].min, stats["action"].max)
        self._frames: Any = None
        if config.keep_features and can_be_kept(policy.encoder):
            self._frames = Features(Path(config.features), policy.encoder.to(accelerator.device), demonstrations)
            if accelerator.is_main_process:
                self._frames.prepare([*chosen, *self._held_out], console)
            accelerator.wait_for_everyone()
        self._segments = replace(config.segments, chunk=config.policy.expert.horizon, seed=config.seed)
        self._stream = Prefetch(
            SegmentStream(
                demonstrations,
                self._segments,
                chosen,
                self._frames,
                rank=accelerator.process_index,
                world=accelerator.num_processes,
            )
        )
        learned = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=config.weight_decay)
        self._objective, self._optimizer = accelerator.prepare(_Objective(policy), optimizer)
        self.policy: MemoryVla = accelerator.unwrap_model(self._objective).policy
        self._learned = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        self._average = EMAModel(self._learned, decay=config.ema_decay, use_ema_warmup=True, power=0.75)
        self._average.to(accelerator.device)
        self._memory = self.policy.initial_memory(config.segments.rows)
        self._memory = {name: each.to(accelerator.device) for name, each in self._memory.items()}

    def update(self) -> dict[str, float]:
        """One gradient step; its figures."""
        config = self._config
        rate = warm_up_then_cosine(
            config.learning_rate, self.updates / config.updates, config.warm_up, config.final_rate
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self._accelerator.device)
        for part in range(config.accumulate):
            segment = next(self._stream)
            generator = self._generator(self.updates * config.accumulate + part)
            last = part == config.accumulate - 1
            with contextlib.nullcontext() if last else self._accelerator.no_sync(self._objective):
                loss, self._memory = self._objective(self._tensors(segment), self._memory, generator)
                self._accelerator.backward(loss / config.accumulate)
            total += loss.detach() / config.accumulate
        norm = self._accelerator.clip_grad_norm_(self._objective.parameters(), config.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if config.ema_decay:
            self._average.step(self._learned)
        self.updates += 1
        return {"loss": float(total), "gradient_norm": float(norm), "learning_rate": rate}

    @torch.no_grad()
    def validate(self) -> float:
        """The averaged weights' loss on held-out episodes, each once from its beginning; NaN without any."""
        if not self._held_out:
            return float("nan")
        stream = SegmentStream(self._demonstrations, self._segments, self._held_out, self._frames, repeat=False)
        memory = self.policy.initial_memory(self._segments.rows)
        memory = {name: each.to(self._accelerator.device) for name, each in memory.items()}
        losses, weights = [], []
        with self._averaged():
            self.policy.eval()
            for number, segment in enumerate(stream):
                tensors = self._tensors(segment)
                with self._accelerator.autocast():
                    loss, memory = _Objective(self.policy)(tensors, memory, self._generator(-1 - number))
                losses.append(float(loss))
                weights.append(int((tensors["action_mask"] & tensors["mask"][..., None]).sum()))
            self.policy.train()
        return float(np.average(losses, weights=weights))

    def averaged_weights(self) -> dict[str, Tensor]:
        """What acts."""
        with self._averaged():
            return {name: value.detach().clone() for name, value in self.policy.trained_state().items()}

    def about(self) -> dict[str, Any]:
        """What a checkpoint says of itself."""
        sizes = {name: list(size) for name, size in self._demonstrations.cameras.items()}
        return {
            "config": {"policy": configs.to_dict(self._config.policy)},
            "contract": {
                "cameras": sizes,
                "state_size": self._demonstrations.state_size,
                "action": self.spec.to_json(),
                "fps": self._demonstrations.fps,
                "stride": [self._segments.stride_min, self._segments.stride_max],
            },
        }

    def close(self) -> None:
        self._stream.close()

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> TrainingState:
        tensors = {f"weights.{name}": value for name, value in self.policy.trained_state().items()}
        tensors |= {f"average.{i}": value for i, value in enumerate(self._average.shadow_params)}
        tensors |= optimizer_tensors(self._optimizer.optimizer)
        if self._accelerator.num_processes == 1:
            for stream, bank in self._memory.items():
                tensors |= {f"memory.{stream}.{name}": value for name, value in bank._asdict().items()}
        values = {
            "updates": self.updates,
            "stream": self._stream.state_dict(),
            "average_steps": self._average.optimization_step,
        }
        return TrainingState(tensors, values)

    def restore(self, state: TrainingState) -> None:
        """Raises KeyError if `state` is not of such a run, DataError if the data is not as it was."""
        tensors, device = state.tensors, self._accelerator.device
        self.policy.load_trained_state(_below("weights.", tensors))
        self._average.shadow_params = [
            tensors[f"average.{i}"].to(device) for i in range(len(self._average.shadow_params))
        ]
        self._average.optimization_step = int(state.values["average_steps"])
        load_optimizer_tensors(self._optimizer.optimizer, tensors)
        if self._accelerator.num_processes == 1:
            self._stream.load_state_dict(state.values["stream"])
            self._memory = {
                name: BankState(**{k: v.to(device) for k, v in _below(f"memory.{name}.", tensors).items()})
                for name in self._memory
            }
        self.updates = int(state.values["updates"])

    # -- within --------------------------------------------------------------------------------------------------

    def _generator(self, number: int) -> torch.Generator:
        """Of the noise of one segment."""
        seeds = np.random.SeedSequence([self._config.seed, self._accelerator.process_index, number & 0xFFFFFFFF])
        generator = torch.Generator(self._accelerator.device)
        generator.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))
        torch.manual_seed(generator.initial_seed())  # of dropout
        return generator

    def _tensors(self, segment: Segment) -> dict[str, Any]:
        arrays = {name: getattr(segment, name) for name in ("state", "times", "resets", "mask")}
        arrays |= {"actions": segment.actions, "action_mask": segment.action_mask}
        device = self._accelerator.device
        tensors: dict[str, Any] = {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
        tensors["seen"] = {name: torch.from_numpy(value).to(device) for name, value in segment.images.items()}
        tensors["instructions"] = [text for row in segment.instructions for text in row]
        return tensors

    @contextlib.contextmanager
    def _averaged(self) -> Any:
        """Within, the policy has its averaged weights."""
        if not self._config.ema_decay:
            yield
            return
        self._average.store(self._learned)
        self._average.copy_to(self._learned)
        try:
            yield
        finally:
            self._average.restore(self._learned)


class _Objective(nn.Module):
    """From a segment to its loss, as one module: what wrappers (data parallel, mixed precision) see."""

    def __init__(self, policy: MemoryVla) -> None:
        super().__init__()
        self.policy = policy

    def forward(
        self, segment: dict[str, Any], memory: MemoryState, generator: torch.Generator
    ) -> tuple[Tensor, MemoryState]:
        rows, steps = segment["times"].shape
        seen = segment["seen"]
        if seen.keys() == {"perceptual", "cognitive"}:
            encoded = Encoded(seen["perceptual"].float(), seen["cognitive"])
        else:
            flat = self.policy.encode(
                {name: each.flatten(0, 1) for name, each in seen.items()}, segment["instructions"]
            )
            encoded = Encoded(*(each.unflatten(0, (rows, steps)) for each in flat))
        return self.policy.loss(
            encoded,
            segment["state"],
            segment["times"],
            segment["actions"],
            segment["action_mask"],
            memory,
            segment["resets"],
            segment["mask"],
            generator,
        )


@contextlib.contextmanager
def _opened(config: VlaTrainConfig, accelerator: Accelerator, console: Console) -> Any:
    """The run's folder, and the checkpoint to go on from; of many processes the first one holds the lock."""
    resumed: Checkpoint | None = None
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        resumed = Checkpoints(Path(config.output)).newest(console.print)
        config = replace(config, output=f"{config.output}/rank_{accelerator.process_index}")
    run = Run(Path(config.output), config, _FREE, config.keep_checkpoints, say=console.print)
    if accelerator.is_main_process:
        resumed = run.resumed
        accelerator.wait_for_everyone()
    try:
        yield run, resumed
    finally:
        run.close()


def _any(flag: bool, accelerator: Accelerator) -> bool:
    """Whether it is set in any process: all of them stop together, or those that go on would wait for ever."""
    if accelerator.num_processes == 1:
        return flag
    flags = accelerator.reduce(torch.tensor(float(flag), device=accelerator.device))
    return bool(flags.item() > 0.0)


def _action_spec(config: VlaTrainConfig, low: np.ndarray, high: np.ndarray) -> ActionSpec:
    """What a robot may be sent: nothing outside what was demonstrated."""
    size = len(low)
    fitting = {"end_effector": 7, "gripper_position": 4, "base": 2}.get(config.action, size)
    if size != fitting:
        raise ConfigError(f"action: an action of kind {config.action} has {fitting} numbers, the data's have {size}")
    if not -1 <= config.gripper < size:
        raise ConfigError(f"gripper: actions have the numbers 0 to {size - 1}, not {config.gripper}")
    names = [f"joint_{index}" for index in range(size)]
    spec = KINDS[config.action](names, low, high) if config.action == "joints" else KINDS[config.action]()
    return replace(spec, low=tuple(low.tolist()), high=tuple(high.tolist()), gripper=config.gripper)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
