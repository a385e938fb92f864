"""What is asked of one version of a table, and what comes of it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors
from pipeline.search.ask import Ask, Step
from pipeline.search.where import Rows

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows of a dataset, the best first."""

    rows: Rows
    scores: Scores  # of each row; higher is better
    worded: Scores | None = None  # what each row's words score, where they were joined; NaN: not looked at

    @classmethod
    def of(cls, rows: Rows, scores: Any, count: int) -> "Ranked":
        """The best of rows with these scores; of equals the one that lies first."""
        scores = np.asarray(scores, np.float64)
        if count < len(scores):
            # All that tie with the last one stay, or chance would choose among them.
            bound = -np.partition(-scores, count - 1)[count - 1]
            kept = np.flatnonzero(scores >= bound)
            rows, scores = rows[kept], scores[kept]
        order = np.lexsort((rows, -scores))[:count]
        return cls(rows[order], scores[order])

    def at(self, places: Any) -> "Ranked":
        """Those at some places, in the order of these."""
        worded = None if self.worded is None else self.worded[places]
        return Ranked(self.rows[places], self.scores[places], worded)

    def first(self, count: int) -> "Ranked":
        """The best so many."""
        return self.at(slice(count))

    def only(self, allowed: Rows) -> "Ranked":
        """Those of them that are among `allowed`, which is in order."""
        places = np.searchsorted(allowed, self.rows)
        places[places == len(allowed)] = 0
        kept = allowed[places] == self.rows if len(allowed) else np.zeros(len(self.rows), bool)
        return self.at(kept)


NOTHING = Ranked(np.zeros(0, np.uint64), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Effort:
    """How far an index is searched, and what share of the true hits that finds."""

    probes: int  # partitions
    refine: int  # times as many candidates as hits are compared by their whole vectors
    recall: float | None = None  # measured; None where nobody has


@dataclass(frozen=True, slots=True)
class Question:
    """A question to one version of a table."""

    dataset: Any  # a Lance dataset
    text: str
    vector: Vectors | None  # float32[dimensions] of length 1; None where the mode needs none
    ask: Ask
    rows: int  # of the dataset
    allowed: Rows | None = None  # those that the condition lets through; None: all
    effort: Effort | None = None  # where there is an index of vectors
    sketches: "Shortlists | None" = None  # where the table has some

    @property
    def top_k(self) -> int:
        """How many hits are asked for, and can be."""
        return min(self.ask.top_k, self.rows if self.allowed is None else len(self.allowed))


class Shortlists(Protocol):
    """Finds the rows that a funnel goes on with."""

    def shortlist(self, question: Question, count: int, /) -> tuple[Rows, tuple[Step, ...]]:
        """The rows, and the steps that are left."""
