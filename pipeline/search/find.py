"""One search: the version, the query's vector, and the mode that ranks."""

import asyncio
import re
from dataclasses import replace

from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import InputError, Rejected
from pipeline.model import Endpoint, Space
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.search.modes import MODES, Hits, Question
from pipeline.store.table import open_version
from pipeline.store.versions import At, entry_at

_PATIENCE = 20.0  # seconds: a person waits for the answer
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def search(
    store: Objects,
    table: str,
    query: str,
    *,
    endpoint: Endpoint,
    space: Space | None = None,
    mode: str = "vector",
    top_k: int = 10,
    where: str | None = None,
    at: At = None,
) -> Hits:
    """Find chunks for a query in the live version of a table, or in the one of `at`.

    The query is embedded in the table's own space; naming another `space` raises InputError. Each
    hit has chunk_id, doc_id, uri, start, end, heading_path, text, score (higher is better), and
    vector_score and text_score where the mode has them.
    """
    if mode not in MODES:
        raise InputError(f"there is no search mode {mode!r}; choose one of {', '.join(MODES)}")
    if not query.strip():
        raise InputError("the query is empty; say what to look for")
    if _LONE_SURROGATE.search(query):  # what a command line makes of bytes that are no UTF-8
        raise InputError("the query is not UTF-8; is the terminal's encoding another one?")
    if top_k < 1:
        raise InputError(f"--top-k is {top_k}; it must be at least 1")
    entry = entry_at(store, table, at)
    own, _ = entry.specs()
    if space is not None:
        if (space.name, space.weights) != (own.name, own.weights):
            raise InputError(
                f"table {table!r} is of the embedding space {_told(own)}, the query asks for {_told(space)}; "
                "vectors of two spaces cannot be compared"
            )
        own = replace(own, folder=space.folder)
    if not entry.chunks:
        return []
    vector = None if mode == "text" else asyncio.run(_embedded(own, endpoint, query))
    dataset = open_version(store, table, entry)
    return MODES[mode](Question(dataset, query, vector, min(top_k, entry.chunks), where))


def _told(space: Space) -> str:
    return f"{space.name} (weights {space.weights})" if space.weights else space.name


async def _embedded(space: Space, endpoint: Endpoint, query: str) -> Vectors:
    provider = connect(space, endpoint)
    try:
        attempted = await Retrier(_PATIENCE, asyncio.sleep).run(
            lambda: provider.embed([space.query_prefix + query])
        )
    except Rejected as error:
        raise InputError(f"the query cannot be embedded: {error}") from error
    finally:
        await provider.close()
    vector: Vectors = attempted.answer.vectors[0]
    return vector
