"""Batches of texts that are about equally long, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.intp]


def by_length(lengths: Sequence[int], most: int) -> Iterator[Places]:
    """Where the texts of each batch are: the longest text's tokens times the texts are `most` at most.

    A text with more stands alone. The longest come first, so that what is worked on last is short.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    first = 0
    while first < len(order):
        count = max(1, most // max(1, lengths[order[first]]))
        yield order[first : first + count]
        first += count


def padded(
    rows: Sequence[Sequence[int]], padding: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of token ids as one array int64[rows, longest], and a mask of 1 where a token is."""
    tokens = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    mask = np.zeros_like(tokens)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return tokens, mask
