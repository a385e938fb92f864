"""Where the topic of a text changes, told from the vectors of its sentences.

Two ways. By threshold: the cosine distance of what stands before and behind a sentence's end is compared
with the other distances of the text, in the four ways of LangChain's SemanticChunker
(https://github.com/langchain-ai/langchain-experimental, text_splitter.py). By the best segmentation:
"optimal" minimises, over all segmentations that keep to the bound,

    sum over segments of (the squared distances of their vectors to the segment's mean + penalty)

which for vectors of length 1 is to maximise the sum of |sum of vectors|^2 / count - penalty. It is exact,
by dynamic programming, where each segment costs O(d) by prefix sums: Jackson et al., "An algorithm for
optimal partitioning of data on an interval" (2005); Alemi and Ginsparg, "Text segmentation based on
semantic word embeddings" (2015); Arlot, Celisse and Harchaoui, "A kernel multiple change-point algorithm
via model selection" (2019), of which this is the linear kernel. One more segment gains 1 - cosine even
where no topic changes: the penalty is `threshold` times that, the mean over neighbours of the text.

Vectors are taken around the text's mean. What all its sentences share tells nothing of its topics, and
can drown what does: models give all Japanese text much the same direction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors
from pipeline.splitter_spec import SplitterSpec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROWS = 128  # units whose segments are weighed at once


@dataclass(frozen=True, slots=True)
class Units:
    """What is segmented: sentences, or a few of them taken together. n units, one after another."""

    sums: Floats  # [n, d]: of the sentences' vectors, each of length 1 around their mean
    counts: Ints  # [n]: sentences with a vector
    starts: Ints  # [n]: where a unit starts, measured in the bound's own unit
    ends: Ints  # [n]: where it ends
    tokens: Ints  # [n]

    def __len__(self) -> int:
        return len(self.counts)


def centred(vectors: Vectors) -> Floats:
    """Vectors[n, d] as seen from their mean, of length 1; those that are zero, or lie there, are zero."""
    wide = vectors.astype(np.float64)
    there = wide.any(axis=1)
    if there.any():
        wide[there] -= wide[there].mean(axis=0)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    lengths[lengths < 1e-6] = np.inf
    return np.asarray(wide / lengths, np.float64)


def segments(units: Units, spec: SplitterSpec) -> list[int]:
    """The first unit of each segment; no segment exceeds the spec's bound, unless a single unit does."""
    first = np.searchsorted(units.starts, units.ends - spec.bound)
    first = np.minimum(first, np.arange(len(units)))
    tokens = np.concatenate([[0], np.cumsum(units.tokens)])
    if spec.breakpoints == "optimal":
        gains = _alike(units, spec.limit * _chance(units))
        small = float(units.counts.sum() + 1)  # outweighs all that can be gained
    else:
        far = distances(units.sums, spec.buffer)
        breaks = joined(
            np.flatnonzero(beyond(far, spec.breakpoints, spec.limit)) + 1, far, tokens, spec.min_tokens
        )
        first = np.maximum(first, _last_break(breaks, len(units)))
        small = 2.0 * len(units) + 1
        gains = _apart(far, small)
    if spec.min_tokens:
        gains = _filled(gains, tokens, spec.min_tokens, small)
    return _best(first, gains)


def distances(vectors: Floats, buffer: int) -> Floats:
    """How far apart neighbours are: float64[n - 1], cosine distances from 0 to 2.

    Compared are the means of up to `buffer` vectors before and behind. Where one side is zero, which is
    no direction, the distance is 0.
    """
    n = len(vectors)
    sums = _sums(vectors)
    at = np.arange(1, n)
    before = sums[at] - sums[np.maximum(at - buffer, 0)]
    behind = sums[np.minimum(at + buffer, n)] - sums[at]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(behind, axis=1)
    cosines = np.einsum("ij,ij->i", before, behind) / np.where(lengths < 1e-9, 1, lengths)
    return np.asarray(np.where(lengths < 1e-9, 0, 1 - cosines), np.float64)


