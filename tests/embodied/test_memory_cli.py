"""`embodied memory`: what it prints of a real store, and its errors in one line."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from embodied.cli import main
from embodied.text_memory import DIM, EmbedText, open_caption_store
from memory_bank.long_term import Entry, LongTermStore, Pose, StoreConfig

CAPTIONS = ("a red mug on the table", "a towel beside the bath", "the dog sleeps on a sofa", "a knife in the drawer")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "store"
    embed = EmbedText()
    with open_caption_store(path, config=StoreConfig(background=False)) as memory:
        for i, caption in enumerate(CAPTIONS):
            vector = embed(caption)
            assert vector.shape == (DIM,)
            memory.append(
                Entry(
                    vector,
                    10.0 * i,
                    10.0 * i + 5,
                    id=f"e{i}",
                    caption=caption,
                    pose=Pose(float(i), 0.0),
                    room="kitchen" if i in (0, 3) else "elsewhere",
                    instance_ids=(f"thing_{i}",),
                    provenance={"topic": "/camera"},
                )
            )
        memory.retire("e3", "moved")
    return path


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["memory", *map(str, arguments)])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_list_shows_the_newest_first_and_how_many_there_are(capsys, monkeypatch, store):
    code, out, _ = run(capsys, monkeypatch, "list", store, "-k", 2)
    assert code == 0
    assert out.index("e2") < out.index("e1")
    assert "e0" not in out
    assert out.strip().endswith("2 of 3")
    _, out, _ = run(capsys, monkeypatch, "list", store, "--room", "kitchen", "--retired")
    assert "retired: moved" in out


def test_search_finds_by_meaning_and_says_why(capsys, monkeypatch, store):
    code, out, err = run(capsys, monkeypatch, "search", store, "--text", "something to drink coffee from", "-k", 1)
    assert code == 0, err
    assert "a red mug" in out
    assert "similarity 0." in out
    _, out, _ = run(capsys, monkeypatch, "search", store, "--text", "towels", "--place", "1,0,0,0.5")
    assert "caption has towel" in out
    assert "0.00 m away" in out


def test_timeline_is_in_the_order_of_time(capsys, monkeypatch, store):
    _, out, _ = run(capsys, monkeypatch, "timeline", store, "--time", "0,16")
    assert out.index("e0") < out.index("e1")
    assert "e2" not in out


def test_why_tells_rank_and_reason_or_what_keeps_it_out(capsys, monkeypatch, store):
    _, out, _ = run(capsys, monkeypatch, "why", store, "e0", "--text", "mug")
    assert out.startswith("retrieved: rank 1 of")
    assert "from: topic /camera" in out
    _, out, _ = run(capsys, monkeypatch, "why", store, "e3", "--like", "e0")
    assert out == "not retrieved: it is retired (moved)\n"


def test_export_writes_rows_and_embeddings(capsys, monkeypatch, store, tmp_path):
    _, out, _ = run(capsys, monkeypatch, "export", store, tmp_path / "all.parquet", "--retired")
    assert out.startswith("4 entries")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table["caption"].to_pylist() == list(CAPTIONS)
    assert len(table["embedding"][0]) == DIM
    run(capsys, monkeypatch, "export", store, tmp_path / "used.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "used.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["e0", "e1", "e2"]


def test_check_compact_and_repair(capsys, monkeypatch, tmp_path, store):
    path = tmp_path / "store"
    with LongTermStore.open(path, 4, config=StoreConfig(background=False)) as memory:
        memory.append([Entry([1, 2, 3, i + 1.0], i, i) for i in range(30)])
    code, out, _ = run(capsys, monkeypatch, "compact", path)
    assert (code, out) == (0, "30 entries in use\n")
    assert run(capsys, monkeypatch, "check", path)[:2] == (0, "everything is as it was written\n")
    data = max(path.rglob("data/*.lance"), key=lambda file: file.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    code, out, _ = run(capsys, monkeypatch, "check", path)
    assert code == 1
    assert f"{data} is not what was written" in out
    assert run(capsys, monkeypatch, "repair", path)[:2] == (0, "30 entries in use\n")
    assert run(capsys, monkeypatch, "check", path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "nowhere"), "no store at nowhere"),
        (("search", "STORE", "--place", "1,2"), "--place 1,2: give 4 numbers with commas between"),
        (("why", "STORE", "nobody"), "no entry 'nobody' in"),
        (("export", "STORE", "x.csv"), "x.csv: give a name that ends in .parquet or .jsonl"),
    ],
)
def test_an_error_is_one_line(capsys, monkeypatch, store, arguments, message):
    code, _, err = run(capsys, monkeypatch, *(store if part == "STORE" else part for part in arguments))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
