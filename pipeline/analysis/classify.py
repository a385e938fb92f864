"""Zero-shot classes: each chunk gets the category whose description its vector is nearest to.

On a Matryoshka space this can be a cascade: the vector's first dimensions decide where they are sure of it,
and only what is left is compared by more of them. How sure is sure enough is learned on a labelled sample.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.kmeans import Labels, unit
from pipeline.analysis.population import Population
from pipeline.errors import InputError
from pipeline.ports import Vectors

TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a cascade: what is at least so sure is decided by so many dimensions."""

    dimensions: int  # of the vector's beginning, scaled to length 1
    margin: float  # by which the likelier class leads the next one; 0 decides all that is left


@dataclass(frozen=True, slots=True)
class Classes:
    """Categories as vectors, and how chunks are dealt out among them."""

    names: tuple[str, ...]
    vectors: Vectors  # [c, d] of the categories' descriptions
    temperature: float = TEMPERATURE  # the lower, the surer
    cascade: tuple[Stage, ...] = ()  # none: all dimensions at once

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise InputError(
                f"the categories are {', '.join(self.names)}; at least two, each of another name"
            )
        if not 0 < self.temperature < math.inf:
            raise InputError(f"the temperature is {self.temperature}; it is above 0")

    def probabilities(self, vectors: Vectors, dimensions: int | None = None) -> Vectors:
        """The probability[n, c] of each class, by all dimensions or the first ones."""
        likeness = _cut(vectors, dimensions) @ _cut(self.vectors, dimensions).T / self.temperature
        powers = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        found: Vectors = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return found

    def decide(self, vectors: Vectors) -> tuple[Labels, Vectors, Labels]:
        """The class of each vector, its probability, and the dimensions that decided it."""
        count, full = len(vectors), vectors.shape[1]
        label, sure = np.zeros(count, np.int64), np.zeros(count, np.float32)
        used = np.zeros(count, np.int64)
        left = np.arange(count)
        for stage in self.cascade or (Stage(full, 0.0),):
            found = self.probabilities(vectors[left], stage.dimensions)
            decided = (margins(found) >= stage.margin) | (stage.dimensions >= full)
            mine = left[decided]
            label[mine] = found[decided].argmax(axis=1)
            sure[mine] = found[decided].max(axis=1)
            used[mine] = stage.dimensions
            left = left[~decided]
        return label, sure, used


@dataclass(frozen=True, slots=True)
class Learned:
    """A cascade, and what it came to on the half of a labelled sample that it was not learned on."""

    cascade: tuple[Stage, ...]
    accuracy: float
    accuracy_full: float  # of all dimensions
    dimensions: float  # compared, on average
    examples: int  # that it is measured on

    def record(self) -> dict[str, Any]:
        """The cascade as JSON."""
        return asdict(self)


def learn(classes: Classes, vectors: Vectors, labels: Labels, steps: Sequence[int], seed: int = 0) -> Learned:
    """Learn how sure each step has to be, so that no accuracy is lost to comparing all dimensions.

    One half of the sample teaches, the other measures. Raises InputError for steps that are no cascade.
    """
    full = vectors.shape[1]
    if list(steps) != sorted(set(steps)) or not steps or steps[0] < 1 or steps[-1] >= full:
        raise InputError(
            f"the steps are {list(steps)}; they grow, and are below the space's {full} dimensions"
        )
    if len(labels) < 2:
        raise InputError(f"a cascade is learned on a labelled sample, not on {len(labels)} examples")
    order = np.random.default_rng(seed).permutation(len(labels))
    teach, measure = order[::2], order[1::2]
    right = classes.probabilities(vectors).argmax(axis=1) == labels
    stages, left = [], teach
    for step in steps:
        found = classes.probabilities(vectors[left], step)
        margin = _sure_enough(margins(found), found.argmax(axis=1) == labels[left], right[left])
        stages.append(Stage(step, margin))
        left = left[margins(found) < margin]
    cascade = (*stages, Stage(full, 0.0))
    dealt = Classes(classes.names, classes.vectors, classes.temperature, cascade)
    decided, _, _ = dealt.decide(vectors[measure])
    return Learned(
        cascade,
        float((decided == labels[measure]).mean()),
        float(right[measure].mean()),
        _compared(dealt.decide(vectors[measure])[2], cascade),
        len(measure),
    )


def margins(probabilities: Vectors) -> Vectors:
    """By how much the likeliest class leads the next one."""
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    lead: Vectors = top[:, 1] - top[:, 0]
    return lead


def classify(population: Population, classes: Classes, *, by_document: bool = False) -> dict[str, Any]:
    """Deal a population out: how many are in each class, and a row for each chunk, or each document.

    A document's probabilities are the mean of its chunks'.
    """
    parts = [classes.decide(vectors) for vectors in population.batches()]
    label, sure, used = (np.concatenate(part) for part in zip(*parts, strict=True))
    names = population.columns("chunk_id", "doc_id")
    rows = (
        _by_document(population, classes, names["doc_id"])
        if by_document
        else [
            {"chunk_id": chunk, "doc_id": doc, "label": classes.names[one], "probability": p}
            for chunk, doc, one, p in zip(
                names["chunk_id"].to_pylist(),
                names["doc_id"].to_pylist(),
                label.tolist(),
                sure.tolist(),
                strict=True,
            )
        ]
    )
    counts: Mapping[str, int] = {name: sum(row["label"] == name for row in rows) for name in classes.names}
    dimensions = _compared(used, classes.cascade) if classes.cascade else float(population.space.dimensions)
    return {
        "table": population.table,
        "version": population.version,
        "temperature": classes.temperature,
        "classes": counts,
        "dimensions": dimensions,
        "rows": rows,
    }


def _by_document(population: Population, classes: Classes, doc_ids: Any) -> list[dict[str, Any]]:
    column = doc_ids.combine_chunks().dictionary_encode()
    of = column.indices.to_numpy()
    sums: npt.NDArray[np.float64] = np.zeros((len(column.dictionary), len(classes.names)))
    at = 0
    for vectors in population.batches():
        np.add.at(sums, of[at : at + len(vectors)], classes.probabilities(vectors))
        at += len(vectors)
    means = sums / np.bincount(of)[:, None]
    return [
        {"doc_id": name, "label": classes.names[int(row.argmax())], "probability": float(row.max())}
        for name, row in zip(column.dictionary.to_pylist(), means, strict=True)
    ]


def _cut(vectors: Vectors, dimensions: int | None) -> Vectors:
    if dimensions is None or dimensions >= vectors.shape[1]:
        return vectors
    return unit(vectors[:, :dimensions])


def _sure_enough(lead: Vectors, right: Any, right_in_full: Any) -> float:
    """The least margin from which a step is right at least as often as all dimensions; 2 if there is none."""
    order = np.argsort(-lead, kind="stable")
    gained = np.cumsum(right[order].astype(int) - right_in_full[order].astype(int))
    good = np.flatnonzero(gained >= 0)
    # What is as sure as the last one that is taken is taken too.
    whole = [at for at in good if at + 1 == len(order) or lead[order[at + 1]] < lead[order[at]]]
    return float(lead[order[whole[-1]]]) if whole else 2.0


def _compared(used: Labels, cascade: Sequence[Stage]) -> float:
    """Dimensions compared on average: a later stage compares on top of those before it."""
    total = {stage.dimensions: sum(s.dimensions for s in cascade[: n + 1]) for n, stage in enumerate(cascade)}
    return float(np.mean([total[one] for one in used.tolist()]))
