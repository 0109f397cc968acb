"""The chunk queue: what is executed is what was meant for now, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros.chunks import ENSEMBLE, NEWEST, REAL_TIME, ChunkConfig, ChunkError, ChunkQueue

PERIOD_S = 0.1
HOLD_S = 0.12

chunks = st.lists(
    st.tuples(
        st.integers(0, 40),  # observed, in periods
        st.floats(0.0, 1.5),  # inference takes, s
        st.integers(1, 8),  # H
        st.floats(-1.0, 1.0),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda chunk: chunk[0],
)


def filled(specs, blend):
    """A queue to which chunks came when their inference was over, with (time, actions) of those that were taken."""
    queue = ChunkQueue(ChunkConfig(blend=blend, hold_s=HOLD_S))
    taken = []
    for observed, takes_s, length, value in sorted(specs, key=lambda spec: spec[0] * PERIOD_S + spec[1]):
        observed_s = observed * PERIOD_S
        actions = value + 0.01 * np.arange(length)[:, None] * np.ones(2)
        if queue.add(actions, observed_s, PERIOD_S, observed_s + takes_s):
            taken.append((observed_s, actions))
    return queue, taken, max(spec[0] * PERIOD_S + spec[1] for spec in specs)


@given(chunks, st.sampled_from([NEWEST, ENSEMBLE, REAL_TIME]), st.floats(0.0, 2.0))
def test_what_is_executed_lies_among_the_actions_meant_for_now(specs, blend, later_s):
    queue, taken, now_s = filled(specs, blend)
    now_s += later_s
    meant, held = [], []
    for observed_s, actions in taken:
        index = int(np.floor((now_s - observed_s) / PERIOD_S + 1e-9))
        if 0 <= index < len(actions):
            meant.append(actions[index])
        elif now_s < observed_s + len(actions) * PERIOD_S + HOLD_S:
            held.append(actions[-1])
    action = queue.at(now_s)
    if action is None:
        assert not meant
        assert not held
    else:
        among = np.stack(meant or held)
        assert (action >= among.min(axis=0) - 1e-9).all()
        assert (action <= among.max(axis=0) + 1e-9).all()


@given(chunks, st.sampled_from([NEWEST, ENSEMBLE, REAL_TIME]))
def test_an_empty_queue_is_a_stop(specs, blend):
    queue, _, now_s = filled(specs, blend)
    assert queue.at(now_s + 8 * PERIOD_S + 40 * PERIOD_S + HOLD_S) is None
    assert queue.remaining_s(now_s + 100.0) == 0.0


@given(chunks, st.sampled_from([NEWEST, ENSEMBLE, REAL_TIME]), st.integers(1, 8))
def test_a_late_chunk_is_dropped_and_changes_nothing(specs, blend, length):
    queue, _, now_s = filled(specs, blend)
    times = now_s + np.linspace(0.0, 1.0, 11)
    other, _, _ = filled(specs, blend)
    before, dropped = [queue.at(t) for t in times], other.dropped
    assert not other.add(np.full((length, 2), 5.0), now_s - length * PERIOD_S - HOLD_S - 1e-6, PERIOD_S, now_s)
    assert other.dropped == dropped + 1
    for was, now in zip(before, [other.at(t) for t in times], strict=True):
        np.testing.assert_equal(now, was)


@given(chunks, st.randoms())
def test_the_ensemble_does_not_depend_on_the_order_of_arrival(specs, random):
    now_s = max(spec[0] for spec in specs) * PERIOD_S
    shuffled = list(specs)
    random.shuffle(shuffled)
    found = []
    for order in (specs, shuffled):
        queue = ChunkQueue(ChunkConfig(blend=ENSEMBLE))
        for observed, _, length, value in order:
            queue.add(np.full((length, 1), value), observed * PERIOD_S, PERIOD_S, now_s)
        found.append(queue.at(now_s + 0.05))
    np.testing.assert_allclose(found[0], found[1])


def test_newest_takes_the_newest_observation_even_if_it_came_first():
    queue = ChunkQueue(ChunkConfig(blend=NEWEST))
    queue.add(np.full((5, 1), 2.0), 0.2, PERIOD_S, 0.21)
    queue.add(np.full((5, 1), 1.0), 0.1, PERIOD_S, 0.22)
    assert queue.at(0.3) == 2.0


def test_the_part_of_a_chunk_that_is_past_is_skipped():
    queue = ChunkQueue(ChunkConfig(blend=NEWEST))
    queue.add(np.arange(5.0)[:, None], 0.0, PERIOD_S, 0.25)
    assert queue.at(0.25) == 2.0
    assert queue.at(0.35) == 3.0


def test_real_time_goes_on_where_it_was_and_ends_in_the_new_chunk():
    queue = ChunkQueue(ChunkConfig(blend=REAL_TIME))
    queue.add(np.zeros((8, 1)), 0.0, PERIOD_S, 0.0)
    queue.add(np.ones((8, 1)), 0.2, PERIOD_S, 0.4)
    executed = [float(queue.at(t)[0]) for t in np.arange(0.4, 0.8, 0.01)]
    assert executed[0] == 0.0
    assert max(np.diff(executed)) < 0.1  # no jump, where taking the newest would make one of 1
    assert executed == sorted(executed)
    assert executed[-1] > 0.95
    assert queue.at(0.85) == 1.0


def test_a_chunk_that_is_no_number_is_refused_and_the_queue_kept():
    queue = ChunkQueue()
    queue.add(np.ones((3, 2)), 0.0, PERIOD_S, 0.0)
    with pytest.raises(ChunkError, match="action 1 of the chunk is nan in dimension 0"):
        queue.add(np.array([[0.0, 0.0], [np.nan, 0.0]]), 0.1, PERIOD_S, 0.1)
    with pytest.raises(ChunkError, match="actions of 3 numbers"):
        queue.add(np.ones((3, 3)), 0.1, PERIOD_S, 0.1)
    np.testing.assert_array_equal(queue.at(0.1), [1.0, 1.0])


def test_clear_stops_at_once():
    queue = ChunkQueue()
    queue.add(np.ones((3, 2)), 0.0, PERIOD_S, 0.0)
    queue.clear()
    assert queue.at(0.05) is None


@pytest.mark.parametrize(("key", "value"), [("blend", "mean"), ("hold_s", -1.0), ("decay", float("nan"))])
def test_a_wrong_setting_is_named(key, value):
    with pytest.raises(ValueError, match=key):
        ChunkQueue(ChunkConfig(**{key: value}))
