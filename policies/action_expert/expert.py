"""The action expert: learns chunks of actions from demonstrations, and draws them when it acts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from policies.action_expert.actions import ActionError, Normalizer
from policies.action_expert.config import ExpertConfig
from policies.action_expert.diffusion import SCHEDULERS
from policies.action_expert.dit import ActionDiT

Tokens = Mapping[str, Tensor]


class ActionExpert(nn.Module):
    """A conditional distribution over chunks of actions.

    Args:
        config: see `ExpertConfig`.
        action_size: A.
        cognitive_dim: width of the cognitive token.
        streams: name -> width of the token streams that are attended to.
    """

    def __init__(self, config: ExpertConfig, action_size: int, cognitive_dim: int, streams: Mapping[str, int]) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.action_size = action_size
        self.dit = ActionDiT(config, action_size, cognitive_dim, streams)
        self.normalizer = Normalizer(action_size)
        self.process = SCHEDULERS[config.scheduler](config.train_steps, config.inference_steps)

    def loss(
        self,
        actions: Tensor,
        mask: Tensor,
        cognitive: Tensor,
        tokens: Tokens,
        valid: Tokens | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Mean squared error of what is predicted, over the actions that are real.

        Args:
            actions: [B, H, A] in their units.
            mask: [B, H] bool: false beyond the end of an episode, and in rows that are padding.
            cognitive: [B, cognitive_dim].
            tokens: {stream: [B, N, dim]}.
            valid: {stream: [B, N] bool}; None: all are real.
            generator: of the noise, the diffusion steps and the dropped conditions.

        Raises:
            ActionError: a real action is not finite, or has a wrong width.
        """
        if actions.shape[1:] != (self.config.horizon, self.action_size):
            expected = [self.config.horizon, self.action_size]
            raise ActionError(f"chunks are {expected} (actions, numbers), not {list(actions.shape[1:])}")
        rows, draws = len(actions), self.config.noise_draws
        if not bool(actions[mask].isfinite().all()):
            raise ActionError("an action of the demonstrations is not finite: check the data set")
        clean = self.normalizer(actions.masked_fill(~mask[..., None], 0.0))
        clean = clean[:, None].expand(-1, draws, -1, -1).flatten(0, 1)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        uniform = torch.rand(len(clean), generator=generator, device=clean.device)
        dropped = torch.rand(rows, generator=generator, device=clean.device) < self.config.condition_dropout
        noisy, step, target = self.process.corrupt(clean, noise, uniform)

        condition = self.dit.condition(cognitive, tokens, valid, dropped)
        predicted = self.dit.denoise(noisy.unflatten(0, (rows, draws)), step.unflatten(0, (rows, draws)), condition)
        error = (predicted - target.unflatten(0, (rows, draws))).square().mean(dim=(1, 3))
        return (error * mask).sum() / mask.sum().clamp(min=1)

    def act(self, noise: Tensor, cognitive: Tensor, tokens: Tokens, valid: Tokens | None = None) -> Tensor:
        """Chunks of actions, in their units: a function of the condition and the noise.

        Args:
            noise: [B, H, A], standard normal.
            cognitive, tokens, valid: as in `loss`.

        Returns:
            [B, H, A].
        """
        guided = self.config.guidance > 1.0
        dit = self.dit
        condition = dit.guided(cognitive, tokens, valid) if guided else dit.condition(cognitive, tokens, valid)

        def denoiser(noisy: Tensor, step: Tensor) -> Tensor:
            chunks = noisy[:, None]
            if not guided:
                return dit.denoise(chunks, step.view(1, 1), condition)[:, 0]
            twice = torch.cat([chunks, chunks], dim=0 if dit.drops_tokens else 1)
            predicted = dit.denoise(twice, step.view(1, 1), condition)
            given, without = predicted.chunk(2, dim=0 if dit.drops_tokens else 1)
            return (without + self.config.guidance * (given - without))[:, 0]

        return self.normalizer.invert(self.process.restore(noise, denoiser).clamp(-1.0, 1.0))
