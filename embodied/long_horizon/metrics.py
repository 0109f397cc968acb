"""What an answer is worth: FindingDory's metrics (2506.15635) and why answers fail.

HL: the answer's frames, by the goals' predicates at their recorded poses. HL-SR: all hold, with the right number of
frames. DTG-SR: the distances alone hold. SC-SR: heading and picture alone hold. LL-SR: HL holds and the low level,
walking from where the robot stands now to each frame's pose in turn, ends where the predicates hold again. SPL: success
times the shortest path over the one taken; over recorded positions (HL) and over metres walked (LL). The shortest: over
all frames that would do; several goals, in order or the best order, over a few such frames a goal.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

from sim.client import Worker
from sim.long_horizon.tasks import Question, Truth, View, matches

_CHOICES = 3
_EXACT_GOALS = 6


@dataclass
class Result:
    """One agent's answer to one question, judged."""

    template: str
    family: str
    history: str
    house: str
    frames: int
    goals: int
    text: str
    answer: list[int]
    chance: float
    hl: float = 0.0
    dtg: float = 0.0
    sc: float = 0.0
    count_right: float = 0.0
    failure: str = ""
    hl_spl: float = math.nan
    ll: float = math.nan
    ll_spl: float = math.nan
    ll_failure: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def judge(truth: Truth, question: Question, answer: Any) -> Result:
    """The high level of an answer: no simulator is needed, the recording has all views."""
    history, kind = truth.history, question.template.kind
    result = Result(
        *(question.template.id, question.template.family, history.name, history.meta["house"], len(history)),
        *(len(question.goals), question.text, [], question.chance),
    )
    if not isinstance(answer, list) or not all(isinstance(frame, int) for frame in answer):
        result.failure = "malformed"
        return result
    result.answer = answer
    result.count_right = float(len(answer) == len(question.goals))
    if not all(0 <= frame < len(history) for frame in answer):
        result.failure = "out of bounds"
        return result
    if not result.count_right:
        result.failure = "wrong count"
        return result
    views = {frame: truth.view(frame) for frame in set(answer)}

    def passing(test: Any) -> list[frozenset[int]]:
        return [
            frozenset(f for f, view in views.items() if any(test(view, key, kind) for key in goal))
            for goal in question.goals
        ]

    near, seen, both = passing(truth.is_near), passing(truth.is_seen), passing(truth.meets)
    result.dtg = float(matches(near, answer, question.ordered))
    result.sc = float(matches(seen, answer, question.ordered))
    result.hl = float(matches(both, answer, question.ordered))
    if not result.hl:
        if question.ordered and matches(both, answer, False):
            result.failure = "wrong order"
        elif result.dtg:
            result.failure = "near, not in view"
        elif result.sc:
            result.failure = "in view, too far"
        else:
            result.failure = "wrong target"
    return result


