"""Asks a generation, before it is switched to, the questions whose answers its owner knows."""

import time
from collections.abc import Sequence

from pipeline.analysis.agreement import documents
from pipeline.asking import Questions
from pipeline.comparison import Reached
from pipeline.errors import GateFailed
from pipeline.job import Canary
from pipeline.objects import Objects
from pipeline.search.arrange import hits
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from pipeline.store.versions import At


def check_canaries(store: Objects, table: str, at: At, reached: Reached, canaries: Sequence[Canary]) -> None:
    """Raise GateFailed where a canary does not find its documents in the version of `at`."""
    if not canaries:
        return
    searcher = Searcher(store, table, endpoint=reached.endpoint, space=reached.space, at=at)
    texts = [canary.query for canary in canaries]
    vectors = Questions(store, searcher.space, reached.endpoint, time.perf_counter).of(texts)
    for canary, vector in zip(canaries, vectors, strict=True):
        question = searcher.question(canary.query, vector, Ask(mode="vector", top_k=canary.top_k, exact=True))
        found = documents(hits(question, searcher.ranked(question)))
        missing = [doc_id for doc_id in canary.doc_ids if doc_id not in found]
        if missing:
            raise GateFailed(
                f"generation {searcher.entry.generation} of table {table!r} is not switched to: the canary "
                f"{canary.query!r} does not find {', '.join(missing)} among its first {canary.top_k} chunks; "
                f"it finds {', '.join(found[:5]) or 'nothing'}. It stays beside the live one"
            )
