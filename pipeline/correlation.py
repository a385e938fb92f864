"""Spearman's rank correlation."""

from typing import Any

import numpy as np


def spearman(one: Any, other: Any) -> float:
    """The correlation of two arrays' ranks, -1 to 1; 0 where either has nothing but equal values.

    Equal values share the mean of their ranks.
    """
    first, second = _ranks(one), _ranks(other)
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Any) -> Any:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
