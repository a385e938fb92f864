"""The sketches of a generation, as the store keeps them: a file of bits for each of its data files.

They are no part of a version: where one is missing, its rows are compared by their vectors, and nothing is
wrong but the time that takes. What steps find which share of the true hits is measured, and kept with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
    steps: tuple[Step, ...]  # by how many bits differ
    vectors: int  # chunks that are left when their bits are weighed, and whose vectors are compared

    def keeping(self, more: float) -> "Ladder":
        """The same steps, so many times as much kept at each."""
        steps = tuple(replace(step, keep=round(step.keep * more)) for step in self.steps)
        return replace(self, steps=steps, vectors=round(self.vectors * more))


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
            Ladder(**{**one, "steps": tuple(Step(**step) for step in one["steps"])})
            for one in record["ladders"]
        )
        return cls(**{**record, "mean": tuple(record["mean"]), "ladders": ladders})

    def ladder(self, recall: float | None, rows: int, count: int) -> Ladder:
        """The steps for a wanted recall; more is kept of a table that has grown, and for more hits."""
        fit = [one for one in self.ladders if recall is None or one.wanted >= recall]
        ladder = fit[0] if fit else self.ladders[-1]
        grown = max(1.0, rows / self.rows) * max(1.0, count / self.top_k)
        return ladder.keeping(grown)


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


class Sketches:
    """The sketches of a version, open for any number of questions."""

    def __init__(self, kept: Kept, plan: Plan, dataset: Any) -> None:
        self.plan = plan
        self._mean = plan.mean_vector()
        self._parts: list[_Part] = []
        self._bare: list[Any] = []  # fragments without a sketch
        self._rows, deleted = 0, False
        for fragment in sorted(dataset.get_fragments(), key=lambda fragment: int(fragment.fragment_id)):
            deleted |= fragment.num_deletions > 0
            bits = kept.read(fragment, words(len(plan.mean)))
            if bits is None:
                self._bare.append(fragment)
            else:
                self._parts.append(_Part(self._rows, np.uint64(fragment.fragment_id) << _UPPER, bits))
                self._rows += len(bits)
        self._present = _present(dataset) if deleted else None

    def shortlist(self, question: Question, count: int) -> tuple[Rows, tuple[Step, ...]]:
        """The rows that the first steps let through, in order, and the steps that are left.

        Of steps that a person names the first one goes over bits, and the others over numbers.
        """
        own = question.ask.steps
        allowed = self._allowed(question)
        if own:
            rows = self.nearest(question.vector, own[:1], allowed, count)
        else:
            ladder = self.plan.ladder(question.ask.recall, question.rows, count)
            rows = self.climbed(question.vector, ladder, allowed, count)
        bare = [_rows_of(fragment, allowed) for fragment in self._bare]
        return np.concatenate([rows, *bare]), own[1:]

    def climbed(self, vector: Any, ladder: Ladder, allowed: Rows | None, count: int) -> Rows:
        """The rows that all steps of a ladder let through."""
        rows = self.nearest(vector, ladder.steps, allowed, count)
        keep = max(count, ladder.vectors)
        if keep >= len(rows):
            return rows
        return np.sort(rows[np.argpartition(-self.weighed(vector, rows), keep - 1)[:keep]])

    def weighed(self, vector: Vectors, rows: Rows) -> Any:
        """How near rows, which are in order, are by their bits, when each weighs what the query has there.

        It tells nearer from farther better than the number of bits that differ, and takes longer: half as
        many vectors have to be fetched (asymmetric distances: Gordo et al. 2014, doi:10.1109/TPAMI.2013.101).
        """
        return self._sketch_of(rows).weighed(vector - self._mean)

    def nearest(self, vector: Any, steps: Sequence[Step], allowed: Rows | None, count: int) -> Rows:
        """The rows whose bits differ least from a query's, by one step after another, in order."""
        query = sketched(vector[None], self._mean)[0]
        rows = self._first(query, steps[0], allowed, max(count, steps[0].keep))
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
        found = np.cumsum(np.bincount(self._counts(query, width), minlength=width * WORD + 1))
        return found[Sketch.of(sketched(near, self._mean)).differing(query, width)]

    def _first(self, query: Words, step: Step, allowed: Rows | None, keep: int) -> Rows:
        """The nearest of all rows, or of those that are allowed."""
        if not self._parts:
            return np.zeros(0, np.uint64)
        counts = self._counts(query, words(step.dimensions))
        if allowed is None:
            return self._rows_at(nearest(counts, keep))
        places = np.concatenate([part.places(allowed) + part.start for part in self._parts])
        return self._rows_at(places[nearest(counts[places], keep)])

    def _counts(self, query: Words, width: int) -> Any:
        """In how many bits each row differs from a query."""
        counts = np.empty(self._rows, np.uint8 if width * WORD < 256 else np.uint16)
        for part in self._parts:
            for start in range(0, len(part.bits), BLOCK):
                block = part.bits.part(start, start + BLOCK)
                at = part.start + start
                counts[at : at + len(block)] = block.differing(query, width)
        return counts

    def _rows_at(self, places: Any) -> Rows:
        """The rows at some places among all that have a sketch; both are in order."""
        bounds = np.searchsorted(places, [part.start for part in self._parts]).tolist()
        rows = [
            part.first + (places[low:high] - part.start).astype(np.uint64)
            for part, low, high in zip(self._parts, bounds, [*bounds[1:], len(places)], strict=True)
        ]
        return np.concatenate(rows)

    def _sketch_of(self, rows: Rows) -> Sketch:
        """All bits of some rows, which are in order."""
        return joined([part.bits.at(part.places(rows)) for part in self._parts])

    def _allowed(self, question: Question) -> Rows | None:
        return self._present if question.allowed is None else question.allowed


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of a fragment."""

    start: int  # how many rows are in the parts before
    first: np.uint64  # its first row
    bits: Sketch

    def places(self, rows: Rows) -> Any:
        """Where those of some rows that are in it lie; rows are in order."""
        low, high = np.searchsorted(rows, [self.first, self.first + np.uint64(len(self.bits))])
        return (rows[low:high] - self.first).astype(np.int64)


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


def _rows_of(fragment: Any, allowed: Rows | None) -> Rows:
    rows = fragment.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    found = Ranked(rows, np.zeros(len(rows)))
    return (found if allowed is None else found.only(allowed)).rows
