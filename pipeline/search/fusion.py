"""Hybrid search: two rankings of the same rows as one."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.search.question import Question, Ranked, Scores
from pipeline.search.rank import by_vector, by_words
from pipeline.search.where import Rows

# Taken from each ranking that is joined, at least: a number of its own, so that the first hits are the
# same however many are asked for.
_CANDIDATES = 100
_CONSTANT = 60  # of reciprocal rank fusion, as its authors have it


@dataclass(frozen=True, slots=True)
class Part:
    """What one ranking gives to the whole."""

    ranked: Ranked
    weight: float

    def shares(self, rows: Rows) -> Scores:
        """What each of these rows, in order, has of it: from 0 for the ranking's last to 1 for its best."""
        shares, scores = np.zeros(len(rows)), self.ranked.scores
        if len(scores):
            spread = scores[0] - scores[-1]
            own = (scores - scores[-1]) / spread if spread > 0 else np.ones(len(scores))
            shares[np.searchsorted(rows, self.ranked.rows)] = own * self.weight
        return shares


def by_both(question: Question, count: int) -> Ranked:
    """Rank by vectors and by words, and join the two as the question says."""
    wider = max(count, _CANDIDATES)
    nearest, worded = by_vector(question, wider), by_words(question, wider)
    rows = np.unique(np.concatenate([nearest.rows, worded.rows]))
    joined = Ranked.of(rows, _joined(question, nearest, worded, rows), count)
    scores = np.full(len(rows), np.nan)
    scores[np.searchsorted(rows, worded.rows)] = worded.scores
    return replace(joined, worded=scores[np.searchsorted(rows, joined.rows)])


def _joined(question: Question, nearest: Ranked, worded: Ranked, rows: Rows) -> Scores:
    how, alpha = question.ask.joins(), question.ask.alpha
    if how == "ranks":
        return _reciprocal(nearest, rows) + _reciprocal(worded, rows)
    if how == "sum":
        share = 0.5 if alpha is None else alpha
        parts = Part(nearest, share), Part(worded, 1.0 - share)
    else:
        parts = by_confidence(nearest, worded)
    return parts[0].shares(rows) + parts[1].shares(rows)


def by_confidence(nearest: Ranked, worded: Ranked) -> tuple[Part, Part]:
    """Weigh each ranking by how sure it is of itself: how far its scores spread, as a share of their mean.

    A ranking that has found what is meant has a few high scores before many low ones; one that has not
    has many alike. That is what Shtok et al., "Predicting Query Performance by Query-Drift Estimation"
    (TOIS 2012), call Normalized Query Commitment. Nothing in it is tuned to any collection.
    """
    sure = _commitment(nearest.scores), _commitment(worded.scores)
    total = sum(sure)
    if not total:
        return Part(nearest, 0.5), Part(worded, 0.5)
    return Part(nearest, sure[0] / total), Part(worded, sure[1] / total)


def _commitment(scores: Scores) -> float:
    mean = abs(float(np.mean(scores))) if len(scores) else 0.0
    return float(np.std(scores)) / mean if mean else 0.0


def _reciprocal(ranked: Ranked, rows: Rows) -> Scores:
    """Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (SIGIR 2009)."""
    shares = np.zeros(len(rows))
    shares[np.searchsorted(rows, ranked.rows)] = 1.0 / (_CONSTANT + 1 + np.arange(len(ranked.rows)))
    return shares
