"""What a store can be asked, and what it answers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from memory_bank.long_term.entry import Entry
from memory_bank.long_term.errors import StoreError

RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): 1 / (60 + rank) is summed over the rankings."""

_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from had has have i in into is it its me my of on or our that the their then "
        "there these this to was were where which while who will with you your",
    )
)


class Place(NamedTuple):
    """A ball in the map frame."""

    x_m: float
    y_m: float
    z_m: float
    radius_m: float


@dataclass(frozen=True, eq=False)
class Query:
    """What is looked for. Conditions narrow; `vector` and `text` rank; all of them go together.

    Without vector and text the order is: nearest first where a place is given, else newest first.
    """

    vector: np.ndarray | None = None
    """[D] float32: entries of high cosine similarity come first."""
    text: str = ""
    """Entries whose captions hold its words come first; with a vector the two rankings are fused (RRF). In a store that
    can embed text, entries near the text's embedding count too."""
    place: Place | None = None
    time: tuple[float, float] | None = None
    """Seconds; entries whose span touches it."""
    room: str = ""
    kind: str = ""
    instance: str = ""
    """Entries that saw this object."""
    k: int = 10
    retired: bool = False
    """Retired entries as well."""

    def checked(self, dim: int) -> Query:
        """The query as it is used. Raises StoreError, naming the field."""
        if self.k < 1:
            raise StoreError(f"query: k is {self.k}; ask for at least one entry")
        if self.time is not None and not self.time[0] <= self.time[1]:
            raise StoreError(f"query: time {self.time} is no span (begin, end) in seconds")
        place = self.place
        if place is not None and (len(place) != 4 or not all(map(math.isfinite, place)) or place[3] < 0):
            raise StoreError(f"query: place {place} is no (x_m, y_m, z_m, radius_m)")
        if self.vector is None:
            return self
        vector = np.ascontiguousarray(self.vector, dtype=np.float32)
        if vector.shape != (dim,) or not np.isfinite(vector).all() or not vector.any():
            raise StoreError(f"query: vector of shape {list(vector.shape)}: [{dim}], finite and not zero, is needed")
        return Query(**{**self.__dict__, "vector": vector})

    def sql(self) -> str:
        """The conditions for the table, as SQL; empty: none."""
        parts = [] if self.retired else ["active"]
        if self.time is not None:
            parts.append(f"t1 >= {self.time[0]!r} AND t0 <= {self.time[1]!r}")
        if self.place is not None:
            x, y, z, radius = map(float, self.place)
            parts.append(
                f"x >= {x - radius!r} AND x <= {x + radius!r} AND y >= {y - radius!r} AND y <= {y + radius!r} "
                f"AND (x - {x!r}) * (x - {x!r}) + (y - {y!r}) * (y - {y!r}) + (z - {z!r}) * (z - {z!r}) "
                f"<= {radius * radius!r}"
            )
        if self.room:
            parts.append(f"room = {quoted(self.room)}")
        if self.kind:
            parts.append(f"kind = {quoted(self.kind)}")
        if self.instance:
            parts.append(f"array_has(instances, {quoted(self.instance)})")
        return " AND ".join(f"({part})" for part in parts)

    def accepts(self, entry: Entry) -> bool:
        """The same conditions, for one entry."""
        return not self.refusal(entry)

    def refusal(self, entry: Entry) -> str:
        """Why the conditions leave the entry out; empty if they do not."""
        if not self.retired and entry.retired:
            return f"it is retired ({entry.retired})"
        if self.time is not None and not (entry.t1 >= self.time[0] and entry.t0 <= self.time[1]):
            return f"its span {entry.t0:g} to {entry.t1:g} s lies outside {self.time[0]:g} to {self.time[1]:g} s"
        if self.place is not None:
            away = distance_m(self.place, entry)
            if not away <= self.place[3]:
                return "it has no pose" if math.isinf(away) else f"it lies {away:.2f} m away, over {self.place[3]:g} m"
        for name, asked, have in (("room", self.room, entry.room), ("kind", self.kind, entry.kind)):
            if asked and asked != have:
                return f"its {name} is '{have}', not '{asked}'"
        if self.instance and self.instance not in entry.instance_ids:
            return f"it did not see '{self.instance}'"
        return ""


@dataclass(frozen=True, eq=False)
class Hit:
    """An entry that was found, without embedding and tokens (`LongTermStore.get` gives those)."""

    entry: Entry
    score: float
    """What the order is by, higher is better: cosine similarity; the share of the query's words; -distance in m; the
    end of the span in s; or, with several rankings, their fused reciprocal ranks."""
    similarity: float | None = None
    """Cosine similarity to the vector."""
    words: tuple[str, ...] = ()
    """The query's words that its caption holds."""
    distance_m: float | None = None
    """To the place's centre."""
    ranks: dict[str, int] = field(default_factory=dict)
    """Its rank, from 1, in each ranking."""

    @property
    def reason(self) -> str:
        """Why it was retrieved, in one line."""
        parts = []
        if self.similarity is not None:
            parts.append(f"similarity {self.similarity:.3f}{_rank(self.ranks, 'vector')}")
        if "text" in self.ranks:
            parts.append(f"caption has {', '.join(self.words)}{_rank(self.ranks, 'text')}")
        if self.distance_m is not None:
            parts.append(f"{self.distance_m:.2f} m away")
        if not parts:
            parts.append(f"meets the conditions{_rank(self.ranks, 'time')}")
        return "; ".join(parts)


def _rank(ranks: dict[str, int], name: str) -> str:
    return f" (rank {ranks[name]})" if name in ranks else ""


def distance_m(place: Place | tuple[float, ...], entry: Entry) -> float:
    """From the entry's pose to the place's centre; infinite without a pose."""
    if entry.pose is None:
        return math.inf
    pose = entry.pose
    return math.dist((pose.x_m, pose.y_m, pose.z_m), place[:3])


def words_of(text: str) -> list[str]:
    """The words that text is found by: lower case, without the commonest, singular."""
    found = re.findall(r"[^\W_]+", text.lower())
    return [_singular(word) for word in found if word not in _STOP]


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        if word.endswith(("ches", "shes", "xes", "sses", "zes")):
            return word[:-2]
        return word[:-1]
    return word


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
