"""How long near-duplicates of many vectors take to find, in how much memory, and how many are found.

    uv run python -m tests.benchmarks.duplicates [--count N] [--dimensions D] [--threshold COSINE]

The vectors lie around a thousand topics, and a fifth of them are copies of others with cosines from 0.9 to 1.
A process of its own looks for them, and says the most memory it ever had; the recall is that of a sample
which was compared with all vectors.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from pipeline.analysis.duplicates import Wanted, duplicates
from pipeline.analysis.kmeans import unit
from pipeline.analysis.population import Population
from pipeline.space import Space

_TOPICS = 1000
_COPIED = 0.2
_BATCH = 20_000


def main() -> None:
    """Print what was found, and what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_found(given.child, given.dimensions, given.threshold)))
        return
    with tempfile.TemporaryDirectory(prefix="vecmill-benchmark-") as folder:
        uri = str(Path(folder) / "made.lance")
        lance.write_dataset(_made(given.count, given.dimensions), uri, schema=_schema(given.dimensions))
        size = ["--dimensions", str(given.dimensions), "--threshold", str(given.threshold)]
        words = [sys.executable, "-m", "tests.benchmarks.duplicates", "--child", uri, *size]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    print(f"{given.count:,} vectors of {given.dimensions} dimensions, threshold {given.threshold}")
    for name, value in found.items():
        print(f"  {name:<14} {value:,}" if isinstance(value, int) else f"  {name:<14} {value:.4g}")


def _found(uri: str, dimensions: int, threshold: float) -> dict[str, float]:
    dataset = lance.dataset(uri)
    rows = dataset.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    space = Space("made", "topics", dimensions)
    started = time.perf_counter()
    found = duplicates(Population("made", 1, space, dataset, rows), Wanted(threshold, groups=10))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "peak MB": peak,
        "texts": found.texts,
        "pairs": found.pairs,
        "near": found.near,
        "groups": found.groups,
        "cells": found.cells,
        "spread": found.spread,
        "recall": found.recall or 0.0,
        "of so many": found.sampled,
    }


def _schema(dimensions: int) -> pa.Schema:
    strings = [(name, pa.string()) for name in ("chunk_id", "doc_id", "text_hash", "text")]
    return pa.schema([*strings, ("vector", pa.list_(pa.float32(), dimensions))])


def _made(count: int, dimensions: int) -> Iterator[pa.RecordBatch]:
    random = np.random.default_rng(0)
    topics = unit(random.standard_normal((_TOPICS, dimensions), np.float32))
    pool = np.zeros((0, dimensions), np.float32)
    for first in range(0, count, _BATCH):
        size = min(_BATCH, count - first)
        noise = unit(random.standard_normal((size, dimensions), np.float32))
        vectors = unit(topics[random.integers(_TOPICS, size=size)] + noise)
        if len(pool):
            copied = random.random(size) < _COPIED
            near = random.uniform(0.0, 0.48, (int(copied.sum()), 1)).astype(np.float32)
            vectors[copied] = unit(
                pool[random.integers(len(pool), size=int(copied.sum()))] + near * noise[copied]
            )
        pool = np.concatenate([pool, vectors[:500]])
        names = [f"{number:032x}" for number in range(first, first + size)]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions)
        yield pa.record_batch([names, names, names, names, flat], schema=_schema(dimensions))


if __name__ == "__main__":
    main()
