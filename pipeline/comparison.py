"""Compares a generation that is filled beside the live one with it, before anybody switches.

Both are asked the same questions, each in its own space: what they find is put side by side, never their
vectors.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline import prices
from pipeline.analysis.agreement import correlation, documents, overlap
from pipeline.analysis.labelled import Labelled, ndcg
from pipeline.analysis.measures import recall
from pipeline.analysis.questions import drawn
from pipeline.asking import Questions
from pipeline.condition import Condition
from pipeline.errors import GateFailed, InputError
from pipeline.job import Endpoint, Price
from pipeline.objects import Objects
from pipeline.ports import Advance, Progress, silent
from pipeline.search.arrange import Hits, hits
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from pipeline.space import Space
from pipeline.store.generations import size
from pipeline.store.versions import At

_DEPTH = 100  # chunks that are looked for: what documents are ranked by
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What both generations are asked."""

    texts: Sequence[str]
    grades: Sequence[Mapping[str, float]] | None = None  # by text: relevant documents; None: not labelled

    @classmethod
    def of(cls, labelled: Labelled) -> "Asked":
        """The questions of a labelled set."""
        queries = labelled.queries
        return cls(list(queries.values()), [labelled.grades[query] for query in queries])


@dataclass(frozen=True, slots=True)
class Reached:
    """How a generation's space is reached, and what its tokens cost."""

    endpoint: Endpoint
    price: Price | None = None  # in place of the price list's
    space: Space | None = None  # where its model lies by now


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one generation."""

    generation: str
    space: str
    splitter: str
    dimensions: int
    chunks: int
    tokens: int  # of its distinct texts
    bytes: int  # on disk, with its index and the versions that are kept
    cost_usd: float | None  # of embedding all of its texts; None where the price is not known
    search_ms: float  # median of a search by vector
    search_ms_95: float
    embed_ms: float | None  # median of embedding one question; None where all were known
    recall: float | None  # of the relevant documents among the first k; None without labels
    ndcg: float | None  # at 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two generations side by side."""

    table: str
    top_k: int
    questions: int
    overlap: float  # of the first k hits, the mean over the questions
    correlation: float  # of the documents' ranks, likewise
    overlaps: Sequence[float]  # by question
    correlations: Sequence[float]
    live: Side
    next: Side
    cost_usd: float | None  # of embedding the questions

    def record(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return asdict(self)

    def measures(self, side: Side) -> dict[str, float]:
        """What conditions can be made on, by name."""
        found = {
            f"overlap@{self.top_k}": self.overlap,
            "correlation": self.correlation,
            f"recall@{self.top_k}": side.recall,
            "ndcg@10": side.ndcg,
            "search_ms": side.search_ms,
            "embed_ms": side.embed_ms,
            "bytes": side.bytes,
            "chunks": side.chunks,
            "cost_usd": side.cost_usd,
        }
        return {name: float(value) for name, value in found.items() if value is not None}

    def check(self, conditions: Sequence[Condition]) -> None:
        """Raise GateFailed where a condition on the new generation does not hold."""
        new, live = self.measures(self.next), self.measures(self.live)
        failures = [found for one in conditions if (found := one.failure(new, live))]
        if failures:
            raise GateFailed(
                f"generation {self.next.generation} of table {self.table!r} is not switched to: "
                f"{'; '.join(failures)}. It stays beside the live one, and what was paid is kept"
            )


def compare(
    store: Objects,
    table: str,
    at: At,
    reached: tuple[Reached, Reached],
    asked: Asked | None = None,
    *,
    top_k: int = 10,
    sample: int = _SAMPLE,
    progress: Progress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Compare the live generation with the one of `at`; `reached` are their spaces, in this order.

    Without questions, sentences of so many of the table's own chunks are asked. What embedding them costs is
    paid once: they go through the cache. Raises InputError where one of the two holds nothing.
    """
    if top_k < 1 or sample < 1:
        raise InputError(f"--top-k is {top_k} and --sample {sample}; both are at least 1")
    opened = [_opened(store, table, way, where) for way, where in zip(reached, (None, at), strict=True)]
    questions = asked or Asked(drawn(opened[0].dataset, sample))
    if not questions.texts:
        raise InputError("there are no questions to compare by; the file of --queries is empty")
    answered = [
        _answered(store, searcher, way, questions.texts, clock, progress)
        for searcher, way in zip(opened, reached, strict=True)
    ]
    live, new = answered
    overlaps = [overlap(a, b, top_k) for a, b in zip(live.found, new.found, strict=True)]
    correlations = [correlation(a, b, top_k) for a, b in zip(live.ranked, new.ranked, strict=True)]
    both = list(zip(reached, answered, strict=True))
    costs = [prices_of(way, one.searcher.space, one.tokens) for way, one in both]
    sides = [_side(store, table, one, way, questions, top_k) for way, one in both]
    return Comparison(
        table=table,
        top_k=top_k,
        questions=len(questions.texts),
        overlap=fmean(overlaps),
        correlation=fmean(correlations),
        overlaps=overlaps,
        correlations=correlations,
        live=sides[0],
        next=sides[1],
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
    )


def _opened(store: Objects, table: str, way: Reached, at: At) -> Searcher:
    searcher = Searcher(store, table, endpoint=way.endpoint, space=way.space, at=at)
    if not searcher.entry.chunks:
        raise InputError(f"generation {searcher.entry.generation} of table {table!r} holds nothing yet")
    return searcher


def prices_of(way: Reached, space: Space, tokens: int) -> float | None:
    """What tokens cost in a space; None where its price is not known."""
    price = way.price or prices.known(space, {})
    return 0.0 if not tokens else None if price is None else tokens * price.usd / 1e6


@dataclass(frozen=True, slots=True)
class _Answered:
    """What one generation has found."""

    searcher: Searcher
    found: Sequence[Hits]  # by question
    ranked: Sequence[list[str]]  # documents, by question
    search_ms: Sequence[float]
    embed_ms: Sequence[float]
    tokens: int  # that embedding the questions took


def _answered(
    store: Objects,
    searcher: Searcher,
    way: Reached,
    texts: Sequence[str],
    clock: Callable[[], float],
    progress: Progress,
) -> _Answered:
    embedded = Questions(store, searcher.space, way.endpoint, clock)
    vectors = embedded.of(texts)
    ask, found, times = Ask(mode="vector", top_k=_DEPTH), list[Hits](), list[float]()
    searcher.ranked(searcher.question(texts[0], vectors[0], ask))  # what is opened once is no search's time
    for text, vector in zip(texts, vectors, strict=True):
        began = clock()
        question = searcher.question(text, vector, ask)
        found.append(hits(question, searcher.ranked(question)))
        times.append(1000 * (clock() - began))
        progress(Advance(f"ask {searcher.entry.generation}", len(found), len(texts)))
    return _Answered(searcher, found, list(map(documents, found)), times, embedded.times, embedded.tokens)


def _side(store: Objects, table: str, answered: _Answered, way: Reached, asked: Asked, top_k: int) -> Side:
    searcher, entry = answered.searcher, answered.searcher.entry
    texts = searcher.dataset.to_table(columns=["text_hash", "tokens"])
    distinct = texts.group_by("text_hash").aggregate([("tokens", "max")])
    tokens = int(pc.sum(distinct["tokens_max"]).as_py() or 0)
    space, splitter = entry.specs()
    graded = list(zip(answered.ranked, asked.grades, strict=True)) if asked.grades else []
    return Side(
        generation=entry.generation,
        space=space.name,
        splitter=splitter.name,
        dimensions=space.dimensions,
        chunks=entry.chunks,
        tokens=tokens,
        bytes=size(store, table, entry.generation),
        cost_usd=prices_of(way, space, tokens),
        search_ms=round(float(np.median(answered.search_ms)), 3),
        search_ms_95=round(float(np.percentile(answered.search_ms, 95)), 3),
        embed_ms=round(float(np.median(answered.embed_ms)), 3) if answered.embed_ms else None,
        recall=fmean(recall(ranking, grades, top_k) for ranking, grades in graded) if graded else None,
        ndcg=fmean(ndcg(ranking, grades) for ranking, grades in graded) if graded else None,
    )
