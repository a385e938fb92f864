"""Drift: whether what was embedded later is of the same kind as what was embedded before.

Two versions, or two windows of time, are compared as distributions of vectors (`energy`). Of two versions,
what is new in the later one is compared with the earlier one by itself as well: in a large table a few
hundred chunks of another kind would go unseen. And where one text has other vectors than before, another
model answers behind the same name.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.analysis import kmeans
from pipeline.analysis.clusters import Grouping
from pipeline.analysis.energy import Sample, energy_test
from pipeline.analysis.kmeans import Labels
from pipeline.analysis.population import Population
from pipeline.analysis.terms import Terms, terms
from pipeline.errors import InputError
from pipeline.ports import Vectors

_CHUNKS = 2500  # a sample
_OF_A_DOCUMENT = 10  # chunks a sample has of one document, at most
_FEWEST = 10  # documents: of fewer nothing can be told
_PAIRS = 1000  # texts of both, whose vectors are compared
_ALIKE = 0.99  # cosine of one text embedded twice: providers answer within 1e-3 of it


@dataclass(frozen=True, slots=True)
class Alarm:
    """When a difference is an alarm: both have to be met."""

    p: float = 0.001  # at or below which a difference is no chance
    effect: float = 0.01  # at or above which it matters; 0 is the same, 1 has nothing in common

    def __post_init__(self) -> None:
        for name in ("p", "effect"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"the alarm's {name} is {getattr(self, name)}; it is between 0 and 1")


@dataclass(frozen=True, slots=True)
class Share:
    """One group of chunks, and how much of either side it is."""

    before: float
    after: float
    p: float  # how often chance makes a difference as large in any group
    terms: Terms


@dataclass(frozen=True, slots=True)
class Difference:
    """How two sets of chunks differ."""

    chunks_before: int
    chunks_after: int
    documents_before: int
    documents_after: int
    centroid_shift: float  # cosine distance between the mean vectors
    distance_before: float  # mean cosine distance to the mean vector of before
    distance_after: float  # of the chunks after to the same
    effect: float | None  # None of too few documents to tell
    p: float | None
    shares: tuple[Share, ...]  # where the shares differ most, first


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs between before and after, and whether that is an alarm."""

    table: str
    before: str
    after: str
    whole: Difference
    new: Difference | None  # what only the later version has against the earlier one; None if nothing is new
    same_texts: int  # of both sides, compared
    same_texts_cosine: float | None  # mean, of their vectors
    reasons: tuple[str, ...]  # for an alarm; none where there is none

    @property
    def alarm(self) -> bool:
        """Whether there is reason for an alarm."""
        return bool(self.reasons)

    def record(self) -> dict[str, Any]:
        """The drift as JSON."""
        return {**asdict(self), "alarm": self.alarm}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison."""

    name: str  # as people call it
    population: Population


def drift(
    before: Side, after: Side, *, alarm: Alarm | None = None, k: int | None = None, seed: int = 0
) -> Drift:
    """Compare two sides of one table; raises InputError where their spaces differ."""
    alarm = alarm or Alarm()
    one, other = before.population, after.population
    if one.space.fingerprint != other.space.fingerprint:
        raise InputError(
            f"{before.name} of table {one.table!r} is of the space {one.space.name}, {after.name} of "
            f"{other.space.name}; vectors of two spaces cannot be compared"
        )
    earlier, later = _Chunks.of(one), _Chunks.of(other)
    fresh = later.without(earlier)
    whole = _difference(earlier, later, k, seed)
    new = _difference(earlier, fresh, k, seed) if 0 < len(fresh.places) < len(later.places) else None
    pairs, cosine = _same_texts(earlier, later, seed)
    reasons = [
        f"{what} {difference.effect:.3f} from {before.name} (p {difference.p:.4f})"
        for what, difference in (
            (f"{after.name} differs by", whole),
            (f"what is new in {after.name} differs by", new),
        )
        if difference and _is_alarm(difference, alarm)
    ]
    if cosine is not None and cosine < _ALIKE:
        reasons.append(f"the same texts have other vectors (mean cosine {cosine:.3f}): is it another model?")
    return Drift(one.table, before.name, after.name, whole, new, pairs, cosine, tuple(reasons))


def _is_alarm(difference: Difference, alarm: Alarm) -> bool:
    if difference.p is None or difference.effect is None:
        return False
    return difference.p <= alarm.p and difference.effect >= alarm.effect


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Some chunks of a population, by their places."""

    population: Population
    places: Labels
    hashes: pa.Array  # text_hash of each
    documents: Labels  # number of each chunk's document

    @classmethod
    def of(cls, population: Population) -> "_Chunks":
        rows = population.columns("doc_id", "text_hash")
        documents = rows["doc_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        return cls(population, np.arange(len(rows)), rows["text_hash"].combine_chunks(), documents)

    def without(self, others: "_Chunks") -> "_Chunks":
        """Those whose texts the others do not have."""
        chosen = ~pc.is_in(self.hashes, value_set=others.hashes).to_numpy(zero_copy_only=False)
        return _Chunks(
            self.population, self.places[chosen], self.hashes.filter(pa.array(chosen)), self.documents[chosen]
        )

    def drawn(self, seed: int) -> tuple[Sample, pa.Array]:
        """Documents drawn at random, with up to a few chunks of each, and the chunks' texts."""
        random = np.random.default_rng(seed)
        mixed = random.permutation(len(self.places))
        turn = random.permutation(int(self.documents.max(initial=0)) + 1)  # in which documents are drawn
        order = mixed[np.argsort(turn[self.documents[mixed]], kind="stable")]
        documents = self.documents[order]
        starts = np.flatnonzero(np.diff(documents, prepend=-1))
        nth = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
        chosen = np.sort(order[nth < _OF_A_DOCUMENT][:_CHUNKS])
        rows = self.population.take(self.places[chosen], "text")
        numbers = np.unique(self.documents[chosen], return_inverse=True)[1]
        return Sample(self.population.vectors(self.places[chosen]), numbers), rows["text"].combine_chunks()


def _difference(before: _Chunks, after: _Chunks, k: int | None, seed: int) -> Difference:
    one, one_texts = before.drawn(seed)
    other, other_texts = after.drawn(seed + 1)
    both = np.concatenate([one.vectors, other.vectors])
    # Groups are found among both sides, so that what is new can have one of its own.
    grouping = Grouping.of_vectors(both, k, seed)
    labels, _ = kmeans.nearest(both, grouping.centres)
    enough = min(one.count, other.count) >= _FEWEST
    test = energy_test(one, other, labels, seed=seed) if enough else None
    centre, later = _mean(one.vectors), _mean(other.vectors)
    words = terms(pa.concat_arrays([one_texts, other_texts]), labels)
    shares = [
        Share(
            float((labels[: len(one.vectors)] == label).mean()),
            float((labels[len(one.vectors) :] == label).mean()),
            test.shares_p[label] if test else 1.0,
            words.get(label, Terms()),
        )
        for label in np.unique(labels).tolist()
    ]
    return Difference(
        len(before.places),
        len(after.places),
        len(np.unique(before.documents)),
        len(np.unique(after.documents)),
        float(1 - centre @ later),
        float(1 - (one.vectors @ centre).mean()),
        float(1 - (other.vectors @ centre).mean()),
        test.effect if test else None,
        test.p if test else None,
        tuple(sorted(shares, key=lambda share: -abs(share.after - share.before))),
    )


def _mean(vectors: Vectors) -> Vectors:
    centre: Vectors = kmeans.unit(vectors.mean(axis=0, keepdims=True))[0]
    return centre


def _same_texts(before: _Chunks, after: _Chunks, seed: int) -> tuple[int, float | None]:
    """How many texts of both sides were compared, and the mean cosine of their two vectors."""
    places = pc.index_in(after.hashes, value_set=before.hashes)
    shared = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
    if not len(shared):
        return 0, None
    shared = np.sort(np.random.default_rng(seed).permutation(shared)[:_PAIRS])
    earlier = before.places[places.take(pa.array(shared)).to_numpy()]
    one = before.population.vectors(earlier)
    other = after.population.vectors(after.places[shared])
    return len(shared), float(np.einsum("ij,ij->i", one, other).mean())
