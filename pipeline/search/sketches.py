"""The sketches of a generation, as the store keeps them: a file of bits for each of its data files.

They are no part of a version: where one is missing, its rows are compared by their vectors, and nothing is
wrong but the time that takes. What steps find which share of the true hits is measured, and kept with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.objects import Objects
from pipeline.place import is_remote
from pipeline.ports import Vectors
from pipeline.search.ask import Step
from pipeline.search.question import Question, Ranked
from pipeline.search.rank import matrix
from pipeline.search.sketch import BLOCK, WORD, Sketch, Words, joined, nearest, sketched, words
from pipeline.search.where import Rows

_UPPER = np.uint64(32)
_BARE = 20_000  # rows without a sketch: more of them are scanned sooner than fetched one by one


@dataclass(frozen=True, slots=True)
class Ladder:
    """Steps, and what they were measured to find."""

    wanted: float  # the share of the true hits that they were chosen for
    recall: float  # what they find, measured on queries that they were not chosen by
    steps: tuple[Step, ...]  # of bits


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table's sketches are made, and how far each wish for recall has to look."""

    mean: tuple[float, ...]  # of the table's vectors
    rows: int  # that it was measured on
    top_k: int
    queries: int
    ladders: tuple[Ladder, ...]  # by the share they were chosen for

    def mean_vector(self) -> Vectors:
        """The mean, as vectors are compared with it."""
        return np.array(self.mean, np.float32)

    def record(self) -> dict[str, Any]:
        """The plan as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Plan":
        """The plan of a record."""
        ladders = tuple(
            Ladder(one["wanted"], one["recall"], tuple(Step(**step) for step in one["steps"]))
            for one in record["ladders"]
        )
        return cls(**{**record, "mean": tuple(record["mean"]), "ladders": ladders})

    def steps(self, recall: float | None, rows: int, count: int) -> tuple[Step, ...]:
        """The steps for a wanted recall; more is kept of a table that has grown, and for more hits."""
        fit = [one for one in self.ladders if recall is None or one.wanted >= recall]
        ladder = fit[0] if fit else self.ladders[-1]
        grown = max(1.0, rows / self.rows) * max(1.0, count / self.top_k)
        return tuple(Step(step.dimensions, round(step.keep * grown)) for step in ladder.steps)


class Kept:
    """Where the sketches of a generation are."""

    def __init__(self, objects: Objects, table: str, generation: str) -> None:
        self._objects = objects
        self._folder = f"tables/{table}/sketches/{generation}"

    def plan(self) -> Plan | None:
        """The plan; None where there are no sketches."""
        found = self._objects.get(f"{self._folder}/plan.json")
        return Plan.of(orjson.loads(found)) if found else None

    def write_plan(self, plan: Plan) -> None:
        """Keep the plan, from which on the sketches are used."""
        self._objects.put(f"{self._folder}/plan.json", orjson.dumps(plan.record()))

    def write_missing(self, dataset: Any, mean: Vectors) -> int:
        """Make the sketches that a version's data files lack; gives how many rows they hold."""
        made = 0
        known = set(self._objects.paths(self._folder))
        for fragment in dataset.get_fragments():
            path = self._path(_name(fragment))
            if path not in known:
                self._objects.put(path, Sketch.of(_bits(fragment, mean)).tobytes())
                made += fragment.physical_rows
        return made

    def lacking(self, dataset: Any) -> int:
        """How many rows of a version have no sketch."""
        known = set(self._objects.paths(self._folder))
        fragments = (one for one in dataset.get_fragments() if self._path(_name(one)) not in known)
        return sum(fragment.physical_rows for fragment in fragments)

    def remove_but(self, dataset: Any) -> None:
        """Remove the sketches of data files that a version has no more."""
        used = {self._path(_name(fragment)) for fragment in dataset.get_fragments()}
        for path in self._objects.paths(self._folder):
            if path.endswith(".bits") and path not in used:
                self._objects.delete(path)

    def remove(self) -> None:
        """Remove all sketches."""
        for path in sorted(self._objects.paths(self._folder), reverse=True):
            self._objects.delete(path)

    def read(self, fragment: Any, width: int) -> Sketch | None:
        """The sketch of a fragment; None where there is none."""
        path = self._path(_name(fragment))
        if is_remote(self._objects.uri):
            data = self._objects.get(path)
            return None if data is None else _read(np.frombuffer(data, np.uint64), fragment, width)
        file = Path(self._objects.at(path))
        if not file.is_file():
            return None
        # Not as a memory map: what is cut out of one is made anew, at every cut.
        return _read(np.asarray(np.memmap(file, np.uint64, mode="r")), fragment, width)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}.bits"


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows that lie one after another."""

    first: np.uint64  # the first one's address
    bits: Sketch


class Sketches:
    """The sketches of a version, open for any number of questions."""

    def __init__(self, kept: Kept, plan: Plan, dataset: Any) -> None:
        self.plan = plan
        self._mean = plan.mean_vector()
        self._deleted = False
        self._parts: list[tuple[int, Sketch]] = []  # of each fragment: its number, its rows
        self._bare: list[Any] = []  # fragments without a sketch
        for fragment in dataset.get_fragments():
            found = kept.read(fragment, words(len(plan.mean)))
            self._deleted |= fragment.num_deletions > 0
            if found is None:
                self._bare.append(fragment)
            else:
                self._parts.append((fragment.fragment_id, found))
        self._blocks = [
            _Block(_first_of(number) + np.uint64(start), bits.part(start, start + BLOCK))
            for number, bits in self._parts
            for start in range(0, len(bits), BLOCK)
        ]
        self._present = _present(dataset) if self._deleted else None

    def shortlist(self, question: Question, count: int) -> tuple[Rows, tuple[Step, ...]]:
        """The rows that the first steps let through, in order, and the steps that are left.

        Of steps that a person names the first one goes over bits, and the others over numbers.
        """
        own = question.ask.steps
        steps = own[:1] or self.plan.steps(question.ask.recall, question.rows, count)
        rows = self.nearest(question.vector, steps, self._allowed(question), count)
        bare = [_rows_of(fragment, self._allowed(question)) for fragment in self._bare]
        return np.concatenate([rows, *bare]), own[1:]

    def nearest(self, vector: Any, steps: Sequence[Step], allowed: Rows | None, count: int) -> Rows:
        """The rows whose bits differ least from a query's, by one step after another."""
        query = sketched(vector[None], self._mean)[0]
        keep = max(count, steps[0].keep)
        found = [*self._first(query, steps[0], allowed, keep)]
        if not found:
            return np.zeros(0, np.uint64)
        rows: Rows = np.concatenate([rows for rows, _ in found])
        rows = np.sort(rows[nearest(np.concatenate([counts for _, counts in found]), keep)])
        if len(steps) == 1:
            return rows
        left = self._sketch_of(rows)
        for step in steps[1:]:
            counts = left.differing(query, words(step.dimensions))
            places = nearest(counts, max(count, step.keep))
            rows, left = rows[places], left.at(places)
        return rows

    def ranks(self, vector: Vectors, near: Vectors, width: int) -> Any:
        """How many rows differ from a query in no more bits than each of `near` does, by `width` words."""
        query = sketched(vector[None], self._mean)[0]
        most = width * WORD + 1

        def seen(block: _Block) -> Any:
            return np.bincount(block.bits.differing(query, width), minlength=most)

        total = sum(map(seen, self._blocks), np.zeros(most, np.int64))
        return np.cumsum(total)[Sketch.of(sketched(near, self._mean)).differing(query, width)]

    def _first(self, query: Words, step: Step, allowed: Rows | None, keep: int) -> Iterator[Any]:
        """Rows, and how much they differ: the `keep` nearest of all, and some more."""
        width = words(step.dimensions)

        def counted(block: _Block, bound: int | None = None) -> tuple[Rows, Any]:
            counts = block.bits.differing(query, width)
            inside = None
            if allowed is not None:
                inside = _within(allowed, block.first, len(counts))
                counts = counts[inside]
            places = nearest(counts, keep) if bound is None else np.flatnonzero(counts <= bound)
            found = places if inside is None else inside[places]
            return block.first + found.astype(np.uint64), counts[places]

        if not self._blocks:
            return
        rows, counts = counted(self._blocks[0])
        yield rows, counts
        # Whatever differs more than the worst of as many rows as are kept is none of these.
        bound = int(counts.max()) if len(counts) == keep else None
        yield from (counted(block, bound) for block in self._blocks[1:])

    def _sketch_of(self, rows: Rows) -> Sketch:
        """All bits of some rows, which are in order."""
        parts = sorted(self._parts, key=lambda part: part[0])
        return joined([bits.at(_within(rows, _first_of(number), len(bits))) for number, bits in parts])

    def _allowed(self, question: Question) -> Rows | None:
        return self._present if question.allowed is None else question.allowed


