"""The sixty templates, their truth and what counts as an answer."""

import dataclasses
import itertools
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.long_horizon.check import CheckError, check_history, check_question
from sim.long_horizon.story import describe, find_phrases, matching
from sim.long_horizon.tasks import matches
from sim.long_horizon.templates import TEMPLATES

COUNTS = {
    "object recall": 2,
    "interaction": 6,
    "conditional interaction": 7,
    "object attribute": 5,
    "spatial relationship": 5,
    "room visitation": 5,
    "interaction order": 16,
    "time of day": 2,
    "duration": 3,
    "unordered revisitation": 6,
    "ordered revisitation": 3,
}


def test_sixty_templates_in_the_papers_families():
    assert Counter(t.family for t in TEMPLATES) == COUNTS
    assert len({t.id for t in TEMPLATES}) == 60


def test_held_out_phrasings_are_no_training_phrasings_and_ask_with_the_same_words():
    texts = [text for t in TEMPLATES for text in (*t.phrasings, t.held_out)]
    assert len(set(texts)) == len(texts)
    for template in TEMPLATES:
        words = {frozenset(re.findall(r"{(\w+)}", text)) for text in (*template.phrasings, template.held_out)}
        assert len(words) == 1, template.id


def test_most_templates_can_be_asked_about_one_short_past(questions):
    assert len({q.template.id for q in questions}) >= 45


def test_the_checker_proves_every_question(truth, questions):
    replayed = check_history(truth.history)
    for question in questions:
        answer = check_question(truth, question, replayed)
        assert len(answer) == len(question.goals)


def test_the_checker_refuses_a_question_with_another_goal(truth, questions):
    replayed = check_history(truth.history)
    question = next(q for q in questions if q.template.id == "object_first")
    other = next(i.object for i in replayed.interactions if i.object not in question.goals[0])
    with pytest.raises(CheckError, match="other goals"):
        check_question(truth, dataclasses.replace(question, goals=((other,),)), replayed)


def test_the_checker_refuses_what_is_ambiguous(truth, questions):
    question = next(q for q in questions if q.template.id == "any_handled")
    definite = dataclasses.replace(question, template=dataclasses.replace(question.template, definite=True))
    with pytest.raises(CheckError, match="more than one"):
        check_question(truth, definite, check_history(truth.history))


def test_questions_depend_on_the_seed_alone(truth):
    assert truth.draw(seed=3) == truth.draw(seed=3)
    assert truth.draw(seed=3) != truth.draw(seed=4)


def test_a_phrase_means_what_it_describes_and_nothing_else(truth):
    objects = truth.story.objects
    for key, thing in objects.items():
        phrase = describe(thing, objects.values())
        if phrase is not None:
            assert matching(phrase, objects) == {key}
            assert [found[2] for found in find_phrases(f"Go to the {phrase}.")] == [phrase]


@given(
    shown=st.lists(st.frozensets(st.integers(0, 5), max_size=4), min_size=1, max_size=4),
    answer=st.lists(st.integers(0, 5), min_size=0, max_size=4),
)
def test_answers_in_any_order_match_as_a_search_over_all_orders_says(shown, answer):
    any_order = any(
        all(frame in frames for frame, frames in zip(order, shown, strict=True))
        for order in itertools.permutations(answer)
        if len(answer) == len(shown)
    )
    assert matches(shown, answer, ordered=False) == any_order
    in_order = len(answer) == len(shown) and all(f in s for f, s in zip(answer, shown, strict=True))
    assert matches(shown, answer, ordered=True) == in_order
