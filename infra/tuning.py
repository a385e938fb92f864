"""Tuning, put together: an adapter into a table's store, or a model into a folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import adapters
from pipeline.asking import Questions
from pipeline.errors import InputError
from pipeline.examples import Examples
from pipeline.local_models import identified
from pipeline.ports import Vectors
from pipeline.search.find import Searcher
from pipeline.space import Space
from pipeline.tuning import Course, Embedded, tune


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
    kept = keep_anyway or tuned.measured.better
    if kept:
        adapters.keep(searcher.store, tuned.adapter)
    space = replace(base, adapter=tuned.adapter.name) if kept else None
    told = {"table": searcher.table, "adapter": tuned.adapter.name, **asdict(tuned.measured)}
    return {**told, "space": space.name if space else None}


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a model is to learn, and where it is written."""

    into: Path  # a folder that is not there yet
    loss: str | None = None  # None: the usual one for such examples
    rounds: int | None = None  # None: the usual, of this and the next two
    batch: int | None = None
    rate: float | None = None


def tune_model(
    space: Space,
    path: Path,
    lesson: Lesson,
    told: Callable[[int, float, float], None],
    *,
    keep_anyway: bool = False,
) -> dict[str, Any]:
    """Let a sentence-transformers model learn from a file of examples, and write it if it is better.

    Gives what was learned, and the name of the new space, as `--embedding` takes it; None where nothing was
    written. Raises InputError where the space is another provider's, or the extra is not installed.
    """
    if space.provider != "sentence-transformers":
        raise InputError(
            f"{space.name} is no model of sentence-transformers, which are those that --into tunes; name one "
            "with --model sentence-transformers/FOLDER@DIMENSIONS, or leave --into out for an adapter"
        )
    if lesson.into.exists():
        raise InputError(f"{lesson.into} is there already; name a folder that is not, for the new model")
    known, examples = identified(space), Examples.read(path)
    from pipeline.fine_tuning import USUAL, fine_tune  # torch takes seconds to load

    given = {name: getattr(lesson, name) for name in ("rounds", "batch", "rate")}
    course = replace(USUAL, **{name: value for name, value in given.items() if value is not None})
    tuned = fine_tune(known.base, examples, course, lesson.loss, told)
    kept = keep_anyway or tuned.measured.better
    if kept:
        tuned.write(lesson.into)
    name = Space(space.provider, str(lesson.into), space.dimensions).name if kept else None
    told_of = {"loss": tuned.loss, "losses": asdict(tuned.losses), **asdict(tuned.measured)}
    return {**told_of, "space": name, "cut": known.matryoshka}


def _vectors(questions: Questions, texts: Sequence[str], prefix: str) -> Vectors:
    """The vectors of texts, each different one asked for once."""
    different = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(different)}
    found: Vectors = questions.of(different, prefix)[[place[text] for text in texts]]
    return found
