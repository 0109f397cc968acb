"""A gated recurrent unit (Cho et al., 2014) as a policy's memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GRUMemory(nn.Module):
    """One GRU layer whose rows can begin a new episode at any step.

    Args:
        token_size: width of what comes in at each step.
        size: width of the memory, and of what comes out.
    """

    def __init__(self, token_size: int, size: int) -> None:
        super().__init__()
        self.size = size
        self._gru = nn.GRU(token_size, size)
        for name, parameter in self._gru.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.chunk(3):
                    nn.init.orthogonal_(gate)
            elif "bias" in name:
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, memory: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            tokens: [T, N, token_size].
            memory: [N, size], before the first token.
            resets: bool [T, N]; the memory of a row is zero before a token marked so.

        Returns:
            [T, N, size], and the memory after the last token [N, size].
        """
        steps = tokens.shape[0]
        # Whole spans without a reset go through the fused layer at once.
        starts = sorted({0, *torch.nonzero(resets.any(dim=1)).flatten().tolist()})
        outputs = []
        for start, end in zip(starts, [*starts[1:], steps], strict=True):
            memory = memory * ~resets[start].unsqueeze(-1)
            out, last = self._gru(tokens[start:end], memory.unsqueeze(0))
            memory = last.squeeze(0)
            outputs.append(out)
        return torch.cat(outputs), memory
