"""How to search: all that a person may choose, but the question."""

import math
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError

MODES = ("vector", "text", "hybrid", "funnel")

METRICS = ("cosine", "dot", "l2", "l1")
"""How vectors are compared. They have length 1, so that the first three rank alike; l1 ranks its own way."""

FUSIONS = ("confidence", "sum", "ranks")
"""How `hybrid` joins its rankings: by how sure each is, by a fixed weight, or by ranks alone."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a funnel: how far it looks, and how many chunks it lets through."""

    dimensions: int  # of the vector's beginning, scaled to length 1
    keep: int  # chunks

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.keep < 1:
            raise InputError(
                f"a step of {self.dimensions} dimensions that keeps {self.keep} is none; both are at least 1"
            )

    @classmethod
    def parse(cls, text: str) -> tuple["Step", ...]:
        """Read `64:2000,256:200`: dimensions and chunks that are kept, of each step."""
        try:
            pairs = [tuple(map(int, step.split(":"))) for step in text.split(",")]
            return tuple(cls(dimensions, keep) for dimensions, keep in pairs)
        except ValueError:
            raise InputError(
                f"{text!r} are no steps of a funnel; write dimensions and how many chunks to keep, "
                "such as 64:2000,256:200"
            ) from None


@dataclass(frozen=True, slots=True)
class Ask:
    """How to search; raises InputError for what makes no sense."""

    mode: str = "vector"  # one of MODES
    top_k: int = 10
    where: str | None = None  # SQL over the table's columns, such as metadata->>'lang' = 'ja'
    metric: str = "cosine"  # one of METRICS
    exact: bool = False  # compare with every vector, whatever index there is
    recall: float | None = None  # share of the true hits to find; None: what the index was made for
    fusion: str | None = None  # one of FUSIONS; None: "sum" where there is an alpha, else "confidence"
    alpha: float | None = None  # the vector's share in "sum", the text has the rest; None: a half
    steps: tuple[Step, ...] = ()  # of the funnel; none: chosen for the wanted recall
    diversity: float = 0.0  # 0: by score alone; 1: whatever is least like the hits before
    neighbours: int = 0  # chunks before and after each hit whose text is joined to it

    def __post_init__(self) -> None:
        _check_named("search mode", self.mode, MODES)
        _check_named("metric", self.metric, METRICS)
        if self.top_k < 1:
            raise InputError(f"--top-k is {self.top_k}; it must be at least 1")
        if self.neighbours < 0:
            raise InputError(f"--neighbours is {self.neighbours}; it must be at least 0")
        for name in ("recall", "alpha", "diversity"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"--{name} is {value}; it is between 0 and 1")
        if self.metric != "cosine" and self.mode != "vector":
            raise InputError(f"--metric is for --mode vector; {self.mode} compares by cosine")
        if self.steps and self.mode != "funnel":
            raise InputError("--steps are a funnel's; add --mode funnel")
        self._check_fusion()

    def _check_fusion(self) -> None:
        if (self.fusion or self.alpha is not None) and self.mode != "hybrid":
            raise InputError("--fusion and --alpha join two rankings; they go with --mode hybrid")
        fusion = self.fusion or ("confidence" if self.alpha is None else "sum")
        _check_named("fusion", fusion, FUSIONS)
        if self.alpha is not None and fusion != "sum":
            raise InputError(f"--alpha weighs the sum; --fusion {fusion} finds its own weights")

    def joins(self) -> str:
        """How the two rankings of `hybrid` are joined."""
        return self.fusion or ("confidence" if self.alpha is None else "sum")


def wished(**wishes: Any) -> Ask:
    """How to search, from what a person has said; None stands for nothing said."""
    return Ask(**{name: value for name, value in wishes.items() if value is not None})


def share(value: float, name: str) -> float:
    """A wanted recall, checked."""
    if not math.isfinite(value) or not 0 < value <= 1:
        raise InputError(f"{name} is {value}; it is a share above 0, at most 1")
    return value


def _check_named(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"there is no {what} {name!r}; choose one of {', '.join(known)}")
