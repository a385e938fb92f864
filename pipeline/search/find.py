"""Search: one version of a table, the query's vector, and the mode that ranks.

from pipeline.search.find import Searcher
from pipeline.search.ask import Ask

docs = Searcher(Objects("./vecmill-data"), "docs")
docs.find("暗さに目が慣れるまで", Ask(mode="hybrid", top_k=5, where="metadata->>'lang' = 'ja'"))
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.adapters import turned
from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import InputError, Rejected
from pipeline.job import Endpoint
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.search.arrange import Hits, diverse, hits
from pipeline.search.ask import Ask
from pipeline.search.funnel import by_funnel
from pipeline.search.fusion import by_both
from pipeline.search.index import Index, Indexes, is_indexed
from pipeline.search.question import Question, Ranked
from pipeline.search.rank import by_vector, by_words
from pipeline.search.sketches import Sketches, open_sketches
from pipeline.search.where import Rows, rows_where
from pipeline.space import Space
from pipeline.store.table import open_version
from pipeline.store.versions import At, entry_at

_PATIENCE = 20.0  # seconds: a person waits for the answer
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_MODES: dict[str, Callable[[Question, int], Ranked]] = {
    "vector": by_vector,
    "text": by_words,
    "hybrid": by_both,
    "funnel": by_funnel,
}
_CANDIDATES = 5  # times as many as hits, among which diverse ones are chosen
_AT_LEAST = 50

PLAIN = Ask()
_HERE = Endpoint()


class Searcher:
    """One version of a table, opened once for any number of questions."""

    def __init__(
        self,
        store: Objects,
        table: str,
        *,
        endpoint: Endpoint = _HERE,
        space: Space | None = None,
        at: At = None,
    ) -> None:
        """Open the live version, or the one of `at`.

        Questions are embedded in the table's own space; naming another `space` raises InputError.
        """
        self.entry = entry_at(store, table, at)
        self.table = table
        self.store = store
        self.endpoint = endpoint
        self.space = _agreed(table, self.entry.specs()[0], space)

    def find(self, query: str, ask: Ask = PLAIN) -> Hits:
        """The chunks that answer a query, best first.

        Each hit has chunk_id, doc_id, uri, start, end, heading_path, text, score (higher is better); and
        vector_score, text_score and context (text, start, end) where the question asks for them.
        """
        return self.find_all([query], ask)[0]

    def find_all(self, queries: Sequence[str], ask: Ask = PLAIN) -> list[Hits]:
        """The hits of each of many queries; they are embedded in few requests."""
        for query in queries:
            _check(query)
        if not self.entry.chunks:
            return [[] for _ in queries]
        vectors = None if ask.mode == "text" else self.embedded(queries)
        allowed = rows_where(self.dataset, ask.where) if ask.where is not None else None
        return [
            hits(question, self.ranked(question))
            for place, query in enumerate(queries)
            for question in [self.question(query, None if vectors is None else vectors[place], ask, allowed)]
        ]

    def question(self, text: str, vector: Vectors | None, ask: Ask, allowed: Rows | None = None) -> Question:
        """A question to this version, its vector at hand."""
        funnel = self._sketches if ask.mode == "funnel" else None
        effort = self._index.effort(ask.recall) if self._index and not ask.exact else None
        return Question(self.dataset, text, vector, ask, self.entry.chunks, allowed, effort, funnel)

    def ranked(self, question: Question) -> Ranked:
        """The rows that answer a question."""
        count = question.top_k
        rank = _MODES[question.ask.mode]
        if not question.ask.diversity:
            return rank(question, count)
        return diverse(question, rank(question, max(_AT_LEAST, _CANDIDATES * count)), count)

    def embedded(self, queries: Sequence[str]) -> Vectors:
        """The vectors[n, d] of queries, the space's prefix before each."""
        return turned(self.store, self.space, asyncio.run(_embedded(self.space, self.endpoint, queries)))

    @cached_property
    def dataset(self) -> Any:
        """The version's Lance dataset."""
        return open_version(self.store, self.table, self.entry)

    @cached_property
    def _index(self) -> Index | None:
        """The version's index of vectors; None where it has none, or nobody has measured it."""
        known = Indexes(self.store, self.table).of(self.entry.generation)
        return known if known and is_indexed(self.dataset) else None

    @cached_property
    def _sketches(self) -> Sketches | None:
        return open_sketches(self.store, self.table, self.entry.generation, self.dataset)


def search(
    store: Objects,
    table: str,
    query: str,
    *,
    endpoint: Endpoint = _HERE,
    space: Space | None = None,
    at: At = None,
    **wishes: Any,
) -> Hits:
    """Find chunks for one query in the live version of a table, or in the one of `at`.

    `wishes` are the fields of `Ask`. Whoever asks often keeps a `Searcher`.
    """
    ask = Ask(**wishes)
    _check(query)
    return Searcher(store, table, endpoint=endpoint, space=space, at=at).find(query, ask)


def _check(query: str) -> None:
    if not query.strip():
        raise InputError("the query is empty; say what to look for")
    if _LONE_SURROGATE.search(query):  # what a command line makes of bytes that are no UTF-8
        raise InputError("the query is not UTF-8; is the terminal's encoding another one?")


def _agreed(table: str, own: Space, named: Space | None) -> Space:
    """A table's space, its model where `named` says that it lies; raises InputError where that is another."""
    if named is None:
        return own
    if (named.name, named.weights) != (own.name, own.weights):
        raise InputError(
            f"table {table!r} is of the embedding space {_told(own)}, the query asks for {_told(named)}; "
            "vectors of two spaces cannot be compared"
        )
    return replace(own, folder=named.folder)


def _told(space: Space) -> str:
    return f"{space.name} (weights {space.weights})" if space.weights else space.name


async def _embedded(space: Space, endpoint: Endpoint, queries: Sequence[str]) -> Vectors:
    provider = connect(space, endpoint)
    size = provider.limits.batch
    parts = []
    try:
        for first in range(0, len(queries), size):
            texts = [space.query_prefix + query for query in queries[first : first + size]]
            parts.append((await _answered(provider, texts)).vectors)
    except Rejected as error:
        which = "the query" if len(queries) == 1 else "one of the queries"
        raise InputError(f"{which} cannot be embedded: {error}") from error
    finally:
        await provider.close()
    return np.concatenate(parts)


async def _answered(provider: Any, texts: list[str]) -> Any:
    return (await Retrier(_PATIENCE, asyncio.sleep).run(lambda: provider.embed(texts))).answer
