"""Who answers: from a past and a question to frame numbers, one a goal.

All but the oracle and the blind agent get the same percepts (`percepts`) and the same sentence encoder; they differ in
what they keep and how they look it up. A new agent is one class and one line of `AGENTS`.
"""

from __future__ import annotations

import abc
import dataclasses
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embodied.long_horizon.language import Embedder, Understanding, read_words
from embodied.long_horizon.percepts import Past, Percept
from embodied.long_horizon.tracks import Tracks
from sim.long_horizon.history import DAY_S
from sim.long_horizon.scene import MOVABLE, Thing
from sim.long_horizon.story import clock_word, day_of, day_word, seconds_of
from sim.long_horizon.tasks import Question, Truth
from sim.long_horizon.templates import TEMPLATES, Template

_SEVERAL = ("all ", "every ", "each ")
_GUESSED_GOALS = 5
_APART = 6


@dataclass
class Tools:
    """What agents share in one evaluation: the sentence encoder, loaded once, the seed of what is random, and the
    templates whose training phrasings they know."""

    embed: Embedder = field(default_factory=Embedder)
    seed: int = 0
    templates: Sequence[Template] = TEMPLATES
    _understand: Understanding | None = None
    _tracks: tuple[str, Tracks] | None = None

    def tracks(self, past: Past) -> Tracks:
        """The structured memory of a past; agents that use it one after another share it."""
        if self._tracks is None or self._tracks[0] != past.name:
            self._tracks = past.name, Tracks(past)
        return self._tracks[1]

    @property
    def understand(self) -> Understanding:
        if self._understand is None:
            self._understand = Understanding(self.embed, self.templates)
        return self._understand


class Agent(abc.ABC):
    """Reads a past once, then answers many questions about it."""

    privileged = False
    """Whether it is shown the truth: a reference, no competitor."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    def learn(self, examples: list[tuple[Truth, list[Question]]]) -> None:
        """Sees questions with their answers, of the training houses. Most agents have no use for them."""
        del examples

    @abc.abstractmethod
    def read(self, past: Past, truth: Truth) -> None:
        """Takes in a history. Only privileged agents may look at `truth`."""

    @abc.abstractmethod
    def answer(self, question: Question) -> list[int]:
        """Frame numbers, one a goal. Only privileged agents may look at more than `question.text`."""


class Oracle(Agent):
    """Knows the goals and which frames show them: what it fails at cannot be solved."""

    privileged = True

    def read(self, past: Past, truth: Truth) -> None:
        self._truth = truth

    def answer(self, question: Question) -> list[int]:
        return [self._best(goal, question.template.kind) for goal in question.goals]

    def _best(self, goal: tuple[int, ...], kind: str) -> int:
        """The frame that shows a goal largest, so that a low level which stops a little off still sees it."""
        shown = [(key, frame) for key in goal for frame in self._truth.frames(key, kind)]
        if kind == "room":
            return sorted(frame for _, frame in shown)[len(shown) // 2]
        return max(shown, key=lambda pair: self._truth.view(pair[1]).today[pair[0]][0])[1]


class Random(Agent):
    """Random frames: one, or a few where the question says all, every or each."""

    def read(self, past: Past, truth: Truth) -> None:
        self._frames = len(past.percepts)
        self._rng = np.random.default_rng([self.tools.seed, self._frames])

    def answer(self, question: Question) -> list[int]:
        count = int(self._rng.integers(2, 10)) if _asks_for_several(question.text) else 1
        return [int(f) for f in self._rng.choice(self._frames, size=count, replace=False)]


class Blind(Agent):
    """Knows the question's template, not the history: the constant answer that was best in the training houses.

    It finds leaks: a template whose answer lies where in the recording the question alone lets one expect.
    """

    privileged = True
    _places = np.linspace(0.02, 0.98, 25)

    def learn(self, examples: list[tuple[Truth, list[Question]]]) -> None:
        hits: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(self._places)))
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for truth, questions in examples:
            frames = (self._places * (len(truth.history) - 1)).astype(int)
            for question in questions:
                counts[question.template.id][len(question.goals)] += 1
                for goal in question.goals:
                    shown = {f for key in goal for f in truth.frames(key, question.template.kind)}
                    hits[question.template.id] += [float(frame in shown) for frame in frames]
        self._best = {key: self._places[np.argsort(-value, kind="stable")] for key, value in hits.items()}
        self._count = {key: value.most_common(1)[0][0] for key, value in counts.items()}

    def read(self, past: Past, truth: Truth) -> None:
        self._frames = len(past.percepts)

    def answer(self, question: Question) -> list[int]:
        places = self._best.get(question.template.id, self._places)
        count = self._count.get(question.template.id, 1)
        chosen = sorted(places[:count]) if question.ordered else places[:count]
        return [int(place * (self._frames - 1)) for place in chosen]


class Recent(Agent):
    """The most recent frame; of things or a room that the question names, the most recent frame that shows them."""

    def read(self, past: Past, truth: Truth) -> None:
        self._past = past

    def answer(self, question: Question) -> list[int]:
        words, _ = read_words(question.text)
        named = [words[slot] for slot in ("object", "receptacle") if slot in words]
        for percept in reversed(self._past.percepts):
            shown = {thing.category for thing, _ in percept.detections}
            if any(phrase.endswith(category) for phrase in named for category in shown):
                return [percept.frame]
            if not named and words.get("room") == percept.room:
                return [percept.frame]
        return [self._past.percepts[-1].frame]


class TextLog(Agent):
    """A caption every fourth frame and at each pick and place; the captions most like the question are the answer.

    Likeness: the cosine of sentence vectors, and the share of the things, rooms and times that the question names which
    a caption has too.
    """

    _named_weight = 0.3

    def read(self, past: Past, truth: Truth) -> None:
        captions: dict[int, str] = {}
        for percept in past.percepts:
            if percept.frame % 4 == 0 or percept.action in ("pick", "place"):
                captions[percept.frame] = caption(percept, past.days)
        self._frames = list(captions)
        self._captions = list(captions.values())
        self._vectors = self.tools.embed(self._captions)

    def answer(self, question: Question) -> list[int]:
        scores = self._vectors @ self.tools.embed([question.text])[0]
        named = [value for slot, value in read_words(question.text)[0].items() if slot not in ("n", "minutes")]
        if named:
            has = [sum(word in text for word in named) / len(named) for text in self._captions]
            scores = scores + self._named_weight * np.array(has)
        count = _GUESSED_GOALS if _asks_for_several(question.text) else 1
        chosen: list[int] = []
        for row in np.argsort(-scores):
            if all(abs(self._frames[int(row)] - frame) > _APART for frame in chosen):
                chosen.append(self._frames[int(row)])
            if len(chosen) == count:
                break
        return sorted(chosen)


class BankText(Agent):
    """The bank's entries, looked up by likeness of text alone: what association gives by itself."""

    def read(self, past: Past, truth: Truth) -> None:
        self._tracks = self.tools.tracks(past)
        entries = describe_entries(self._tracks, past.days)
        self._keys = list(entries)
        self._vectors = self.tools.embed(list(entries.values()))

    def answer(self, question: Question) -> list[int]:
        scores = self._vectors @ self.tools.embed([question.text])[0]
        count = _GUESSED_GOALS if _asks_for_several(question.text) else 1
        return [self._tracks.frame_of(self._keys[int(row)]) for row in np.argsort(-scores)[:count]]


