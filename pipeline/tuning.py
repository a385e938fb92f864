"""Tuning: a linear adapter for a space, learned from texts that belong together.

Pairs and triplets are learned from by contrast: each text is to be nearer to its own than to all others of
the batch, and to the negative that it came with (Oord et al. 2018; Henderson et al. 2017). Pairs with scores
are learned from by regression of their cosine. The adapter begins as the identity and is held near it, so
that what the examples say nothing of stays as it was. A part that is held out says whether it is better.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.adapters import Adapter
from pipeline.correlation import spearman
from pipeline.errors import InputError
from pipeline.examples import Examples
from pipeline.ports import Vectors

_TEMPERATURE = 0.05
_HELD_OUT = 0.25  # share of the examples: half of it ends the learning, half measures
_BETA1, _BETA2 = 0.9, 0.999  # of Adam

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors[n, d] of examples."""

    left: Vectors
    right: Vectors
    other: Vectors | None = None
    scores: Floats | None = None  # scaled to 0 to 1, as cosines

    @classmethod
    def of(
        cls,
        examples: Examples,
        queries: Callable[[Sequence[str]], Vectors],
        documents: Callable[[Sequence[str]], Vectors],
    ) -> "Embedded":
        """Embed examples: anchors as queries, the rest as documents; scored texts are documents both."""
        if examples.kind == "scores":
            scores = examples.cosines()
            return cls(documents(examples.left), documents(examples.right), scores=scores)
        other = documents(examples.other) if examples.other else None
        return cls(queries(examples.left), documents(examples.right), other)

    def part(self, places: Indices) -> "Embedded":
        """Some of them."""
        return Embedded(
            self.left[places],
            self.right[places],
            None if self.other is None else self.other[places],
            None if self.scores is None else self.scores[places],
        )


@dataclass(frozen=True, slots=True)
class Course:
    """How an adapter is learned."""

    rounds: int = 60  # at most, through all examples
    batch: int = 128
    rate: float = 2e-3
    hold: float = 0.02  # how strongly it is held near the identity
    patience: int = 8  # rounds without a gain on what is held out, before it ends
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.batch < 2:
            raise InputError(
                f"{self.rounds} rounds in batches of {self.batch} are none; 1 and 2 are the least"
            )
        if not 0 < self.rate < math.inf or not 0 <= self.hold < math.inf:
            raise InputError(
                f"a rate of {self.rate}, held by {self.hold}: the rate is above 0, the hold 0 or more"
            )


@dataclass(frozen=True, slots=True)
class Measured:
    """What was learned, and what it is good for on examples that it was not learned from."""

    kind: str
    learned: int  # examples
    held_out: int  # examples that measured it
    rounds: int
    before: Mapping[str, float]  # of the space itself
    after: Mapping[str, float]

    @property
    def better(self) -> bool:
        """Whether what was learned is better, by the measure that matters most."""
        name = "spearman" if self.kind == "scores" else "mrr"
        return self.after[name] > self.before[name]


@dataclass(frozen=True, slots=True)
class Tuned:
    """An adapter, and what it is good for."""

    adapter: Adapter
    measured: Measured


@dataclass(frozen=True, slots=True)
class Parts:
    """Examples by their places: those that are learned from, that end the learning, that measure."""

    learned: Indices
    watched: Indices
    measured: Indices


