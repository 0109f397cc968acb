"""The long-term store: what is found, and that nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_bank.long_term import (
    Entry,
    LongTermStore,
    Place,
    Pose,
    Query,
    SharedStore,
    StoreConfig,
    StoreDamaged,
    StoreError,
    VolatileStore,
    journal,
    repair,
)
from memory_bank.long_term.query import words_of
from memory_bank.long_term.table import NAME

DIM = 8
ROOMS = ("kitchen", "bath", "hall")
COLOURS = ("red", "green", "blue", "white")
INLINE = StoreConfig(background=False, cache_bytes=1 << 26)


def entry(number: int, **changes) -> Entry:
    rng = np.random.default_rng(number)
    x, y = rng.uniform(-5, 5, 2)
    made = Entry(
        rng.standard_normal(DIM).astype(np.float32),
        float(number),
        number + 0.5,
        id=f"e{number}",
        caption=f"a {COLOURS[number % 4]} mug, number {number}",
        pose=Pose(float(x), float(y), 0.0, 0.3),
        room=ROOMS[number % 3],
        instance_ids=(f"mug_{number % 5}",),
        provenance={"frame": number},
    )
    return replace(made, **changes)


def open_store(path: Path, **kwargs) -> LongTermStore:
    return LongTermStore.open(path / "store", DIM, **{"config": INLINE, **kwargs})


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Iterator[tuple[LongTermStore, list[Entry]]]:
    """Two hundred entries in the table, of which one retired since, and forty in the tail."""
    store = open_store(tmp_path_factory.mktemp("filled"))
    entries = store.append([entry(i) for i in range(200)])
    store.fold()
    entries += store.append([entry(i) for i in range(200, 240)])
    store.retire(["e7", "e210"], "seen again")
    yield store, entries
    store.close()


# ---- queries --------------------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_written(tmp_path):
    tokens = np.arange(6, dtype=np.float16).reshape(2, 3)
    given = entry(
        3, tokens=tokens, parents=("a", "b"), kind="semantic", importance=0.5, provenance={"topic": "/x", "n": 1}
    )
    with open_store(tmp_path) as store:
        (stored,) = store.append(given)
        for place in ("tail", "table"):
            (back,) = store.get(["e3"])
            assert back.seq == stored.seq == 0, place
            assert np.array_equal(back.embedding, given.embedding)
            assert back.tokens.dtype == np.float16
            assert np.array_equal(back.tokens, tokens)
            rest = {name: getattr(back, name) for name in Entry.__slots__ if name not in ("embedding", "tokens", "seq")}
            assert rest == {name: getattr(given, name) for name in rest}
            store.fold()


def test_an_entry_without_pose_or_caption_or_id_comes_back(tmp_path):
    with open_store(tmp_path) as store:
        (stored,) = store.append(Entry(np.ones(DIM), 1.0, 1.0))
        store.fold()
        (back,) = store.get([stored.id])
        assert (back.pose, back.caption, back.tokens, back.instance_ids) == (None, "", None, ())
        assert store.query(place=(0, 0, 0, 99)) == []


conditions = st.fixed_dictionaries(
    {},
    optional={
        "time": st.tuples(st.integers(0, 240), st.integers(0, 60)).map(lambda t: (float(t[0]), float(t[0] + t[1]))),
        "place": st.tuples(*[st.floats(-5, 5)] * 2, st.just(0.0), st.floats(0, 8)).map(lambda p: Place(*p)),
        "room": st.sampled_from(ROOMS),
        "instance": st.sampled_from([f"mug_{i}" for i in range(5)]),
        "retired": st.booleans(),
        "k": st.integers(1, 30),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=conditions, ranked=st.sampled_from(["", "vector", "text", "both"]), number=st.integers(0, 239))
def test_any_combination_finds_what_a_plain_loop_finds(filled, asked, ranked, number):
    store, entries = filled
    vector = entries[number].embedding + 0.1 if ranked in ("vector", "both") else None
    text = f"the {COLOURS[number % 4]} mugs" if ranked in ("text", "both") else ""
    query = Query(vector=vector, text=text, **asked)
    retired = {"e7": "seen again", "e210": "seen again"}
    fits = [replace(e, retired=retired.get(e.id, "")) for e in entries]
    fits = [e for e in fits if query.accepts(e)]
    hits = store.query(query)
    found = [hit.entry.id for hit in hits]
    assert len(set(found)) == len(found)
    assert set(found) <= {e.id for e in fits}
    if text and vector is None:
        assert len(found) == min(query.k, len(fits))  # all have "mug"
        want = sorted(fits, key=lambda e: (-(1 + (number % 4 == int(e.id[1:]) % 4)), -e.t1))
        assert found == [e.id for e in want[: query.k]]
    elif vector is not None and not text:

        def similarity(e):
            return e.embedding @ vector / np.linalg.norm(e.embedding) / np.linalg.norm(vector)

        want = sorted(fits, key=similarity, reverse=True)[: query.k]
        assert found == [e.id for e in want]
        assert [hit.similarity for hit in hits] == pytest.approx([similarity(e) for e in want], abs=1e-5)
    elif not text:
        want = sorted(fits, key=lambda e: -e.t1)
        if query.place is not None:
            assert [hit.distance_m for hit in hits] == sorted(hit.distance_m for hit in hits)
            assert len(found) == min(query.k, len(fits))
        else:
            assert found == [e.id for e in want[: query.k]]
    assert store.count(Query(**asked)) == len(fits)


def test_vector_and_words_together_put_first_what_both_find(filled):
    store, entries = filled
    (first, *_) = store.query(vector=entries[150].embedding, text="number 150")
    assert first.entry.id == "e150"
    assert first.reason == "similarity 1.000 (rank 1); caption has number, 150 (rank 1)"


def test_text_is_found_by_meaning_where_the_store_can_embed_it(tmp_path):
    with open_store(tmp_path, embed_text=lambda text: entry(5).embedding) as store:
        store.append([entry(i) for i in range(20)])
        assert store.query(text="a drinking vessel")[0].entry.id == "e5"


def test_why_tells_what_kept_an_entry_out(filled):
    store, entries = filled
    assert store.explain("e7", Query()) == ["not retrieved: it is retired (seen again)"]
    assert store.explain("e9", Query(room="hall"))[0] == "not retrieved: its room is 'kitchen', not 'hall'"
    told = store.explain("e150", Query(vector=entries[150].embedding))
    assert told[0].startswith("retrieved: rank 1 of")
    assert told[-1] == "from: frame 150"
    assert store.explain("e150", Query(vector=-entries[150].embedding, k=3))[0].startswith("not retrieved with k 3")


def test_scan_gives_every_entry_once_in_the_order_of_writing(filled):
    store, entries = filled
    scanned = list(store.scan())
    assert [e.id for e in scanned] == [e.id for e in entries]
    assert [e.id for e in scanned if e.retired] == ["e7", "e210"]


def test_words_are_compared_without_case_number_and_the_commonest():
    assert words_of("The red Mugs, on two Glasses & dishes") == ["red", "mug", "two", "glass", "dish"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(vector=np.ones(3)), r"query: vector of shape \[3\]"),
        (Query(k=0), "query: k is 0"),
        (Query(time=(5, 1)), "query: time"),
        (Query(place=Place(0, 0, 0, -1)), "query: place"),
        (Query(text="of the"), "has no word to look for"),
    ],
)
def test_a_wrong_query_is_named(filled, query, message):
    with pytest.raises(StoreError, match=message):
        filled[0].query(query)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": np.zeros(DIM)}, "entry 'e1': embedding is zero"),
        ({"embedding": np.ones(3)}, r"embedding has the shape \[3\]; this store's is \[8\]"),
        ({"t1": 0.0}, "entry 'e1': t0 1.0 and t1 0.0"),
        ({"tokens": np.ones((2, 2))}, "tokens are float64"),
        ({"provenance": {"a": object()}}, "provenance is nothing that JSON holds"),
        ({"id": "e0"}, "there is an entry 'e0' already"),
    ],
)
def test_a_wrong_entry_is_named_and_nothing_of_its_append_is_stored(tmp_path, changes, message):
    with open_store(tmp_path) as store:
        store.append(entry(0))
        store.fold()
        with pytest.raises(StoreError, match=message):
            store.append([entry(2), entry(1, **changes)])
        assert [e.id for e in store.scan()] == ["e0"]
        with pytest.raises(StoreError, match="no entry 'nobody'"):
            store.retire(["e0", "nobody"], "x")
        assert len(store) == 1


@pytest.mark.parametrize("kind", ["memory alone", "uri"])
def test_stores_of_other_kinds_answer_the_same(kind, filled, tmp_path):
    """By a URI: LanceDB's in a folder; an object store or a server has not been run."""
    store = VolatileStore(DIM) if kind == "memory alone" else SharedStore(f"file://{tmp_path}/shared", DIM)
    with store:
        for start in range(0, 240, 80):
            store.append([entry(i) for i in range(start, start + 80)])
        store.retire(["e7", "e210"], "seen again")
        store.compact()
        asked = (
            Query(vector=entry(9).embedding),
            Query(text="red mugs", k=5),
            Query(vector=entry(9).embedding, text="number 9", room="kitchen", k=1),
            Query(place=Place(0, 0, 0, 3)),
            Query(time=(30, 60), retired=True),
        )
        for query in asked:
            theirs = [(hit.entry.id, pytest.approx(hit.score, abs=1e-4)) for hit in filled[0].query(query)]
            assert [(hit.entry.id, hit.score) for hit in store.query(query)] == theirs
        assert len(store) == 238
        with pytest.raises(StoreError, match="already"):
            store.append(entry(3))


