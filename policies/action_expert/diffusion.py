"""Noise in, actions out: the diffusion processes, on schedulers of the `diffusers` library.

A process corrupts clean chunks for training, and leads noise back to a chunk for acting. A new one is one class and one
line in `SCHEDULERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(noisy chunks [..., H, A], the diffusion step, a scalar) -> what is predicted of them, [..., H, A]."""


class Process(Protocol):
    """How chunks of actions in [-1, 1] and noise turn into each other."""

    def corrupt(self, clean: Tensor, noise: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Training: noisy chunks, the diffusion step of each, and what is to be predicted of them.

        Args:
            clean, noise: [N, H, A].
            uniform: [N] in [0, 1): which step of the process.
        """

    def restore(self, noise: Tensor, denoiser: Denoiser) -> Tensor:
        """Acting: chunks for `noise` [..., H, A]. A function of the noise alone."""


class _Betas:
    """Diffusion with squared-cosine betas; the network predicts the noise (DDPM, Ho et al. 2020)."""

    def __init__(self, train_steps: int, inference_steps: int, scheduler: Any) -> None:
        self._train_steps, self._inference_steps = train_steps, inference_steps
        self._forward: Any = DDPMScheduler(num_train_timesteps=train_steps, beta_schedule="squaredcos_cap_v2")
        self._backward = scheduler

    def corrupt(self, clean: Tensor, noise: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        steps = (uniform * self._train_steps).long()
        return self._forward.add_noise(clean, noise, steps), steps, noise

    def restore(self, noise: Tensor, denoiser: Denoiser) -> Tensor:
        self._backward.set_timesteps(self._inference_steps, device=noise.device)
        return _descend(self._backward, noise, denoiser)


class Ddim(_Betas):
    """Deterministic DDIM (Song et al. 2021), the paper's."""

    def __init__(self, train_steps: int, inference_steps: int) -> None:
        scheduler = DDIMScheduler(
            num_train_timesteps=train_steps, beta_schedule="squaredcos_cap_v2", clip_sample=True, clip_sample_range=1.0
        )
        super().__init__(train_steps, inference_steps, scheduler)


class DpmSolver(_Betas):
    """DPM-Solver++ of second order (Lu et al. 2022): as good in fewer steps."""

    def __init__(self, train_steps: int, inference_steps: int) -> None:
        scheduler = DPMSolverMultistepScheduler(
            num_train_timesteps=train_steps,
            beta_schedule="squaredcos_cap_v2",
            algorithm_type="dpmsolver++",
            solver_order=2,
            thresholding=True,  # to [-1, 1], where actions lie: guidance overshoots
            sample_max_value=1.0,
        )
        super().__init__(train_steps, inference_steps, scheduler)


class FlowMatching:
    """Straight paths from noise to actions; the network predicts the velocity (Lipman et al. 2023)."""

    def __init__(self, train_steps: int, inference_steps: int) -> None:
        self._train_steps, self._inference_steps = train_steps, inference_steps
        self._scheduler: Any = FlowMatchEulerDiscreteScheduler(num_train_timesteps=train_steps)

    def corrupt(self, clean: Tensor, noise: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        share = (1.0 - uniform)[:, None, None]  # of noise, in (0, 1]
        return (1.0 - share) * clean + share * noise, share[:, 0, 0] * self._train_steps, noise - clean

    def restore(self, noise: Tensor, denoiser: Denoiser) -> Tensor:
        self._scheduler.set_timesteps(self._inference_steps, device=noise.device)
        return _descend(self._scheduler, noise, denoiser)


def _descend(scheduler: Any, noisy: Tensor, denoiser: Denoiser) -> Tensor:
    for step in scheduler.timesteps:
        noisy = scheduler.step(denoiser(noisy, step), step, noisy).prev_sample
    return noisy


SCHEDULERS: dict[str, Callable[[int, int], Process]] = {
    "ddim": Ddim,
    "dpm_solver++": DpmSolver,
    "flow_matching": FlowMatching,
}
