"""Connected components of a graph whose edges come in any number, a batch at a time."""

import numpy as np

from pipeline.analysis.kmeans import Labels

_FOLDED = 1_000_000  # edges that are kept before they are folded into the components


class Components:
    """Joins nodes 0 to n-1 by edges; holds 8 bytes a node, and up to a million edges."""

    def __init__(self, count: int) -> None:
        self._root = np.arange(count)
        self._ones: list[Labels] = []
        self._others: list[Labels] = []
        self._waiting = 0

    def join(self, ones: Labels, others: Labels) -> None:
        """Take in edges."""
        self._ones.append(ones)
        self._others.append(others)
        self._waiting += len(ones)
        if self._waiting >= _FOLDED:
            self._fold()

    def roots(self) -> Labels:
        """The least node of each node's component."""
        self._fold()
        return self._root

    def _fold(self) -> None:
        if not self._waiting:
            return
        ones, others = np.concatenate(self._ones), np.concatenate(self._others)
        self._ones, self._others, self._waiting = [], [], 0
        while True:
            a, b = self._root[ones], self._root[others]
            apart = a != b
            if not apart.any():
                return
            ones, others, a, b = ones[apart], others[apart], a[apart], b[apart]
            np.minimum.at(self._root, np.maximum(a, b), np.minimum(a, b))
            while True:  # until every node points at a root
                higher = self._root[self._root]
                if np.array_equal(higher, self._root):
                    break
                self._root = higher