class Ground:
    """The simulator, with a history's house as it is now, for distances and for the low level. Close it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._metres: dict[tuple[int, int], float] = {}

    def enter(self, truth: Truth) -> None:
        """Loads the house of a history and puts everything where it is now."""
        self._truth, self._history = truth, truth.history
        scene = self._history.scene
        instance = f"scenes/{scene.name}.scene_instance.json"
        self._worker.call("open", timeout_s=300.0, root=str(scene.root.absolute()), scene=instance)
        moved = {str(key): list(self._history.position_now(key)) for key in self._history.moves}
        self._worker.call("arrange", positions=moved)
        self._metres = {}
        self._now = len(self._history) - 1

    def finish(self, question: Question, result: Result, max_steps: int) -> None:
        """Adds the metrics that need paths: SPL, and the low level of an answer whose high level holds."""
        result.hl_spl = result.ll = result.ll_spl = 0.0
        if not result.hl:
            return
        shortest_m = self._shortest(question)
        result.hl_spl = _ratio(shortest_m, self._tour([[frame] for frame in result.answer], ordered=True))
        goals = [[float(v) for v in self._history.poses[frame]] for frame in result.answer]
        start = [float(v) for v in self._history.poses[self._now]]
        body, _ = self._worker.call("follow", timeout_s=300.0, start=start, goals=goals, max_steps=max_steps)
        legs = body["legs"]
        today: list[dict[int, tuple[int, float]]] = [{} for _ in legs]
        for leg, key, pixels, metres in body["rows"]:
            today[leg][key] = (pixels, metres)
        views = [View(tuple(leg["pose"]), seen) for leg, seen in zip(legs, today, strict=True)]
        result.extra["steps"] = sum(leg["steps"] for leg in legs)
        if len(legs) < len(goals) or legs[-1]["timeout"]:
            result.ll_failure = "timeout"
            return
        result.ll_failure = self._low_failure(question, views)
        result.ll = float(not result.ll_failure)
        walked_m = sum(leg["metres"] for leg in legs)
        result.ll_spl = result.ll * _ratio(shortest_m, walked_m)

    def _low_failure(self, question: Question, views: list[View]) -> str:
        kind, numbers = question.template.kind, list(range(len(views)))

        def holds(test: Any) -> bool:
            shown = [
                frozenset(n for n in numbers if any(test(views[n], key, kind) for key in goal))
                for goal in question.goals
            ]
            return matches(shown, numbers, question.ordered)

        if holds(self._truth.meets):
            return ""
        if holds(self._truth.is_near):
            return "stopped near, not in view"
        return "stopped far, in view" if holds(self._truth.is_seen) else "stopped far"

    # -- paths ----------------------------------------------------------------------------------------------------

    def _shortest(self, question: Question) -> float:
        kind = question.template.kind
        shown = [sorted({f for k in goal for f in self._truth.frames(k, kind)}) for goal in question.goals]
        if len(shown) == 1:
            return self._tour(shown, ordered=True)
        self._measure([(self._now, frame) for frames in shown for frame in frames])
        few = [
            sorted(frames, key=lambda f: self._metres[self._now, f])[:: max(1, len(frames) // _CHOICES)]
            for frames in shown
        ]
        return self._tour([frames[:_CHOICES] for frames in few], question.ordered)

    def _tour(self, groups: list[list[int]], ordered: bool) -> float:
        """Metres of the shortest way from now through one frame of each group."""
        every = [frame for frames in groups for frame in frames]
        pairs = [(self._now, frame) for frame in every]
        if len(groups) > 1:
            pairs += [(a, b) for a in every for b in every if a != b]
        self._measure(pairs)
        if ordered:
            return self._in_order(groups)
        if len(groups) <= _EXACT_GOALS:
            return min(
                self._in_order([groups[i] for i in order]) for order in itertools.permutations(range(len(groups)))
            )
        order, here = [], self._now
        left = set(range(len(groups)))
        while left:  # nearest next, then exchanged while that shortens it
            metres, nearest, here = min((self._length(here, f), g, f) for g in left for f in groups[g])
            order.append(nearest)
            left.remove(nearest)
        best = self._in_order([groups[i] for i in order])
        for a, b in itertools.combinations(range(len(order)), 2):
            changed = order[:a] + order[a : b + 1][::-1] + order[b + 1 :]
            metres = self._in_order([groups[i] for i in changed])
            if metres < best:
                best, order = metres, changed
        return best

    def _in_order(self, groups: list[list[int]]) -> float:
        reach = {self._now: 0.0}
        for frames in groups:
            reach = {f: min(m + self._length(g, f) for g, m in reach.items()) for f in frames}
        return min(reach.values())

    def _length(self, a: int, b: int) -> float:
        return 0.0 if a == b else self._metres[a, b]

    def _measure(self, pairs: list[tuple[int, int]]) -> None:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._metres and pair[0] != pair[1]]
        if not new:
            self._metres[self._now, self._now] = 0.0
            return
        places = [[[float(v) for v in self._history.poses[f][:3]] for f in pair] for pair in new]
        body, _ = self._worker.call("lengths", timeout_s=300.0, pairs=places)
        self._metres.update(zip(new, body["metres"], strict=True))
        self._metres[self._now, self._now] = 0.0


def _ratio(shortest_m: float, taken_m: float) -> float:
    """Shortest over taken, at most 1; 1 where neither takes a way; 0, as published, where one was taken for nothing."""
    return 1.0 if max(shortest_m, taken_m) < 1e-3 else shortest_m / max(shortest_m, taken_m)
