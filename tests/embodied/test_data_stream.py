"""Segments: what a row sees is its episodes, in order; what is drawn is drawn from the seed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied.data import (
    DataError,
    Episode,
    Prefetch,
    Recorder,
    Segment,
    SegmentConfig,
    SegmentStream,
    split_episodes,
    statistics,
)

FPS = 10.0


class Numbers:
    """Episodes in memory whose every number tells where it stands."""

    def __init__(self, lengths: Iterable[int]) -> None:
        self.fps = FPS
        self.episodes = {i: Episode(i, length, (f"do {i}",)) for i, length in enumerate(lengths)}
        self.asked: list[tuple[int, list[int]]] = []

    def actions(self, episode: int) -> np.ndarray:
        frames = np.arange(self.episodes[episode].length, dtype=np.float32)
        return np.stack([np.full_like(frames, episode), frames + 1], axis=1)

    def states(self, episode: int) -> np.ndarray:
        return self.actions(episode) + 0.5

    def instructions(self, episode: int) -> list[str]:
        return [f"do {episode}"] * self.episodes[episode].length

    def frames(self, episode: int, indices: np.ndarray) -> dict[str, np.ndarray]:
        self.asked.append((episode, indices.tolist()))
        images = np.zeros((len(indices), 2, 2, 3), np.uint8)
        images[..., 0], images[..., 1] = episode, indices[:, None, None] % 256
        return {"front": images}


class Features:
    """Frame features instead of images."""

    def frames(self, episode: int, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {"tokens": np.stack([indices + 1000 * episode] * 5, axis=1).astype(np.float16)}


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=7)
configs = st.builds(
    lambda rows, steps, chunk, low, more, start, seed: SegmentConfig(
        rows, steps, chunk, low, low + more, start, seed, workers=1
    ),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 8),
    st.integers(1, 5),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)


def take(stream: SegmentStream, count: int) -> list[Segment]:
    return [next(stream) for _ in range(count)]


def same(one: Segment, other: Segment) -> bool:
    return one.instructions == other.instructions and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("state", "times", "resets", "mask", "actions", "action_mask", "episodes", "frames")
    )


def visits(segments: list[Segment], row: int) -> list[tuple[int, list[int]]]:
    """What a row went through: (episode, frames) from one reset to the next."""
    found: list[tuple[int, list[int]]] = []
    for segment in segments:
        for t in np.flatnonzero(segment.mask[row]):
            if segment.resets[row, t]:
                found.append((int(segment.episodes[row, t]), []))
            assert segment.episodes[row, t] == found[-1][0], "an episode changes only with a reset"
            found[-1][1].append(int(segment.frames[row, t]))
    return found


@settings(max_examples=25, deadline=None)
@given(lengths, configs)
def test_every_row_walks_whole_episodes_in_order_with_one_stride_each(lengths: list[int], config: SegmentConfig):
    segments = take(SegmentStream(Numbers(lengths), config), 12)
    assert all(segment.mask.all() for segment in segments)
    for row in range(config.rows):
        walked = visits(segments, row)
        for place, (episode, frames) in enumerate(walked):
            strides = set(np.diff(frames).tolist())
            assert len(strides) <= 1
            assert all(config.stride_min <= stride <= config.stride_max for stride in strides)
            if place > 0 and not config.random_start:
                assert frames[0] == 0
            if place > 0:
                assert frames[0] < config.stride_max
            if place < len(walked) - 1:  # nothing is left out at the end
                assert frames[-1] + (strides.pop() if strides else config.stride_max) >= lengths[episode]


@settings(max_examples=25, deadline=None)
@given(lengths, configs)
def test_a_step_holds_what_was_recorded_there(lengths: list[int], config: SegmentConfig):
    data = Numbers(lengths)
    for segment in take(SegmentStream(data, config), 4):
        for b, t in np.ndindex(segment.mask.shape):
            episode, frame = int(segment.episodes[b, t]), int(segment.frames[b, t])
            following = data.actions(episode)[frame : frame + config.chunk]
            assert segment.action_mask[b, t].tolist() == [k < len(following) for k in range(config.chunk)]
            assert np.array_equal(segment.actions[b, t, : len(following)], following)
            assert not segment.actions[b, t, len(following) :].any()
            assert np.array_equal(segment.state[b, t], data.states(episode)[frame])
            assert segment.times[b, t] == pytest.approx(frame / FPS)
            assert segment.instructions[b][t] == f"do {episode}"
            assert segment.images["front"][b, t, 0, 0].tolist() == [episode, frame, 0]


@settings(max_examples=25, deadline=None)
@given(lengths, configs)
def test_all_episodes_are_visited_equally_often(lengths: list[int], config: SegmentConfig):
    segments = take(SegmentStream(Numbers(lengths), config), 40)
    count = Counter(episode for row in range(config.rows) for episode, _ in visits(segments, row))
    seen = [count[episode] for episode in range(len(lengths))]
    # A row may have its next episode assigned, and not begun.
    assert max(seen) - min(seen) <= 1 + config.rows


@settings(max_examples=20, deadline=None)
@given(lengths, configs, st.integers(0, 9))
def test_a_stream_goes_on_exactly_where_its_state_was_taken(lengths: list[int], config: SegmentConfig, before: int):
    data = Numbers(lengths)
    stream = SegmentStream(data, config)
    take(stream, before)
    state = json.loads(json.dumps(stream.state_dict()))
    expected = take(stream, 6)
    resumed = SegmentStream(data, config)
    resumed.load_state_dict(state)
    assert all(same(*pair) for pair in zip(expected, take(resumed, 6), strict=True))


@settings(max_examples=20, deadline=None)
@given(lengths, configs)
def test_a_stream_that_ends_shows_every_episode_once_and_only_pads_behind(lengths: list[int], config: SegmentConfig):
    segments = list(SegmentStream(Numbers(lengths), config, repeat=False))
    walked = [visit for row in range(config.rows) for visit in visits(segments, row)]
    assert sorted(episode for episode, _ in walked) == list(range(len(lengths)))
    for row in range(config.rows):
        mask = np.concatenate([segment.mask[row] for segment in segments])
        assert not (mask[1:] & ~mask[:-1]).any(), "nothing comes after padding"
    assert all(segment.mask.any() for segment in segments)
    last = segments[-1]
    assert (last.episodes[~last.mask] == -1).all()
    assert not last.action_mask[~last.mask].any()
    assert not last.resets[~last.mask].any()


@settings(max_examples=15, deadline=None)
@given(lengths, configs, st.integers(2, 4))
def test_processes_share_each_round_without_overlap(lengths: list[int], config: SegmentConfig, world: int):
    seen: Counter[int] = Counter()
    for rank in range(world):
        stream = SegmentStream(Numbers(lengths), config, repeat=False, rank=rank, world=world)
        segments = list(stream)
        seen.update(episode for row in range(config.rows) for episode, _ in visits(segments, row))
    assert seen == Counter(range(len(lengths)))


def test_the_same_seed_gives_the_same_segments_and_another_seed_others():
    data = Numbers([20] * 6)
    one, again, other = (
        take(SegmentStream(data, SegmentConfig(rows=4, seed=seed, workers=workers)), 5)
        for seed, workers in ((3, 1), (3, 3), (4, 1))
    )
    assert all(same(*pair) for pair in zip(one, again, strict=True))
    assert not all(same(*pair) for pair in zip(one, other, strict=True))


def test_rows_begin_apart_although_all_episodes_are_equally_long():
    first = next(SegmentStream(Numbers([100] * 16), SegmentConfig(rows=16, seed=0)))
    assert len(set(first.frames[:, 0].tolist())) > 8
    assert first.resets[:, 0].all()


def test_a_random_start_reaches_every_frame_with_one_stride():
    def frames(random_start: bool) -> set[int]:
        config = SegmentConfig(rows=1, steps=8, stride_min=4, stride_max=4, random_start=random_start)
        stream = SegmentStream(Numbers([20]), config)
        next(stream)
        return {frame for segment in take(stream, 40) for frame in segment.frames[segment.mask].tolist()}

    assert len(frames(random_start=True)) == 20
    assert frames(random_start=False) == {0, 4, 8, 12, 16}


def test_steps_of_one_episode_are_asked_for_in_one_go():
    data = Numbers([40, 40])
    next(SegmentStream(data, SegmentConfig(rows=1, steps=5, stride_min=2, stride_max=2, workers=1), [1], repeat=False))
    assert data.asked == [(1, [0, 2, 4, 6, 8])]


def test_segments_made_ahead_are_the_same_and_resume_where_they_were_taken():
    data, config = Numbers([9, 14, 6]), SegmentConfig(rows=3, steps=4)
    expected = take(SegmentStream(data, config), 9)
    with Prefetch(SegmentStream(data, config), depth=3) as ahead:
        assert all(same(next(ahead), segment) for segment in expected[:4])
        state = ahead.state_dict()
    with Prefetch(SegmentStream(data, config)) as resumed:
        resumed.load_state_dict(state)
        assert all(same(next(resumed), segment) for segment in expected[4:7])
        resumed.load_state_dict(state)  # back again, although more was made ahead
        assert all(same(next(resumed), segment) for segment in expected[4:])
    assert all(same(next(ahead), segment) for segment in expected[4:6])  # closed, it goes on
    ahead.close()


def test_segments_made_ahead_end_with_the_stream_and_pass_its_errors_on():
    config = SegmentConfig(rows=2, steps=4, workers=1)
    assert len(list(Prefetch(SegmentStream(Numbers([30, 30]), config, repeat=False)))) == len(
        list(SegmentStream(Numbers([30, 30]), config, repeat=False))
    )

    class Broken(Features):
        def frames(self, episode: int, indices: np.ndarray) -> dict[str, np.ndarray]:
            raise DataError("episode 0: the video is gone")

    with (
        Prefetch(SegmentStream(Numbers([30]), config, frames=Broken())) as ahead,
        pytest.raises(DataError, match="gone"),
    ):
        next(ahead)


def test_features_take_the_place_of_images():
    stream = SegmentStream(Numbers([30, 30]), SegmentConfig(rows=2, steps=3), frames=Features())
    segment = next(stream)
    assert list(segment.images) == ["tokens"]
    assert segment.images["tokens"].shape == (2, 3, 5)
    assert segment.images["tokens"].dtype == np.float16
    assert np.array_equal(segment.images["tokens"][..., 0], segment.frames + 1000 * segment.episodes)


def test_a_state_of_other_episodes_is_refused():
    state = SegmentStream(Numbers([5, 6]), SegmentConfig()).state_dict()
    for other in (
        SegmentStream(Numbers([5, 7]), SegmentConfig()),
        SegmentStream(Numbers([5, 6]), SegmentConfig(seed=1)),
    ):
        with pytest.raises(DataError, match="cannot go on"):
            other.load_state_dict(state)


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match=r"^stride_max must be at least stride_min \(4\)"):
        SegmentStream(Numbers([5]), SegmentConfig(stride_min=4, stride_max=2))
    with pytest.raises(ValueError, match="^chunk must be at least 1"):
        SegmentConfig(chunk=0).validate()
    with pytest.raises(DataError, match="no episode 7"):
        SegmentStream(Numbers([5]), SegmentConfig(), [7])
    with pytest.raises(DataError, match="no episodes"):
        SegmentStream(Numbers([5]), SegmentConfig(), [])


def test_a_split_is_drawn_from_the_seed_and_complete():
    train, held_out = split_episodes(range(50), 0.2, seed=1)
    assert (len(train), len(held_out)) == (40, 10)
    assert sorted(train + held_out) == list(range(50))
    assert split_episodes(range(50), 0.2, seed=1) == (train, held_out)
    assert split_episodes(range(50), 0.2, seed=2)[1] != held_out
    assert split_episodes([3, 4], 0.01) in (([3], [4]), ([4], [3]))
    assert split_episodes([3, 4], 0.0) == ([3, 4], [])
    with pytest.raises(ValueError, match="one episode cannot be split"):
        split_episodes([3], 0.1)


def test_statistics_are_those_of_all_frames_together():
    generator = np.random.default_rng(0)
    parts = [generator.normal(size=(n, 3)).astype(np.float32) for n in (10, 400, 7)]
    found, values = statistics(parts), np.concatenate(parts).astype(np.float64)
    assert found.count == 417
    assert np.allclose(found.mean, values.mean(0))
    assert np.allclose(found.std, values.std(0))
    assert np.allclose(found.q01, np.quantile(values, 0.01, axis=0))
    assert np.allclose(found.q99, np.quantile(values, 0.99, axis=0))
    assert np.array_equal(found.min, values.min(0))
    assert np.array_equal(found.max, values.max(0))
    back = type(found).from_dict(json.loads(json.dumps(found.to_dict())))
    assert all(np.array_equal(getattr(back, n), getattr(found, n)) for n in ("mean", "std", "q01", "q99"))
    with pytest.raises(DataError, match="one frame"):
        statistics([])


def test_a_missing_library_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "lerobot.datasets", None)
    with pytest.raises(DataError, match=r"need the package lerobot\[dataset\], which needs Python 3.12 or newer"):
        Recorder.create(tmp_path / "set", 10, {"front": (32, 32)}, ["x"], ["dx"])
    assert not (tmp_path / "set").exists()
