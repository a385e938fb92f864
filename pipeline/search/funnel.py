"""The funnel: a shortlist by little of each vector, ranked again by more of it, and at last by all of it.

The first step goes over the table's sketches, where it has some (`vecmill index --funnel`); rows that came
after these, and tables without any, are compared by their vectors.
"""

import numpy as np

from pipeline.ports import Vectors
from pipeline.search.ask import Step
from pipeline.search.question import NOTHING, Question, Ranked, Scores
from pipeline.search.rank import batches, by_scan, scored, vectors_of
from pipeline.search.where import Rows


def by_funnel(question: Question, count: int) -> Ranked:
    """Rank by steps, each over what the one before has let through.

    Meant for Matryoshka-trained models, whose prefixes are embeddings themselves. Without steps, and
    without sketches to choose them by, whole vectors are compared: they are read in any case.
    """
    if question.vector is None or not count:
        return NOTHING
    steps = question.ask.steps
    if question.sketches is not None:
        rows, steps = question.sketches.shortlist(question, count)
    elif steps:
        rows, steps = _first(question, steps[0], count), steps[1:]
    else:
        return by_scan(question, count)
    for step in steps:
        prefixes = vectors_of(question.dataset, rows)
        rows = Ranked.of(rows, _cosines(prefixes, question.vector, step.dimensions), _kept(step, count)).rows
    rows = np.sort(rows)
    return Ranked.of(rows, scored(question, rows), count)


def _first(question: Question, step: Step, count: int) -> Rows:
    """The shortlist by the beginnings of all vectors."""
    assert question.vector is not None
    best, keep = NOTHING, _kept(step, count)
    for rows, vectors in batches(question.dataset):
        here = Ranked(rows, _cosines(vectors, question.vector, step.dimensions))
        if question.allowed is not None:
            here = here.only(question.allowed)
        joined = np.concatenate([best.rows, here.rows]), np.concatenate([best.scores, here.scores])
        best = Ranked.of(*joined, keep)
    return best.rows


def _kept(step: Step, count: int) -> int:
    return max(step.keep, count)


def _cosines(vectors: Vectors, query: Vectors, width: int) -> Scores:
    """Cosines of the first `width` dimensions, which have a length of their own."""
    prefixes, asked = vectors[:, :width], query[:width]
    lengths = np.linalg.norm(prefixes, axis=1) * np.linalg.norm(asked)
    found = (prefixes @ asked) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.asarray(found, np.float64)
