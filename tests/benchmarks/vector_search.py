"""Funnel and index against exact search, on vectors that lie as real ones do (tests.benchmarks.vectors).

    uv run python -m tests.benchmarks.vector_search [--rows 50000] [--index ivf_rq]

A million rows of 1536 dimensions take 13 GB of disk, 9 GB of memory and half an hour. The table is a table of
vecmill's, and funnel and index are asked as people ask them, but for the embedding of the query. The exact
searches are numpy's over a matrix in memory, its multiplication on all cores, and Lance's over its files.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from infra.settings import be_quiet
from pipeline import ids, schema
from pipeline.objects import Objects
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from pipeline.search.index import Wish
from pipeline.search.indexing import index_table
from pipeline.search.question import Ranked
from pipeline.search.truth import Truth, nearest_of
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log
from pipeline.store.table import ensure_generation, generation_name
from tests.benchmarks.vectors import Corpus, Matrix
from tests.support import OPENAI

_QUERIES = 200
_FLAT = 5  # queries to Lance without an index: each takes long
_TABLE = "docs"


def main() -> None:
    """Fill a table, measure it, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=1536)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--index", default="ivf_rq", help="or none")
    options = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="vecmill-search-") as store:
        corpus = Corpus.like_real(options.dimensions)
        vectors = _filled(store, corpus, options.rows)
        queries = corpus.matrix(_QUERIES, seed=2)
        print(f"{len(vectors):,} x {options.dimensions}, {_QUERIES} queries that are no rows", flush=True)
        truth = nearest_of(_parts(vectors), queries, None, 10)
        _measure(store, vectors, truth, Wish(options.index, options.recall))


def _measure(store: str, vectors: Matrix, truth: Truth, wish: Wish) -> None:
    start = time.perf_counter()
    made = index_table(Objects(store), _TABLE, wish, sketches=True)
    took = time.perf_counter() - start
    print(f"index and sketches built and measured in {took:.0f} s; the index alone in {made['seconds']} s")
    print(f"told: index recall {made['recall']}, effort {made['probes']} partitions x {made['refine']}")
    print(f"told: funnel {made['funnel']}", flush=True)
    searcher = Searcher(Objects(store), _TABLE)

    def asked(ask: Ask) -> Callable[[Any], Ranked]:
        return lambda query: searcher.ranked(searcher.question("", query, ask))

    share = wish.recall
    ways: dict[str, Callable[[Any], Ranked]] = {
        "exact, numpy in memory": lambda query: _exact(vectors, query),
        "funnel": asked(Ask(mode="funnel", recall=share)),
        f"index {made['kind']}": asked(Ask(recall=share)),
        "exact, Lance on disk": asked(Ask(exact=True)),
    }
    _show(truth, ways)
    _show_many(vectors, truth.queries, ways["funnel"])


def _show(truth: Truth, ways: dict[str, Callable[[Any], Ranked]]) -> None:
    """Every way on every query, by turns; medians, and recall of the true ten."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for place, query in enumerate(truth.queries):
        for name, way in ways.items():
            if "Lance" in name and place >= _FLAT:
                continue
            start = time.perf_counter()
            found = way(query)
            times[name].append(time.perf_counter() - start)
            shares[name].append(truth.recall(place, found.rows, found.scores))
    memory, disk = (statistics.median(times[name]) for name in ways if name.startswith("exact"))
    print(f"{'':<24}{'recall@10':>10}{'ms':>10}{'numpy / it':>12}{'Lance / it':>12}")
    for name in ways:
        median = statistics.median(times[name])
        recall = statistics.fmean(shares[name])
        print(f"{name:<24}{recall:>10.4f}{1e3 * median:>10.1f}{memory / median:>12.1f}{disk / median:>12.1f}")


def _show_many(vectors: Matrix, queries: Matrix, funnel: Callable[[Any], Ranked]) -> None:
    """Where it does not pay: many queries at once share one reading of memory."""
    for count in (1, 10, 100):
        some = queries[:count]
        start = time.perf_counter()
        nearest_of(_parts(vectors), some, None, 10)
        together = time.perf_counter() - start
        start = time.perf_counter()
        for query in some:
            funnel(query)
        alone = time.perf_counter() - start
        print(
            f"{count:>4} queries: exact at once {together:.2f} s, funnel one by one {alone:.2f} s", flush=True
        )


def _exact(vectors: Matrix, query: Any) -> Ranked:
    cosines = vectors @ query
    best = np.argpartition(-cosines, 9)[:10]
    return Ranked.of(best.astype(np.uint64), cosines[best], 10)


def _parts(vectors: Matrix) -> Iterator[tuple[Any, Matrix]]:
    for first in range(0, len(vectors), 50_000):
        part = vectors[first : first + 50_000]
        yield np.arange(first, first + len(part), dtype=np.uint64), part


def _filled(store: str, corpus: Corpus, count: int) -> Matrix:
    """A table with so many chunks; gives their vectors, too."""
    dimensions = len(corpus.mean)
    space, splitter = replace(OPENAI, dimensions=dimensions), SplitterSpec()
    objects = Objects(store, create=True)
    name = generation_name(1, space, splitter)
    uri = ensure_generation(objects, _TABLE, name, space, splitter)
    told = schema.table(space, splitter)
    vectors = np.empty((count, dimensions), np.float32)

    def blocks() -> Iterator[pa.RecordBatch]:
        first = 0
        for block in corpus.drawn(count, seed=1):
            vectors[first : first + len(block)] = block
            yield _rows(told, first, block)
            first += len(block)

    reader = pa.RecordBatchReader.from_batches(told, blocks())
    made = lance.write_dataset(reader, uri, mode="append", max_rows_per_file=100_000)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = Entry(
        1, "ingest", name, made.version, ids.new_run_id(), now, count, asdict(space), asdict(splitter)
    )
    Log(objects, _TABLE).append(entry)
    return vectors


def _rows(told: pa.Schema, first: int, block: Matrix) -> pa.RecordBatch:
    names = [str(number) for number in range(first, first + len(block))]
    flat = pa.array(block.ravel())
    made: dict[str, Sequence[Any] | pa.Array] = {
        field.name: names if field.type == pa.string() else [0] * len(block) for field in told
    }
    made |= {
        "heading_path": [[]] * len(block),
        "embedded_at": [datetime.now(UTC)] * len(block),
        "vector": pa.FixedSizeListArray.from_arrays(flat, block.shape[1]),
    }
    return pa.RecordBatch.from_arrays(
        [
            values if isinstance(values, pa.Array) else pa.array(values, told.field(name).type)
            for name, values in made.items()
        ],
        schema=told,
    )


if __name__ == "__main__":
    main()
