"""Runs of made-up chunks and vectors as they stand before assemble: for the benchmark of the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.cache import VectorCache
from pipeline.job import Job, SourceSpec
from pipeline.model import DocumentCounts
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.context import Context
from pipeline.stages.diff import ADDRESSES
from pipeline.stages.split import CHUNKS
from tests.pipeline.stages.steps import begin

SHARD = 8192  # chunks, as the split stage stages them
_CHUNKS = 10  # a document
_CHARACTERS = 800  # a chunk, on average
_WORDS = 20_000  # that texts are made of


@dataclass(frozen=True)
class Made:
    """Documents of ten chunks each, whose texts and vectors follow from their number and revision."""

    folder: Path
    chunks: int
    dimensions: int = 256
    table: str = "docs"

    @property
    def store(self) -> str:
        """Where it is kept."""
        return str(self.folder / "store")

    @property
    def documents(self) -> int:
        """How many there are."""
        return self.chunks // _CHUNKS

    def job(self, run_id: str) -> Job:
        """A run over all documents."""
        source = SourceSpec("files", self._home.removeprefix("file://"))
        space = Space("local", "made-up", self.dimensions)
        return Job(run_id, self.store, self.table, source, SplitterSpec(), space)

    def staged(self, run_id: str, documents: np.ndarray, revision: int) -> Context:
        """A run that is to replace documents, after its embed stage: its chunks staged, its vectors paid."""
        context = begin(self.job(run_id))
        staging, cache = context.staging, VectorCache(context.store, context.job.space)
        names = [_name(number) for number in documents.tolist()]
        staging.write_table("touched", pa.table({"doc_id": names}, schema=schema.DOCUMENT_IDS))
        staging.write_table("gone", schema.DOCUMENT_IDS.empty_table())
        staging.write_table(ADDRESSES, schema.ADDRESSES.empty_table())  # until its diff says otherwise
        staging.write_json("chunks", {"rows": len(documents) * _CHUNKS})
        waiting: list[pa.Table] = []
        for shard, rows in enumerate(self._shards(documents, revision)):
            staging.write_table(f"{CHUNKS}/{shard:06d}", rows.drop_columns(["vector"]))
            waiting.append(rows.select(["text_hash", "vector"]))
            if len(waiting) == 8:  # as the sink takes requests in: by 64 MB
                cache.append(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            cache.append(pa.concat_tables(waiting))
        return context

    def manifest(self, changed: np.ndarray, revision: int) -> pa.Table:
        """What the source lists: the documents that have changed have other tokens."""
        revisions = np.zeros(self.documents, dtype=np.int64)
        revisions[changed] = revision
        numbers = range(self.documents)
        columns = {
            "doc_id": list(map(_name, numbers)),
            "uri": [f"{self._home}/{_name(number)}" for number in numbers],
            "token": list(map(_token, numbers, revisions.tolist())),
        }
        return pa.table(columns, schema=schema.MANIFEST)

    def _shards(self, documents: np.ndarray, revision: int) -> Iterator[pa.Table]:
        each = SHARD // _CHUNKS
        for first in range(0, len(documents), each):
            yield self._rows(documents[first : first + each], revision)

    def _rows(self, documents: np.ndarray, revision: int) -> pa.Table:
        numbers = np.repeat(documents, _CHUNKS).tolist()
        count = len(numbers)
        rng = np.random.default_rng([int(documents[0]), len(documents), revision])
        vectors = rng.standard_normal((count, self.dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        hashes = [_hex(rng, count), _hex(rng, len(documents)), _hex(rng, count)]
        begins = rng.integers(0, len(self._text) - 2 * _CHARACTERS, count).tolist()
        sizes = rng.integers(_CHARACTERS // 2, _CHARACTERS * 3 // 2, count).tolist()
        texts = [self._text[start : start + size] for start, size in zip(begins, sizes, strict=True)]
        ordinals = np.tile(np.arange(_CHUNKS), len(documents))
        columns = {
            "chunk_id": hashes[0],
            "doc_id": list(map(_name, numbers)),
            "uri": [f"{self._home}/{_name(number)}" for number in numbers],
            "doc_hash": np.repeat(hashes[1], _CHUNKS).tolist(),
            "doc_token": [_token(number, revision) for number in numbers],
            "ordinal": ordinals,
            "start": ordinals * _CHARACTERS,
            "end": ordinals * _CHARACTERS + np.array(sizes),
            "heading_path": [["Guide", f"Part {ordinal}"] for ordinal in ordinals.tolist()],
            "text": texts,
            "text_hash": hashes[2],
            "tokens": np.array(sizes) // 4,
            "metadata": ["{}"] * count,
            "prefix": [""] * count,
        }
        rows = pa.table(columns).cast(schema.STAGED)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), self.dimensions)
        return rows.append_column("vector", column)

    @cached_property
    def _home(self) -> str:
        """Where the documents would be."""
        docs = self.folder.resolve() / "docs"
        docs.mkdir(parents=True, exist_ok=True)
        return docs.as_uri()

    @cached_property
    def _text(self) -> str:
        """Words in no order, of which all texts are parts."""
        rng = np.random.default_rng(0)
        letters = rng.integers(97, 123, (_WORDS, 8), dtype=np.uint8)
        sizes = rng.integers(2, 9, _WORDS)
        words = [bytes(row[:size]).decode() for row, size in zip(letters, sizes, strict=True)]
        return " ".join(words[place] for place in rng.integers(0, _WORDS, 2_000_000).tolist())


NEW = DocumentCounts(new=1)
"""Counts of a run's documents, which nothing here leans on."""


def _name(number: int) -> str:
    return f"guide/part-{number // 1000:04d}/page-{number:07d}.md"


def _token(number: int, revision: int) -> str:
    return f"{4096 + number % 8192}-{1_790_000_000_000_000_000 + number * 1_000_003 + revision}"


def _hex(rng: np.random.Generator, count: int) -> list[str]:
    digits = rng.bytes(16 * count).hex()
    return [digits[place : place + 32] for place in range(0, 32 * count, 32)]