# ---- what lasts -----------------------------------------------------------------------------------------------------


def test_a_store_opens_as_it_was_whatever_is_in_table_or_journal(tmp_path):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(10)])
    with open_store(tmp_path) as store:
        assert len(store) == 10
        store.retire("e3", "x")
        store.fold()
        store.append(entry(10))
        store.retire(["e4", "e10"], "y")
    with open_store(tmp_path) as store:
        assert store.recovery == []
        assert [e.id for e in store.timeline(k=99)] == ["e0", "e1", "e2", "e5", "e6", "e7", "e8", "e9"]
        assert {e.id: e.retired for e in store.scan() if e.retired} == {"e3": "x", "e4": "y", "e10": "y"}


def test_the_tail_goes_to_the_table_in_the_background(tmp_path):
    with open_store(tmp_path, config=StoreConfig(fold_entries=20, cache_bytes=1 << 26)) as store:
        for i in range(100):
            store.append(entry(i))
        store.fold()
        assert store._table is not None
        assert store._table.rows == 100
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(100)]


def test_purging_deletes_what_was_retired(tmp_path):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(30)])
        store.retire([f"e{i}" for i in range(10)], "old")
        store.compact(purge=True)
        assert (len(store), store.count(Query(retired=True))) == (20, 20)


def test_without_the_journal_its_segments_go_when_they_are_in_the_table(tmp_path):
    with open_store(tmp_path, config=replace(INLINE, keep_journal=False)) as store:
        store.append([entry(i) for i in range(10)])
        store.fold()
        assert [path.stat().st_size for path in (store.path / "journal").iterdir()] == [0]
    with open_store(tmp_path) as store:
        assert len(store) == 10
    with pytest.raises(StoreError, match="does not go back to the beginning"):
        repair(tmp_path / "store")