def beyond(far: Floats, method: str, threshold: float) -> npt.NDArray[np.bool_]:
    """At which of the distances a break is, as LangChain's SemanticChunker has it: bool[n].

    "percentile": above that percentile of the distances; "standard_deviation": so many standard
    deviations above their mean; "interquartile": so many interquartile ranges above their mean;
    "gradient": where the distances' gradient is above that percentile of its own.
    """
    if not len(far):
        return np.zeros(0, np.bool_)
    told = far
    if method == "percentile":
        limit = np.percentile(far, threshold)
    elif method == "standard_deviation":
        limit = far.mean() + threshold * far.std()
    elif method == "interquartile":
        low, high = np.percentile(far, [25, 75])
        limit = far.mean() + threshold * (high - low)
    else:
        told = np.gradient(far) if len(far) > 1 else far
        limit = np.percentile(told, threshold)
    return np.asarray(told > limit, np.bool_)


def joined(breaks: Ints, far: Floats, tokens: Ints, least: int) -> Ints:
    """Breaks without those that make segments of fewer than `least` tokens, which join their nearer side.

    A break is the number of the unit that it stands before; `tokens[n + 1]` are those before each unit.
    """
    kept: list[int] = []
    for at in breaks.tolist():
        if tokens[at] - tokens[kept[-1] if kept else 0] < least:
            if not kept or far[at - 1] <= far[kept[-1] - 1]:
                continue
            kept.pop()
        kept.append(at)
    if kept and tokens[-1] - tokens[kept[-1]] < least:
        kept.pop()
    return np.array(kept, np.int64)


_Gains = Callable[[int, int, int], Floats]
"""What segments are worth: of (low, begin, end), for each last unit from `begin` to `end` a row, and in it
a column for each first unit from `low` to `end`. What lies behind the last unit means nothing."""


def _best(first: Ints, gains: _Gains) -> list[int]:
    """The starts of the segments whose sum of gains is greatest.

    `first[n]` is the first unit of the longest segment that ends with each unit; it never falls.
    """
    n = len(first)
    best, begun = np.zeros(n + 1), np.zeros(n, np.int64)
    for begin in range(0, n, _ROWS):
        end, low = min(begin + _ROWS, n), int(first[begin])
        worth = gains(low, begin, end)
        for last in range(begin, end):
            longest = int(first[last])
            totals = best[longest : last + 1] + worth[last - begin, longest - low : last + 1 - low]
            at = int(totals.argmax())
            best[last + 1], begun[last] = totals[at], longest + at
    starts, last = [], n - 1
    while last >= 0:
        starts.append(int(begun[last]))
        last = starts[-1] - 1
    return starts[::-1]


def _alike(units: Units, penalty: float) -> _Gains:
    """Segments are worth as much as their vectors are alike, less the penalty."""

    def gains(low: int, begin: int, end: int) -> Floats:
        sums, counts = _sums(units.sums[low:end]), np.concatenate([[0], np.cumsum(units.counts[low:end])])
        squares = np.einsum("ij,ij->i", sums, sums)
        rows = slice(begin - low + 1, None)
        found = squares[rows, None] + squares[None, :-1] - 2 * sums[rows] @ sums[:-1].T
        return np.asarray(found / np.maximum(counts[rows, None] - counts[None, :-1], 1) - penalty)

    return gains


def _apart(far: Floats, piece: float) -> _Gains:
    """As few segments as can be, between units as far apart as can be."""
    worth = np.concatenate([[0.0], far]) - piece

    def gains(low: int, begin: int, end: int) -> Floats:
        return np.broadcast_to(worth[low:end], (end - begin, end - low))

    return gains


def _filled(gains: _Gains, tokens: Ints, least: int, small: float) -> _Gains:
    """Segments of fewer than `least` tokens lose what they are worth."""

    def filled(low: int, begin: int, end: int) -> Floats:
        sizes = tokens[begin + 1 : end + 1, None] - tokens[None, low:end]
        return np.asarray(gains(low, begin, end) - small * (sizes < least))

    return filled


def _chance(units: Units) -> float:
    """What one more segment gains where no topic changes: 1 - the mean cosine of neighbours."""
    vectors = units.sums[units.counts > 0]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(lengths < 1e-9, 1, lengths)
    if len(vectors) < 2:
        return 1.0
    return float(1 - np.einsum("ij,ij->i", vectors[1:], vectors[:-1]).mean())


def _last_break(breaks: Ints, n: int) -> Ints:
    """The last break at or before each unit; 0 before the first."""
    found = np.zeros(n, np.int64)
    found[breaks] = breaks
    return np.maximum.accumulate(found)


def _sums(vectors: Floats) -> Floats:
    return np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0)])
