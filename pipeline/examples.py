"""Examples to tune by: texts that belong together, as files hold them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.sources.tabular import BadRow, columns_of, read_rows

KINDS = {
    "triplets": ("anchor", "positive", "negative"),
    "scores": ("text_a", "text_b", "score"),
    "pairs": ("anchor", "positive"),
}
"""What a file of examples can hold, by its columns."""

_FEWEST = 20  # examples


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts that belong together."""

    kind: str  # one of KINDS
    left: Sequence[str]  # anchors: queries, where the space tells these from documents
    right: Sequence[str]  # positives
    other: Sequence[str] = ()  # negatives of triplets
    scores: Sequence[float] = ()  # of scored pairs, as the file has them

    @classmethod
    def read(cls, path: Path) -> "Examples":
        """Read Parquet, CSV or JSON lines; the columns say the kind. Raises InputError, saying where."""
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        first = next(iter(read_rows(path, ())), None)
        held = set(columns_of(path) or (first.values if first and not isinstance(first, BadRow) else ()))
        kind = next((kind for kind, columns in KINDS.items() if held.issuperset(columns)), None)
        if kind is None:
            choices = "; ".join(", ".join(columns) for columns in KINDS.values())
            raise InputError(f"{path} has the columns {', '.join(sorted(held))}; it needs one of {choices}")
        rows = list(_rows(path, KINDS[kind]))
        if len(rows) < _FEWEST:
            raise InputError(f"{path} has {len(rows)} examples; it takes {_FEWEST} to learn and to measure")
        left, right, *more = zip(*rows, strict=True)
        if kind == "triplets":
            return cls(kind, left, right, more[0])
        if kind == "scores":
            return cls(kind, left, right, scores=[_number(path, value) for value in more[0]])
        return cls(kind, left, right)

    def cosines(self) -> npt.NDArray[np.float64]:
        """The scores, scaled to 0 to 1. Raises InputError where all are the same."""
        scores = np.asarray(self.scores, np.float64)
        low, high = float(scores.min()), float(scores.max())
        if low == high:
            raise InputError(f"all scores are {low:g}; nothing can be learned from them")
        scaled: npt.NDArray[np.float64] = (scores - low) / (high - low)
        return scaled


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for row in read_rows(path, columns):
        if isinstance(row, BadRow):
            raise InputError(f"{path}: {row.reason}")
        values = tuple("" if row.values.get(name) is None else str(row.values[name]) for name in columns)
        empty = next((name for name, value in zip(columns, values, strict=True) if not value.strip()), None)
        if empty:
            raise InputError(f"{path}: {row.place} has no {empty!r}")
        yield values


def _number(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} has the score {text!r}, which is no number")
    return value
