"""Embeds questions of a space; each is paid for once, since their vectors go through the cache."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from pipeline import ids, schema
from pipeline.adapters import turned
from pipeline.cache import VectorCache
from pipeline.datasets import Located, as_uuids, set_operations
from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import InputError, Rejected
from pipeline.job import Endpoint
from pipeline.objects import Objects, store_errors
from pipeline.ports import Vectors
from pipeline.space import Space

_ONE_BY_ONE = 10  # questions that are sent alone, to see how long that takes
_PATIENCE = 60.0  # seconds


class Questions:
    """Embeds questions of one space: what the cache has is not paid for again."""

    def __init__(self, store: Objects, space: Space, endpoint: Endpoint, clock: Callable[[], float]) -> None:
        self._store = store
        self._cache = VectorCache(store, space)
        self._space = space
        self._endpoint = endpoint
        self._clock = clock
        self.times: list[float] = []  # milliseconds of each question that was sent alone
        self.tokens = 0

    def of(self, questions: Sequence[str], prefix: str | None = None) -> Vectors:
        """The vectors[n, d] of questions, the space's prefix of queries, or another one, before each."""
        lead = self._space.query_prefix if prefix is None else prefix
        texts = [lead + question for question in questions]
        hashes = pa.array(map(ids.digest, texts), pa.string())
        vectors: Vectors = np.zeros((len(texts), self._space.dimensions), np.float32)
        missing = np.arange(len(texts))
        dataset = self._cache.open()
        if dataset is not None:
            with store_errors(dataset.uri), set_operations() as db:
                db.register("questions", pa.table({"text_hash": as_uuids(hashes)}))
                found, taken = Located(db, "questions", [dataset]).take(hashes)
            vectors[found.to_numpy()] = taken.flatten().to_numpy().reshape(-1, self._space.dimensions)
            missing = np.setdiff1d(missing, found.to_numpy())
        if len(missing):
            vectors[missing] = asyncio.run(self._embedded([texts[place] for place in missing]))
            flat = pa.array(vectors[missing].reshape(-1))
            column = pa.FixedSizeListArray.from_arrays(flat, self._space.dimensions)
            columns = [hashes.take(pa.array(missing)), column]
            self._cache.append(pa.table(columns, schema=schema.vectors(self._space.dimensions)))
        return turned(self._store, self._space, vectors)

    async def _embedded(self, texts: Sequence[str]) -> Vectors:
        provider, parts = connect(self._space, self._endpoint), list[Vectors]()
        try:
            at = 0
            while at < len(texts):
                alone = at < _ONE_BY_ONE
                batch = list(texts[at : at + (1 if alone else provider.limits.batch)])
                began = self._clock()
                answer = (await Retrier(_PATIENCE, asyncio.sleep).run(lambda: provider.embed(batch))).answer  # noqa: B023
                if alone:
                    self.times.append(1000 * (self._clock() - began))
                self.tokens += answer.tokens
                parts.append(answer.vectors)
                at += len(batch)
        except Rejected as error:
            raise InputError(f"a question cannot be embedded: {error}") from error
        finally:
            await provider.close()
        return np.concatenate(parts)
