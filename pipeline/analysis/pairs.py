"""Sentence pairs that people have graded, and how well cosines of a space agree with them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.analysis.labelled import graded_rows
from pipeline.correlation import spearman
from pipeline.errors import InputError
from pipeline.ports import Vectors

_FEWEST = 4
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of sentences, and how alike people find them."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]  # on any scale

    @classmethod
    def read(cls, file: Path) -> "Pairs":
        """Read a file of `sentence1, sentence2, score`; raises InputError for what cannot be used."""
        rows = list(graded_rows(file, ("sentence1", "sentence2", "score")))
        if len(rows) < _FEWEST:
            raise InputError(f"{file} has {len(rows)} pairs; a correlation wants {_FEWEST} at least")
        columns = zip(*((row["sentence1"], row["sentence2"], score) for row, score in rows), strict=True)
        first, second, scores = columns
        if len(set(scores)) == 1:
            raise InputError(f"{file} gives every pair the score {scores[0]:g}; nothing can agree with that")
        return cls(first, second, scores)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well cosines agree with people."""

    pairs: int
    spearman: float  # between -1 and 1
    low: float  # of the correlation, with a confidence of 95 %
    high: float
    accuracy: float  # of telling alike from unlike, on pairs that did not choose the threshold
    threshold: float  # the cosine from which on a pair is called alike

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def agreement(
    pairs: Pairs, embed: Callable[[Sequence[str]], Vectors], threshold: float | None = None
) -> Agreement:
    """Compare the cosines of pairs with their scores.

    A pair is alike from the middle of the scale on. Without a `threshold` every other pair chooses it.
    """
    cosines = np.einsum("ij,ij->i", embed(pairs.first), embed(pairs.second)).astype(np.float64)
    scores = np.array(pairs.scores)
    correlation = spearman(cosines, scores)
    # Fisher's transformation, with Fieller, Hartley and Pearson's variance for ranks (1957).
    near, margin = math.atanh(min(0.999999, max(-0.999999, correlation))), _NORMAL * math.sqrt(1.06)
    margin /= math.sqrt(max(1, len(scores) - 3))
    alike = scores >= (scores.min() + scores.max()) / 2
    chosen = _threshold(cosines[::2], alike[::2]) if threshold is None else threshold
    told = slice(1, None, 2) if threshold is None else slice(None)
    right = float(np.mean((cosines[told] >= chosen) == alike[told]))
    low, high = math.tanh(near - margin), math.tanh(near + margin)
    return Agreement(
        len(scores), *(round(value, 4) for value in (correlation, low, high, right, float(chosen)))
    )


def _threshold(cosines: Any, alike: Any) -> float:
    """The cosine that tells most pairs right: the middle between two neighbours."""
    order = np.argsort(cosines)
    values, truth = cosines[order], alike[order]
    unlike_below = np.concatenate([[0], np.cumsum(~truth)])
    alike_above = np.concatenate([[0], np.cumsum(truth[::-1])])[::-1]
    place = int(np.argmax(unlike_below + alike_above))
    if place in (0, len(values)):
        return float(values[0] if place == 0 else values[-1] + 1e-6)
    return float((values[place - 1] + values[place]) / 2)