def divided(count: int, seed: int) -> Parts:
    """Examples dealt out at random."""
    order = np.random.default_rng(seed).permutation(count)
    held = max(4, round(count * _HELD_OUT))
    return Parts(order[held:], order[held // 2 : held], order[: held // 2])


def tune(kind: str, vectors: Embedded, course: Course | None = None) -> Tuned:
    """Learn an adapter from most of the examples, end where it stops getting better, and measure it."""
    course = course or Course()
    random = np.random.default_rng(course.seed)
    parts = divided(len(vectors.left), course.seed)
    test, watch = vectors.part(parts.measured), vectors.part(parts.watched)
    best = matrix = np.eye(vectors.left.shape[1])
    lead, since, done = _loss(kind, matrix, watch)[0], 0, 0
    step = _Adam(course.rate)
    while done < course.rounds and since < course.patience:
        done += 1
        for places in batches(random.permutation(parts.learned), course.batch):
            _, slope = _loss(kind, matrix, vectors.part(places))
            matrix = matrix - step(slope + course.hold * (matrix - np.eye(len(matrix))))
        loss = _loss(kind, matrix, watch)[0]
        since = 0 if loss < lead else since + 1
        if loss < lead:
            lead, best = loss, matrix
    adapter = Adapter(best.astype(np.float32))
    before, after = measure(kind, test), measure(kind, _turned(test, adapter))
    return Tuned(adapter, Measured(kind, len(parts.learned), len(parts.measured), done, before, after))


def measure(kind: str, vectors: Embedded) -> dict[str, float]:
    """How well vectors tell what belongs together.

    Spearman's rank correlation of scored pairs; else recall@1 and the mean reciprocal rank of the positive
    among all positives, and for triplets how often it is nearer than the negative.
    """
    if kind == "scores":
        likeness = np.einsum("ij,ij->i", vectors.left, vectors.right)
        return {"spearman": spearman(likeness, _wanted(vectors))}
    scores = vectors.left @ vectors.right.T
    own = np.diagonal(scores)[:, None]
    ranks = (scores > own).sum(axis=1) + 1
    found = {"recall@1": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}
    if vectors.other is not None:
        found["accuracy"] = float((own[:, 0] > np.einsum("ij,ij->i", vectors.left, vectors.other)).mean())
    return found


def _turned(vectors: Embedded, adapter: Adapter) -> Embedded:
    other = None if vectors.other is None else adapter(vectors.other)
    return Embedded(adapter(vectors.left), adapter(vectors.right), other, vectors.scores)


def _loss(kind: str, matrix: Floats, vectors: Embedded) -> tuple[float, Floats]:
    """The loss of an adapter, and its slope."""
    left, right = vectors.left.astype(np.float64), vectors.right.astype(np.float64)
    if vectors.other is not None:
        right = np.concatenate([right, vectors.other])
    (u, u_lengths), (v, v_lengths) = _unit(left @ matrix.T), _unit(right @ matrix.T)
    if kind == "scores":
        likeness = (u * v).sum(axis=1)
        apart = likeness - _wanted(vectors)
        loss = float((apart**2).mean())
        slope = 2 * apart[:, None] / len(u)
        du, dv = slope * v, slope * u
    else:
        scores = u @ v.T / _TEMPERATURE
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        chance = powers / powers.sum(axis=1, keepdims=True)
        own = np.arange(len(u))
        loss = float(-np.log(np.maximum(chance[own, own], 1e-30)).mean())
        chance[own, own] -= 1
        slope = chance / (len(u) * _TEMPERATURE)
        du, dv = slope @ v, slope.T @ u
    return loss, _through(u, u_lengths, du).T @ left + _through(v, v_lengths, dv).T @ right


def _unit(vectors: Floats) -> tuple[Floats, Floats]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors / lengths, lengths


def _through(unit: Floats, lengths: Floats, slope: Floats) -> Floats:
    """The slope before vectors were scaled to length 1."""
    found: Floats = (slope - (slope * unit).sum(axis=1, keepdims=True) * unit) / lengths
    return found


class _Adam:
    """Kingma and Ba, "Adam: a method for stochastic optimization" (2015)."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._count = 0
        self._mean: Any = 0.0
        self._spread: Any = 0.0

    def __call__(self, slope: Floats) -> Floats:
        self._count += 1
        self._mean = _BETA1 * self._mean + (1 - _BETA1) * slope
        self._spread = _BETA2 * self._spread + (1 - _BETA2) * slope**2
        mean = self._mean / (1 - _BETA1**self._count)
        spread = self._spread / (1 - _BETA2**self._count)
        found: Floats = self._rate * mean / (np.sqrt(spread) + 1e-8)
        return found


def _wanted(vectors: Embedded) -> Floats:
    if vectors.scores is None:
        raise ValueError("scored pairs have scores")
    return vectors.scores


def batches(order: Indices, size: int) -> Iterator[Indices]:
    """So many at a time, in an order."""
    for at in range(0, len(order), size):
        if len(order) - at >= 2:  # one alone has nothing to be told from
            yield order[at : at + size]