def test_one_writes_while_others_read_along(tmp_path):
    with open_store(tmp_path) as store:
        store.append(entry(0))
        with open_store(tmp_path, read_only=True) as reader:
            for i in range(1, 40):
                store.append(entry(i))
                if i % 10 == 0:
                    store.fold()
                assert reader.query(k=1)[0].entry.id == f"e{i}"
                assert len(reader) == i + 1
            with pytest.raises(StoreError, match="open to read only"):
                reader.append(entry(99))
        with pytest.raises(StoreError, match=f"is being written by process {os.getpid()}"):
            open_store(tmp_path)


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path):
    """Five times; benchmarks/memory.py --kills 200 does it longer."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from soak import soak; "
        "print(soak(Path(sys.argv[2]), kills=5, seed=1))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'kills': 5" in done.stdout


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 400))
def test_an_unfinished_record_at_the_end_is_dropped_and_told(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn")
    with open_store(path) as store:
        store.append([entry(i) for i in range(4)])
    segment = path / "store" / "journal" / "000000001.log"
    ends = [end for _, end in journal.read(segment)]
    os.truncate(segment, ends[-1] - min(cut, ends[-1] - ends[-2] - 1))
    with open_store(path) as store:
        assert len(store) == 3
        assert "dropped" in store.recovery[0]
        store.append(entry(4))
    with open_store(path) as store:
        assert [e.id for e in store.scan()] == ["e0", "e1", "e2", "e4"]
        assert store.recovery == []


def test_damage_inside_the_journal_is_no_torn_end(tmp_path):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(4)])
    segment = tmp_path / "store" / "journal" / "000000001.log"
    ends = [end for _, end in journal.read(segment)]
    data = bytearray(segment.read_bytes())
    data[ends[1] - 3] ^= 1
    segment.write_bytes(data)
    with pytest.raises(StoreDamaged, match=rf"000000001\.log is damaged at byte {ends[0]}: put the file back"):
        open_store(tmp_path)
    assert segment.read_bytes() == data, "opening changed a damaged file"
    with open_store(tmp_path, skip_damaged=True) as store:
        assert [e.id for e in store.scan()] == ["e0", "e2", "e3"]
        assert store.recovery == [
            f"000000001.log: {ends[1] - ends[0]} bytes at {ends[0]} cannot be read and were left out"
        ]


def _crash_in_a_fold(path: Path) -> Path:
    """A store whose table was written further than CURRENT.json tells; gives the newest manifest."""
    with open_store(path) as store:
        store.append([entry(i) for i in range(20)])
        store.fold()
        store.append([entry(i) for i in range(20, 30)])
        assert store._table is not None
        store._table.add(store._tail.entries)
    return min((path / "store" / "table" / f"{NAME}.lance" / "_versions").glob("*.manifest"))


@pytest.mark.parametrize("left", ["whole", "empty", "torn"])
def test_a_half_written_table_opens_to_the_last_good_version(tmp_path, left):
    """Empty or torn is what a power failure leaves of Lance's newest manifest, which nothing has synced."""
    manifest = _crash_in_a_fold(tmp_path)
    if left != "whole":
        os.truncate(manifest, 0 if left == "empty" else manifest.stat().st_size // 2)
    with open_store(tmp_path) as store:
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(30)]
        store.fold()
        store.append(entry(30))
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(31)]
        assert store.check() == []