class BankStore(Agent):
    """Entries in the long-term store on disk, asked by sentence vector, words, room and time together.

    One entry a thing and one an interaction. What a question says of a room or of a time narrows the search; where
    nothing is found so, it does not.
    """

    _window_s = 900.0

    def read(self, past: Past, truth: Truth) -> None:
        from memory_bank.long_term.entry import Entry, Pose
        from memory_bank.long_term.store import LongTermStore

        tracks = self.tools.tracks(past)
        self._days = past.days
        texts = describe_entries(tracks, past.days)
        rows = [(key, texts[key], tracks.frame_of(key), "", (0.0, past.percepts[-1].clock_s)) for key in texts]
        for number, i in enumerate(tracks.interactions):
            room = tracks.rooms.get(i.target_room, "")
            text = describe_interaction(tracks, number, past.days)
            rows.append((i.object, text, tracks.frame_of(i.object), room, (i.start_s, i.end_s)))
        vectors = self.tools.embed([row[1] for row in rows])
        self._folder = tempfile.TemporaryDirectory(prefix="engram-")
        self._store = LongTermStore.open(self._folder.name, dim=vectors.shape[1])
        entries = []
        for (key, text, frame, room, (t0, t1)), vector in zip(rows, vectors, strict=True):
            x, y, z = tracks.tracks[key].thing.position
            pose = Pose(-z, -x, y)  # the scene's frame has Y up and looks along -Z; the map's has z up (REP 103)
            made = Entry(vector, t0, t1, caption=text, pose=pose, room=room, instance_ids=(str(key),))
            entries.append(dataclasses.replace(made, provenance={"frame": frame}))
        self._store.append(entries)

    def answer(self, question: Question) -> list[int]:
        words, _ = read_words(question.text)
        count = _GUESSED_GOALS if _asks_for_several(question.text) else 1
        asked: dict[str, Any] = {"vector": self.tools.embed([question.text])[0], "text": question.text, "k": 4 * count}
        narrow: dict[str, Any] = {"room": words["room"]} if "room" in words else {}
        if "time" in words:
            time_s = day_of(words["day"], self._days) * DAY_S + seconds_of(words["time"])
            narrow["time"] = (time_s - self._window_s, time_s + self._window_s)
        hits = self._store.query(**asked, **narrow) or self._store.query(**asked)
        frames = [int(hit.entry.provenance["frame"]) for hit in hits]
        return list(dict.fromkeys(frames))[:count]


