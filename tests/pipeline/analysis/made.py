"""Populations made of vectors at hand, and vectors around topics."""

from collections.abc import Sequence
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.analysis.kmeans import unit
from pipeline.analysis.population import Population
from pipeline.ids import digest
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec


def around(topics: int, each: int, dimensions: int = 32, spread: float = 0.4, seed: int = 0) -> Vectors:
    """Unit vectors around some topics, as many around each."""
    random = np.random.default_rng(seed)
    centres = unit(random.standard_normal((topics, dimensions), np.float32))
    noise = unit(random.standard_normal((topics * each, dimensions), np.float32))
    return unit(np.repeat(centres, each, axis=0) + spread * noise)


def made(
    folder: Path, vectors: Vectors, texts: Sequence[str] | None = None, doc_ids: Sequence[str] | None = None
) -> Population:
    """A population of one chunk a vector, each a document with a text of its own unless others are given."""
    count, dimensions = vectors.shape
    texts = texts or [f"text {number}" for number in range(count)]
    doc_ids = doc_ids or [f"doc-{number}.md" for number in range(count)]
    space = Space("local", "made", dimensions)
    kept = schema.table(space, SplitterSpec())
    columns = {
        "chunk_id": [digest(str(number)) for number in range(count)],
        "doc_id": list(doc_ids),
        "uri": list(doc_ids),
        "text": list(texts),
        "text_hash": [digest(text) for text in texts],
        "tokens": [len(text) for text in texts],
        "metadata": ["{}"] * count,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions),
    }
    fields = pa.schema([kept.field(name) for name in columns])
    uri = str(folder / f"{len(list(folder.iterdir()))}.lance")
    lance.write_dataset(pa.table(columns, schema=fields), uri)
    dataset = lance.dataset(uri)
    rows = dataset.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    return Population("made", 1, space, dataset, rows)
