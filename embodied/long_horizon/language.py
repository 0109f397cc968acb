"""From a question's text to a template and its words, by MiniLM and a vocabulary.

The words that a question names (things, rooms, colours, times) are found and replaced by fixed ones; then the nearest
training phrasing, by sentence vectors and by cue words, among the templates that take just such words, says what is
asked. Held-out phrasings are never seen here; the cue words are general English, written by who wrote the phrasings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.houses.furnish import ON_TOP, ROOMS
from sim.houses.palette import COLOURS, MATERIALS
from sim.long_horizon.scene import FUNCTIONS, MOVABLE
from sim.long_horizon.story import ORDINALS, SIZES, day_in, find_phrases
from sim.long_horizon.templates import TEMPLATES, Template, Words

_STANDINS = {
    "object": "cup",
    "other": "book",
    "receptacle": "table",
    "room": "kitchen",
    "colour": "red",
    "material": "wood",
    "shape": "tall",
    "function": "cooking",
    "size": "small",
    "n": "third",
    "time": "10:15",
    "day": "yesterday",
    "minutes": "5 minutes",
}
_SHAPES = ("tall", "flat", "compact")
_LOOSE = frozenset({"n", "size", "day", "material", "colour", "shape"})
"""Words that also occur in phrasings which do not ask for them."""


_CUES: dict[str, tuple[str, ...]] = {
    "not": ("not", "never", "without", "nothing", "neither", "nor", "untouched", "no", "out", "still"),
    "all": ("all", "every", "each"),
    "any": ("any", "some", "one of", "either"),
    "in order": ("order in which", "sequence", "first one first", "in the order"),
    "backwards": ("backwards", "last one first", "last to the first", "from the end", "to-last"),
    "after": ("after", "next", "following", "afterwards"),
    "before": ("before", "prior", "previous", "preceding"),
    "between": ("between", "until"),
    "first": ("first", "began", "begin", "start", "earliest", "initial"),
    "last": ("last", "ended", "end", "final", "latest", "most recent", "most recently"),
    "pick": ("pick", "picked", "picking", "take", "took", "lifted", "collected", "from", "off"),
    "place": ("place", "placed", "put", "set", "left", "down", "received", "got", "on"),
    "far": ("farthest", "longest way", "furthest", "most distant"),
    "near": ("nearest", "closest", "shortest way"),
    "long": ("longest time", "took you longest", "longest between", "the longest"),
    "short": ("least time", "shortest time", "briefly", "briefest"),
    "room": ("room", "enter"),
    "furniture": ("furniture", "drive", "place the", "where", "stands", "stand"),
    "object": ("object", "objects", "thing", "things", "something"),
    "carried": ("moved", "move", "interacted", "interact", "rearranged", "rearrange", "handled", "carried", "work"),
    "only named": ("go to a", "find a", "take me", "remember", "have seen"),
    "two": ("two", "another", "second"),
    "here": ("here", "where you stand now", "present position"),
}
"""Words that tell kinds of questions apart and that sentence vectors blur: "before" is near "after"."""
_CUE_WEIGHT = 0.6
_UNUSED_COST = 0.1
"""For an ordinal in the text that a phrasing has no use for."""


def _cues(text: str) -> frozenset[str]:
    lower = text.lower()
    return frozenset(
        cue
        for cue, words in _CUES.items()
        if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", lower) for word in words)
    )


class Embedder:
    """MiniLM's sentence vectors, of length 1. Loads torch when it is first used."""

    def __init__(self) -> None:
        self._encoder: Any = None

    def __call__(self, texts: Sequence[str], batch: int = 64) -> np.ndarray:
        """[n, 384] float32."""
        import torch

        if self._encoder is None:
            from embodied.encoders.text import load_text_encoder

            self._encoder = load_text_encoder("", "", "mean", 4096).eval()
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # rows of like length: less padding
        vectors = np.zeros((len(texts), self._encoder.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                vectors[rows] = self._encoder([texts[i] for i in rows]).numpy()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass(frozen=True)
class Meaning:
    """What a question may ask: a template, its words, and how near the phrasing is (cosine and cues)."""

    template: Template
    words: Words
    score: float


class Understanding:
    """Texts -> meanings, the likeliest first."""

    def __init__(self, embed: Embedder, templates: Sequence[Template] = TEMPLATES) -> None:
        self._embed = embed
        self._rows = [(template, phrasing) for template in templates for phrasing in template.phrasings]
        standins = {**_STANDINS, "category": "cup"}
        self._needs = [frozenset(re.findall(r"{(\w+)}", phrasing)) for _, phrasing in self._rows]
        masked = [phrasing.format(**standins) for _, phrasing in self._rows]
        for i, (template, _) in enumerate(self._rows):
            if template.id == "recall_furniture":
                masked[i] = self._rows[i][1].format(category="table")
        self._vectors = embed(masked)
        self._cues = [_cues(text) for text in masked]

    def __call__(self, text: str) -> list[Meaning]:
        words, masked = read_words(text)
        vector, cues = self._embed([masked])[0], _cues(masked)
        found: dict[str, Meaning] = {}
        rows = zip(self._rows, self._needs, self._vectors, self._cues, strict=True)
        for (template, _), needs, row, row_cues in rows:
            chosen = _fill(needs, words, template)
            shared = len(cues & row_cues) / max(1, len(cues | row_cues))
            score = float(row @ vector) + _CUE_WEIGHT * shared - _UNUSED_COST * ("n" in words and "n" not in needs)
            if chosen is not None and score > (found[template.id].score if template.id in found else -2.0):
                found[template.id] = Meaning(template, chosen, score)
        return sorted(found.values(), key=lambda meaning: -meaning.score)


def read_words(text: str) -> tuple[Words, str]:
    """The words that a text names, and the text with stand-ins in their place."""
    words: Words = {}
    masked = text
    for start, end, phrase, category in reversed(find_phrases(text)):
        room = next((kind for kind in ROOMS if kind in text[max(0, start - 8) : end + 8].lower()), None)
        if room is not None and category in room:
            continue
        slot = "receptacle" if category in ON_TOP and category not in MOVABLE else "object"
        if slot == "object" and category not in MOVABLE:
            continue
        if slot in words:
            words["other"] = words[slot]
            masked = masked.replace(_STANDINS[slot], _STANDINS["other"], 1)
        words[slot] = phrase
        masked = masked[:start] + _STANDINS[slot] + masked[end:]
    for slot, options in (
        ("room", tuple(ROOMS)),
        ("function", tuple(FUNCTIONS)),
        ("colour", tuple(COLOURS)),
        ("material", (*MATERIALS, "food")),
        ("shape", _SHAPES),
        ("size", SIZES),
        ("n", ORDINALS[1:]),
    ):
        value = next((o for o in options if re.search(rf"\b{re.escape(o)}\b", masked.lower())), None)
        if value is not None and not (slot in ("colour", "material") and value == _STANDINS.get("object")):
            words[slot] = value
            masked = re.sub(rf"\b{re.escape(value)}\b", _STANDINS[slot], masked)
    if time := re.search(r"\b\d\d:\d\d\b", text):
        words["time"] = time.group()
        masked = masked.replace(time.group(), _STANDINS["time"])
        words["day"] = day_in(text)
        masked = masked.replace(words["day"], _STANDINS["day"])
    if minutes := re.search(r"\b\d+ minutes\b", text):
        words["minutes"] = minutes.group()
        masked = masked.replace(minutes.group(), _STANDINS["minutes"])
    return words, masked


def _fill(needs: frozenset[str], words: Words, template: Template) -> Words | None:
    """The words a template needs; None where the text has others."""
    have = dict(words)
    if "category" in needs:
        slot = "receptacle" if template.kind == "receptacle" else "object"
        if slot not in have:
            return None
        have["category"] = have.pop(slot)
    left = set(have) - needs - _LOOSE
    if left or not needs <= set(have):
        return None
    return {name: have[name] for name in needs}