class Bank(Agent):
    """Structured entries (what, where, when, what was done), asked in language.

    The question's nearest training phrasing says how entries are combined; the entries are the agent's own, from
    percepts. Where the likeliest meaning has no answer in memory, the next one is tried.
    """

    def read(self, past: Past, truth: Truth) -> None:
        self._tracks = self.tools.tracks(past)
        self._story = self._tracks.story()
        self._last = past.percepts[-1].frame

    def answer(self, question: Question) -> list[int]:
        for meaning in self._meanings(question)[:4]:
            goals = meaning[0].find(self._story, meaning[1])
            if goals and all(goals):
                return [self._frame(goal) for goal in goals]
        return [self._last]

    def _meanings(self, question: Question) -> list:
        return [(meaning.template, meaning.words) for meaning in self.tools.understand(question.text)]

    def _frame(self, goal: set[int]) -> int:
        """Of several things that would do, the one that was best seen."""
        tracks = self._tracks.tracks
        things = [key for key in goal if key in tracks]
        if not things:
            return self._tracks.frame_of(min(goal))
        best = max(things, key=lambda key: max((s.share for s in tracks[key].sightings), default=0.0))
        return self._tracks.frame_of(best)


class BankKnowingMeaning(Bank):
    """As `Bank`, told what the question means: the loss that is left is memory's, not language's."""

    privileged = True

    def _meanings(self, question: Question) -> list:
        return [(question.template, question.words)]


def caption(percept: Percept, days: int) -> str:
    """A frame in words: when, in what room, what was done, what is held, what is to be seen, the largest first."""
    when = f"{clock_word(percept.clock_s)} {day_word(int(percept.clock_s // DAY_S), days)}"
    held = percept.held
    doing = {"pick": "I just picked up", "place": "I just put down"}.get(percept.action, "")
    parts = [f"{when}, in the {percept.room}." if percept.room else f"{when}."]
    if doing:
        middle = held or next((t for t, _ in percept.detections if t.category in MOVABLE), None)
        parts.append(f"{doing} {_named(middle)}." if middle else f"{doing} something.")
    elif held:
        parts.append(f"I carry {_named(held)}.")
    seen = [thing for thing, _ in percept.detections if thing is not held][:5]
    parts.append("I see " + ", ".join(f"{thing.colour} {thing.category}" for thing in seen) + "." if seen else "")
    return " ".join(part for part in parts if part)


def describe_entries(tracks: Tracks, days: int) -> dict[int, str]:
    """Each thing's entry in words: what it is, where, and what was done with it when."""
    texts = {}
    things = {key: track.thing for key, track in tracks.tracks.items()}
    for key, thing in things.items():
        parts = [f"{_named(thing)}."]
        for number, i in enumerate(tracks.interactions):
            when = f"{clock_word(i.start_s)} {day_word(i.day, days)}"
            source, target = (_named(things[k]) if k in things else "something" for k in (i.source, i.target))
            if key == i.object:
                parts.append(f"I moved it as number {number + 1} at {when} from {source} to {target}.")
            elif key == i.target:
                parts.append(f"I placed {_named(things[i.object])} on it at {when}.")
            elif key == i.source:
                parts.append(f"I picked {_named(things[i.object])} from it at {when}.")
        if len(parts) == 1:
            parts.append("I did not touch it.")
        texts[key] = " ".join(parts)
    return texts


def describe_interaction(tracks: Tracks, number: int, days: int) -> str:
    """An interaction in words."""
    i = tracks.interactions[number]
    things = {key: track.thing for key, track in tracks.tracks.items()}
    what, source, target = (_named(things[k]) if k in things else "something" for k in (i.object, i.source, i.target))
    rooms = (tracks.rooms.get(i.source_room, "house"), tracks.rooms.get(i.target_room, "house"))
    when = f"{clock_word(i.start_s)} {day_word(i.day, days)}"
    minutes = max(1, round(i.seconds / 60.0))
    return (
        f"At {when}, as number {number + 1}, I picked {what} from {source} in the {rooms[0]} "
        f"and placed it on {target} in the {rooms[1]}. It took {minutes} minutes."
    )


def _named(thing: Thing) -> str:
    return f"the {thing.size} {thing.colour} {thing.material} {thing.category}"


def _asks_for_several(text: str) -> bool:
    return any(word in text.lower() for word in _SEVERAL)


AGENTS: dict[str, Callable[[Tools], Agent]] = {
    "oracle": Oracle,
    "random": Random,
    "blind": Blind,
    "recent": Recent,
    "text_log": TextLog,
    "bank_text": BankText,
    "bank_store": BankStore,
    "bank": Bank,
    "bank_known_meaning": BankKnowingMeaning,
}


def make_agents(names: Sequence[str], tools: Tools) -> dict[str, Agent]:
    """Agents by name. Raises ValueError, naming the unknown one."""
    unknown = [name for name in names if name not in AGENTS]
    if unknown or not names:
        raise ValueError(f"agents: no agent '{unknown[0] if unknown else ''}'; choose from {', '.join(AGENTS)}")
    return {name: AGENTS[name](tools) for name in names}
