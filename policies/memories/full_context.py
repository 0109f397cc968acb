"""The full context: a transformer over all steps of an episode, with its keys and values cached, up to a hard cap.

At the cap the oldest quarter of the steps is dropped, and what is left is encoded anew without it: nothing of what was
dropped remains, and a step costs the same on average. Positions count from the oldest step that is kept.

A state holds the tokens as they came, and as a cache their keys and values. An unroll encodes the tokens with the
present weights, as constants: keys are never stale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.base import CACHE, State
from policies.config import PolicyConfig
from policies.memories.base import Memory
from policies.memories.segments import Span, cut, in_order, numbers, rectangle
from policies.memories.transformer import Decoder, put, with_room

_KEYS_VALUES = CACHE + "keys_values"
_ROOM = 64


class FullContext(Memory):
    """A decoder of `layers` layers, `heads` heads and width `memory_size` over at most `context` steps."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._cap, self._kept = config.context, config.context * 3 // 4
        self._token_size = token_size
        self._embed = nn.Linear(token_size, self.size)
        self._decoder = Decoder(self.size, config.layers, config.heads)

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {
            "tokens": torch.zeros(rows, self._cap, self._token_size, device=device),
            "used": torch.zeros(rows, dtype=torch.int64, device=device),
        }

    # -- training ------------------------------------------------------------------------------------------------

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        steps, rows = resets.shape
        used = state["used"].tolist()
        depths, _ = cut(resets.cpu(), used, lambda row, number: self._cap, self._kept)
        spans = [span for depth in depths for span in depth]
        # Tokens of the unroll, then those of the state: a context is a row of places among them.
        places = {id(span): self._places(span, used, rows, steps) for span in spans}
        source = torch.cat([tokens.flatten(0, 1), state["tokens"].flatten(0, 1)])
        embedded = self._embed(source[: steps * rows])
        outputs, slots = [], []
        for continues in (True, False):
            group = [span for span in spans if span.continues == continues and span.length]
            if not group:
                continue
            new = [places[id(span)] for span in group]
            past: tuple[Tensor, ...] = ()
            if continues:
                past = self._context(state, numbers([span.row for span in group], tokens.device))
                new = [each[-span.length :] for each, span in zip(new, group, strict=True)]
                out, _ = self._decoder(embedded[rectangle(new, tokens.device)], *past)
            else:
                out, _ = self._decoder(self._embed(source[rectangle(new, tokens.device)]))
            first = [number * out.shape[1] + len(each) for number, each in enumerate(new)]
            chosen = [torch.arange(end - span.length, end) for end, span in zip(first, group, strict=True)]
            outputs.append(out.flatten(0, 1)[torch.cat(chosen).to(tokens.device)])
            slots += [torch.arange(span.start, span.end) * rows + span.row for span in group]
        features = in_order(torch.cat(outputs), torch.cat(slots)).unflatten(0, (steps, rows))
        return features, self._after(spans, places, source.detach(), rows, steps)

    def _places(self, span: Span, used: list[int], rows: int, steps: int) -> Tensor:
        """Where the tokens of a span's context lie: first what was before it, then its own steps."""
        own = torch.arange(span.start, span.end) * rows + span.row
        if span.continues:
            return torch.cat([steps * rows + span.row * self._cap + torch.arange(used[span.row]), own])
        if span.before is None:
            return own
        return torch.cat([self._places(span.before, used, rows, steps)[-self._kept :], own])

    def _after(self, spans: list[Span], places: dict[int, Tensor], source: Tensor, rows: int, steps: int) -> State:
        last = sorted((span for span in spans if span.end == steps), key=lambda span: span.row)
        index = torch.full((rows, self._cap), len(source))
        for span in last:
            index[span.row, : len(places[id(span)])] = places[id(span)]
        source = torch.cat([source, source.new_zeros(1, self._token_size)])
        used = numbers([len(places[id(span)]) for span in last], source.device)
        return {"tokens": source[index.to(source.device)], "used": used}

    # -- acting --------------------------------------------------------------------------------------------------

    def step(self, token: Tensor, state: State, resets: Tensor, in_place: bool) -> tuple[Tensor, State]:
        state = dict(state) if in_place else {name: values.clone() for name, values in state.items()}
        rows = torch.arange(len(resets), device=resets.device)
        if _KEYS_VALUES not in state:
            state[_KEYS_VALUES], _ = self._context(state, rows, _ROOM)
        if resets.any():
            state["tokens"][resets] = 0
            state["used"] = state["used"] * ~resets
        full = state["used"] == self._cap
        if full.any():
            self._drop(state, full.nonzero().flatten())
        used = state["used"]
        state["tokens"][rows, used] = token
        state[_KEYS_VALUES] = with_room(state[_KEYS_VALUES], int(used.max()) + 1)
        out = self._decoder.step(self._embed(token), state[_KEYS_VALUES], used)
        state["used"] = used + 1
        return out, state

    def _drop(self, state: State, rows: Tensor) -> None:
        """Drops the oldest steps of these rows. Writes into `state`."""
        kept = state["tokens"][rows, self._cap - self._kept :]
        state["tokens"][rows, : self._kept] = kept
        state["tokens"][rows, self._kept :] = 0
        state["used"] = state["used"].index_fill(0, rows, self._kept)
        _, keys_values = self._decoder(self._embed(kept))
        put(state[_KEYS_VALUES], rows, torch.zeros_like(rows), keys_values)

    @torch.no_grad()
    def _context(self, state: State, rows: Tensor, room: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values [R, L, 2, H, P, E] of these rows' tokens, by the present weights, and how many [R].

        P is the longest plus `room`.
        """
        used = state["used"][rows]
        longest = int(used.max())
        cache = self._decoder.empty_cache(len(rows), longest + room)
        if longest:
            _, keys_values = self._decoder(self._embed(state["tokens"][rows, :longest]))
            cache[..., :longest, :] = keys_values
        return cache, used
