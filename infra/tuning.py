"""Tuning, put together: the examples' vectors from a table's space, the adapter into its store."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import adapters
from pipeline.asking import Questions
from pipeline.examples import Examples
from pipeline.ports import Vectors
from pipeline.search.find import Searcher
from pipeline.tuning import Course, Embedded, better, tune


def tune_table(
    searcher: Searcher, path: Path, course: Course, *, keep_anyway: bool = False
) -> dict[str, Any]:
    """Learn an adapter for the space of a table from a file of examples, and keep it if it is better.

    What the examples cost is paid once: their vectors go through the cache. Gives what was learned, and the
    name of the new space; None where it was not kept.
    """
    examples = Examples.read(path)
    base = searcher.space.base
    questions = Questions(searcher.store, base, searcher.endpoint, time.monotonic)
    embedded = Embedded.of(
        examples,
        lambda texts: _vectors(questions, texts, base.query_prefix),
        lambda texts: _vectors(questions, texts, base.document_prefix),
    )
    tuned = tune(examples.kind, embedded, course)
    kept = keep_anyway or better(tuned)
    if kept:
        adapters.keep(searcher.store, tuned.adapter)
    space = replace(base, adapter=tuned.adapter.name) if kept else None
    return {"table": searcher.table, **tuned.record(), "space": space.name if space else None}


def _vectors(questions: Questions, texts: Sequence[str], prefix: str) -> Vectors:
    """The vectors of texts, each different one asked for once."""
    different = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(different)}
    found: Vectors = questions.of(different, prefix)[[place[text] for text in texts]]
    return found
