"""Proves that a question is solvable and that its answer is unique, by replaying the recording.

Nothing that the oracle said is believed: who carried what, from where and to where, is found from the poses alone (an
object that is where the gripper is is held; what it stands on is what lies under it). The story found so must be the
one recorded, and the template asked in it must give the question's goals.
"""

from __future__ import annotations

import math

from sim.long_horizon.history import History, Interaction
from sim.long_horizon.story import Story, true_story
from sim.long_horizon.tasks import Question, Truth, matches
from sim.worker.long_horizon.body import gripper_at

_HELD_M = 0.03
_STILL_M = 0.002


class CheckError(ValueError):
    """A question or a recording fails its check; the message names it and the reason."""


def replay(history: History) -> list[Interaction]:
    """The interactions, from where the objects and the robot were at each frame.

    Raises:
        CheckError: an object moves without being held, or ends on nothing.
    """
    found = []
    scene = history.scene
    for key, moves in history.moves.items():
        height = scene.things[key].dimensions[1]
        before, picked = scene.things[key].position, -1
        for frame, position in moves:
            gripper = gripper_at(*(float(v) for v in history.poses[frame]))
            held = math.dist(gripper, position) < _HELD_M
            if held and picked < 0:
                picked = frame
            elif not held and (picked >= 0 or math.dist(before, position) > _STILL_M):
                if picked < 0:
                    raise CheckError(f"{history.name}: object {key} moves at frame {frame} and nobody holds it")
                source, target = scene.below(before, height), scene.below(position, height)
                if not source or not target:
                    raise CheckError(f"{history.name}: object {key} stands on nothing at frame {frame}")
                start_s, end_s = float(history.clock_s[picked]), float(history.clock_s[frame])
                rooms = scene.room_of(source), scene.room_of(target)
                found.append(Interaction(key, source, target, *rooms, start_s, end_s, picked, frame))
                before, picked = position, -1
    return sorted(found, key=lambda i: i.start_s)


def check_history(history: History) -> Story:
    """Replays a recording, compares it with what it says of itself, and gives the story. Raises CheckError."""
    found = replay(history)
    if found != history.interactions:
        raise CheckError(f"{history.name}: a replay finds other interactions than were recorded: record it again")
    return true_story(history, found)


def check_question(truth: Truth, question: Question, replayed: Story) -> list[int]:
    """An answer that passes, which proves that there is one.

    Raises:
        CheckError: the goals are not those of the replayed story, are not unique, or no frame answers one.
    """
    template, where = question.template, f"{question.history}, {question.template.id} ({question.text})"
    goals = template.find(replayed, question.words)
    if tuple(tuple(sorted(goal)) for goal in goals) != question.goals:
        raise CheckError(f"{where}: a replay finds other goals")
    if template.shape == "one" and template.definite and any(len(goal) != 1 for goal in goals):
        raise CheckError(f"{where}: more than one thing is meant")
    shown = [frozenset().union(*(truth.frames(key, template.kind) for key in goal)) for goal in goals]
    if not all(shown):
        raise CheckError(f"{where}: no frame shows a goal")
    answer = [min(frames) for frames in shown]
    if not matches(shown, answer, question.ordered):
        raise CheckError(f"{where}: no list of frames answers it")
    return answer