def test_a_table_counts_as_written_only_when_its_files_are_on_the_disk(tmp_path, monkeypatch):
    synced: set[str] = set()
    fsync = os.fsync

    def noted(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with open_store(tmp_path) as store:
        replaced = []
        for start in (0, 50):
            store.append([entry(i) for i in range(start, start + 50)])
            store.fold()
            files = json.loads((store.path / "CURRENT.json").read_text())["files"]
            replaced.append({str(store.path / "table" / name) for name in files})
            folders = {os.path.dirname(name) for name in replaced[-1]}
            assert replaced[-1] | folders <= synced
    assert replaced[1] - replaced[0]


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Sets the size beyond which files cannot grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_refuses_an_append_and_keeps_what_was_there(tmp_path, small_disk):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(10)])
        small_disk(6_000)
        with pytest.raises(StoreError, match=r"cannot write .*Nothing of this append is stored.* Free some space"):
            store.append([entry(i) for i in range(10, 30)])
        assert len(store) == 10
        small_disk(resource.RLIM_INFINITY)
        store.append([entry(i) for i in range(10, 20)])
    with open_store(tmp_path) as store:
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(20)]
        assert store.recovery == []


def test_a_full_disk_while_folding_loses_nothing(tmp_path, small_disk):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(30)])
        store.fold()
        store.append([entry(i) for i in range(30, 60)])
        small_disk(1_000)
        with pytest.raises(StoreError, match="Free some space|disk is full"):
            store.fold()
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(60)]
        small_disk(resource.RLIM_INFINITY)
        store.fold()
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(60)]
        assert store._table is not None
        assert store._table.rows == 60


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_table_is_named_and_made_anew_from_the_journal(tmp_path, harm):
    with open_store(tmp_path) as store:
        store.append([entry(i) for i in range(40)])
        store.retire("e4", "x")
        store.fold()
    data = max((tmp_path / "store" / "table").rglob("data/*.lance"), key=lambda path: path.stat().st_size)
    if harm == "flip":  # Lance has no checksums, so that only reading all of it tells
        content = bytearray(data.read_bytes())
        content[len(content) // 3] ^= 0x40
        data.write_bytes(content)
        with open_store(tmp_path) as store:
            assert store.check() == [f"{data} is not what was written"]
    else:
        os.truncate(data, data.stat().st_size // 2) if harm == "cut" else data.unlink()
        with pytest.raises(StoreDamaged, match=rf"{data.name} is damaged.* repair"):
            open_store(tmp_path)
    assert repair(tmp_path / "store") == []
    with open_store(tmp_path) as store:
        assert store.check() == []
        assert [e.id for e in store.scan()] == [f"e{i}" for i in range(40)]
        assert len(store) == 39


@pytest.mark.parametrize("name", ["store.json", "CURRENT.json"])
def test_a_damaged_note_is_named(tmp_path, name):
    with open_store(tmp_path) as store:
        store.append(entry(0))
        store.fold()
    (tmp_path / "store" / name).write_text("{")
    with pytest.raises(StoreDamaged, match=rf"{name} is damaged"):
        open_store(tmp_path)


def test_no_store_or_one_of_other_width_is_named(tmp_path):
    with pytest.raises(StoreError, match="no store at .*nowhere"):
        LongTermStore.open(tmp_path / "nowhere")
    open_store(tmp_path).close()
    with pytest.raises(StoreError, match="for embeddings of length 8, not 9"):
        LongTermStore.open(tmp_path / "store", 9)
