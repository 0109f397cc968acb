"""The commands `embodied memory ...`: looking into a long-term store, while a robot writes it or afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embodied.files import replacing

if TYPE_CHECKING:
    from memory_bank.long_term import Entry, LongTermStore, Query

app = typer.Typer(no_args_is_help=True, help="A long-term memory: list, search, timeline, why, export, check, repair.")

Store = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")]
Text = Annotated[str, typer.Option(help="Words of captions; by meaning too, where embeddings are of captions.")]
Place = Annotated[str, typer.Option(metavar="X,Y,Z,R", help="Within R metres of a place in the map frame.")]
Time = Annotated[str, typer.Option(metavar="T0,T1", help="Seconds; what touches that span.")]
Room = Annotated[str, typer.Option(help="In this room.")]
Kind = Annotated[str, typer.Option(help="Of this kind: episodic, semantic, summary, ...")]
Instance = Annotated[str, typer.Option(help="That saw this object.")]
Like = Annotated[str, typer.Option(metavar="ID", help="Like this entry, by their embeddings.")]
Retired = Annotated[bool, typer.Option("--retired", help="Retired entries as well.")]
Count = Annotated[int, typer.Option("-k", help="At most this many.")]


@app.command(name="list")
def list_entries(
    store: Store,
    place: Place = "",
    time: Time = "",
    room: Room = "",
    kind: Kind = "",
    instance: Instance = "",
    retired: Retired = False,
    k: Count = 20,
) -> None:
    """The newest entries, or those nearest to a place."""
    with _open(store) as memory:
        query = _query(memory, "", place, time, room, kind, instance, "", retired, k)
        hits = memory.query(query)
        _print([(hit.entry, "") for hit in hits])
        print(f"{len(hits)} of {memory.count(query)}")


@app.command()
def search(
    store: Store,
    text: Text = "",
    like: Like = "",
    place: Place = "",
    time: Time = "",
    room: Room = "",
    kind: Kind = "",
    instance: Instance = "",
    retired: Retired = False,
    k: Count = 10,
) -> None:
    """What is found, best first, with the reason."""
    with _open(store) as memory:
        hits = memory.query(_query(memory, text, place, time, room, kind, instance, like, retired, k))
        _print([(hit.entry, hit.reason) for hit in hits])


@app.command()
def timeline(
    store: Store, time: Time = "", room: Room = "", instance: Instance = "", retired: Retired = False, k: Count = 50
) -> None:
    """What happened, from the earliest to the latest."""
    with _open(store) as memory:
        query = _query(memory, "", "", time, room, "", instance, "", retired, k)
        _print([(entry, "") for entry in memory.timeline(query)])


@app.command()
def why(
    store: Store,
    id: Annotated[str, typer.Argument(metavar="ID", help="The entry.")],
    text: Text = "",
    like: Like = "",
    place: Place = "",
    time: Time = "",
    room: Room = "",
    kind: Kind = "",
    instance: Instance = "",
    k: Count = 10,
) -> None:
    """Why a search finds an entry, or does not; without a search, where the entry came from."""
    with _open(store) as memory:
        for line in memory.explain(id, _query(memory, text, place, time, room, kind, instance, like, False, k)):
            print(line)


@app.command()
def export(
    store: Store,
    output: Annotated[Path, typer.Argument(help="A file .parquet (with embeddings) or .jsonl (without).")],
    retired: Retired = False,
) -> None:
    """Write all entries in use to a file."""
    if output.suffix not in (".parquet", ".jsonl"):
        raise ValueError(f"{output}: give a name that ends in .parquet or .jsonl")
    with _open(store) as memory:
        entries = (entry for entry in memory.scan() if retired or entry.active)
        with replacing(output) as draft:
            count = (
                _write_parquet(draft, memory.dim, entries) if output.suffix == ".parquet" else _write(draft, entries)
            )
    print(f"{count} entries in {output}")


@app.command()
def check(store: Store) -> None:
    """Compare every file with what was written."""
    with _open(store) as memory:
        damaged = memory.check()
    for line in damaged:
        print(line)
    print("everything is as it was written" if not damaged else f"to mend it: embodied memory repair {store}")
    raise typer.Exit(1 if damaged else 0)


@app.command()
def repair(
    store: Store,
    skip_damaged: Annotated[bool, typer.Option("--skip-damaged", help="Leave out what cannot be read.")] = False,
) -> None:
    """Make the table of a store anew from its journal."""
    from memory_bank.long_term import repair as run_repair

    for line in run_repair(store, skip_damaged):
        print(line)
    with _open(store) as memory:
        print(f"{len(memory)} entries in use")


@app.command()
def compact(
    store: Store,
    purge: Annotated[bool, typer.Option("--purge", help="Delete retired entries for good.")] = False,
) -> None:
    """Bring everything into the table and index it anew; no robot may be writing."""
    from embodied.text_memory import open_any_store

    with open_any_store(store) as memory:
        memory.compact(purge)
        print(f"{len(memory)} entries in use")


def _open(store: Path) -> LongTermStore:
    from embodied.text_memory import open_any_store

    return open_any_store(store, read_only=True)


def _query(
    memory: LongTermStore,
    text: str,
    place: str,
    time: str,
    room: str,
    kind: str,
    instance: str,
    like: str,
    retired: bool,
    k: int,
) -> Query:
    from memory_bank.long_term import Place as Ball
    from memory_bank.long_term import Query

    return Query(
        vector=memory.get([like])[0].embedding if like else None,
        text=text,
        place=Ball(*_numbers("--place", place, 4)) if place else None,
        time=_span(time) if time else None,
        room=room,
        kind=kind,
        instance=instance,
        k=k,
        retired=retired,
    )


def _span(time: str) -> tuple[float, float]:
    begin, end = _numbers("--time", time, 2)
    return begin, end


def _numbers(option: str, text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ValueError(f"{option} {text}: give {count} numbers with commas between")
    return numbers


def _print(rows: list[tuple[Entry, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    reasons = any(reason for _, reason in rows)
    table = Table()
    for name in ("id", "time, s", "place, m", "room", "caption", *(["why"] if reasons else [])):
        table.add_column(name, overflow="fold")
    for entry, reason in rows:
        pose = f"{entry.pose.x_m:.2f} {entry.pose.y_m:.2f} {entry.pose.z_m:.2f}" if entry.pose else ""
        caption = f"{entry.caption} (retired: {entry.retired})" if entry.retired else entry.caption
        cells = [entry.id, f"{entry.t0:.1f} to {entry.t1:.1f}", pose, entry.room, caption]
        table.add_row(*cells, *([reason] if reasons else []))
    Console(soft_wrap=False).print(table)


def _plain(entry: Entry) -> dict[str, Any]:
    pose = entry.pose
    return {
        "seq": entry.seq,
        "id": entry.id,
        "t0": entry.t0,
        "t1": entry.t1,
        "x_m": pose.x_m if pose else None,
        "y_m": pose.y_m if pose else None,
        "z_m": pose.z_m if pose else None,
        "yaw_rad": pose.yaw_rad if pose else None,
        "room": entry.room,
        "caption": entry.caption,
        "instance_ids": list(entry.instance_ids),
        "kind": entry.kind,
        "importance": entry.importance,
        "provenance": json.dumps(dict(entry.provenance)),
        "parents": list(entry.parents),
        "retired": entry.retired,
    }


def _write(path: Path, entries: Any) -> int:
    count = 0
    with open(path, "w") as file:
        for entry in entries:
            file.write(json.dumps(_plain(entry)) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, dim: int, entries: Any) -> int:
    import itertools

    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, many = pa.string(), pa.float64(), pa.list_(pa.string())
    types = {"seq": pa.int64(), "id": text, "t0": number, "t1": number, "x_m": number, "y_m": number, "z_m": number}
    types |= {"yaw_rad": number, "room": text, "caption": text, "instance_ids": many, "kind": text}
    types |= {"importance": number, "provenance": text, "parents": many, "retired": text}
    schema = pa.schema([*types.items(), ("embedding", pa.list_(pa.float32(), dim))])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(itertools.islice(entries, 4096)):
            rows = [{**_plain(entry), "embedding": entry.embedding.tolist()} for entry in some]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(some)
    return count