def open_sketches(objects: Objects, table: str, generation: str, dataset: Any) -> Sketches | None:
    """A version's sketches; None where its generation has none, or they lack too much of the version."""
    kept = Kept(objects, table, generation)
    plan = kept.plan()
    if plan is None or kept.lacking(dataset) > _BARE:
        return None
    return Sketches(kept, plan, dataset)


def _bits(fragment: Any, mean: Vectors) -> Words:
    """The bits of all rows that a fragment's file holds, [rows, w]; those of deleted rows are nobody's."""
    made = np.zeros((fragment.physical_rows, words(len(mean))), np.uint64)
    for batch in fragment.to_batches(columns=["vector"], with_row_address=True):
        places = batch["_rowaddr"].to_numpy() & np.uint64(0xFFFFFFFF)
        made[places] = sketched(matrix(batch["vector"], len(batch)), mean)
    return made


def _read(data: Words, fragment: Any, width: int) -> Sketch:
    return Sketch.read(data, fragment.physical_rows, width)


def _name(fragment: Any) -> str:
    return str(fragment.data_files()[0].path).removesuffix(".lance")


def _present(dataset: Any) -> Rows:
    rows: Rows = dataset.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    return np.sort(rows)


def _first_of(number: int) -> np.uint64:
    """The address of a fragment's first row."""
    return np.uint64(number) << _UPPER


def _within(allowed: Rows, first: np.uint64, size: int) -> Any:
    """Which of so many rows from a first one are allowed, by their places."""
    low, high = np.searchsorted(allowed, [first, first + np.uint64(size)])
    return (allowed[low:high] - first).astype(np.int64)


def _rows_of(fragment: Any, allowed: Rows | None) -> Rows:
    rows = fragment.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    found = Ranked(rows, np.zeros(len(rows)))
    return (found if allowed is None else found.only(allowed)).rows
