"""The Arrow schemas of what is staged and what is stored."""

import json
from dataclasses import asdict

import pyarrow as pa

from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec

VERSION = "1"

MANIFEST = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
    ]
)

# What the table holds of a document that may have changed; null where it holds nothing.
CHANGES = pa.schema([*MANIFEST, pa.field("known_hash", pa.string()), pa.field("known_uri", pa.string())])

DOCUMENT_IDS = pa.schema([pa.field("doc_id", pa.string(), nullable=False)])

ADDRESSES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("address", pa.uint64(), nullable=False),  # Lance's, of a row
    ]
)

_CHUNK = [
    pa.field("chunk_id", pa.string(), nullable=False),
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("doc_hash", pa.string(), nullable=False),
    pa.field("doc_token", pa.string(), nullable=False),
    pa.field("ordinal", pa.int32(), nullable=False),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("end", pa.int64(), nullable=False),
    pa.field("heading_path", pa.list_(pa.string()), nullable=False),
    pa.field("text", pa.string(), nullable=False),
    pa.field("text_hash", pa.string(), nullable=False),
    pa.field("tokens", pa.int32(), nullable=False),
    pa.field("metadata", pa.string(), nullable=False),
]

TEXTS = pa.schema(
    [
        pa.field("text_hash", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)

# What is ordered by batch: the texts of each of its requests.
LINES = pa.schema(
    [
        pa.field("line", pa.int32(), nullable=False),
        pa.field("text_hash", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),  # of the whole request
        pa.field("text", pa.string(), nullable=False),
    ]
)

STAGED = pa.schema([*_CHUNK, pa.field("prefix", pa.string(), nullable=False)])


def vectors(dimensions: int) -> pa.Schema:
    """Texts' vectors as the spool and the cache hold them: text_hash, vector float32[dimensions]."""
    return pa.schema(
        [
            pa.field("text_hash", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ]
    )


def cache(space: Space) -> pa.Schema:
    """The vectors of a space as the cache holds them: with when each was taken in, and the space itself."""
    fields = [*vectors(space.dimensions), pa.field("added", pa.timestamp("s", tz="UTC"), nullable=False)]
    return pa.schema(fields, metadata={"vecmill.space": json.dumps(asdict(space), ensure_ascii=False)})


# When texts that the cache had already were used, a file for each run.
USES = pa.schema(
    [
        pa.field("text_hash", pa.string(), nullable=False),
        pa.field("used", pa.timestamp("s", tz="UTC"), nullable=False),
    ]
)


def space_of(stored: pa.Schema) -> Space:
    """The space that a schema names."""
    return Space(**json.loads((stored.metadata or {})[b"vecmill.space"]))


def table(space: Space, splitter: SplitterSpec) -> pa.Schema:
    """A generation's schema, carrying the space and the splitter that made it.

    They stand in the creation schema, since changing metadata later is a commit of its own.
    """
    return pa.schema(
        [
            *_CHUNK,
            pa.field("vector", pa.list_(pa.float32(), space.dimensions), nullable=False),
            pa.field("run_id", pa.string(), nullable=False),
            pa.field("embedded_at", pa.timestamp("us", tz="UTC"), nullable=False),
        ],
        metadata={
            "vecmill.schema": VERSION,
            "vecmill.space": json.dumps(asdict(space), ensure_ascii=False),
            "vecmill.splitter": json.dumps(asdict(splitter), ensure_ascii=False),
        },
    )


def specs(stored: pa.Schema) -> tuple[Space, SplitterSpec]:
    """The space and the splitter that a generation's schema names."""
    metadata = {key.decode(): value.decode() for key, value in (stored.metadata or {}).items()}
    return space_of(stored), SplitterSpec(**json.loads(metadata["vecmill.splitter"]))
