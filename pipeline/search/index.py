"""Indexes of vectors: which kind, how far it is searched, and what share of the true hits that finds.

Recall is measured on the table that is indexed, with questions whose true answers were found by comparing
all vectors; it is stated, never assumed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.search.ask import share
from pipeline.search.question import Effort
from pipeline.search.truth import Truth, sampled, true_neighbours

KINDS = {
    "ivf_rq": "IVF_RQ",
    "ivf_pq": "IVF_PQ",
    "ivf_sq": "IVF_SQ",
    "ivf_flat": "IVF_FLAT",
    "hnsw_sq": "IVF_HNSW_SQ",
    "hnsw_pq": "IVF_HNSW_PQ",
    "hnsw_flat": "IVF_HNSW_FLAT",
}
"""What can be built, by the names that people give."""

WISHES = ("auto", "none", *KINDS)

_NAME = "vector_idx"
_LARGE = 64 * 2**20  # bytes of vectors: fewer are compared within the time that a command takes to start
_REFINES = (5, 20, 80)
_HIGHEST = 0.999  # recall beyond which no further effort is measured
_A_QUANTISER = 8  # dimensions: RaBitQ and product quantisation want a multiple of it


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of an index."""

    kind: str = "auto"  # one of WISHES
    recall: float = 0.95  # of the true hits, among the first `top_k`
    top_k: int = 10

    def __post_init__(self) -> None:
        if self.kind not in WISHES:
            raise InputError(f"there is no index {self.kind!r}; choose one of {', '.join(WISHES)}")
        share(self.recall, "--recall")
        if self.top_k < 1:
            raise InputError(f"--top-k is {self.top_k}; it must be at least 1")

    def chosen(self, rows: int, dimensions: int) -> str:
        """The kind to build; "none" where comparing all vectors is as quick."""
        if self.kind != "auto":
            return self.kind
        if 4 * rows * dimensions < _LARGE:
            return "none"
        return "ivf_rq" if dimensions % _A_QUANTISER == 0 else "ivf_sq"


@dataclass(frozen=True, slots=True)
class Measured:
    """What searching an index so far finds, and how long it takes."""

    probes: int  # partitions
    refine: int  # times as many candidates as hits, compared by their whole vectors
    recall: float
    milliseconds: float  # the median


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a generation's vectors, as it was measured."""

    kind: str
    wish: Wish
    rows: int  # when it was measured
    questions: int
    seconds: float  # that it took to build
    measured: tuple[Measured, ...] = field(default_factory=tuple)  # each finds more than the one before

    def record(self) -> dict[str, Any]:
        """The index as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Index":
        """The index of a record."""
        measured = tuple(Measured(**one) for one in record["measured"])
        return cls(**{**record, "wish": Wish(**record["wish"]), "measured": measured})

    def effort(self, recall: float | None = None) -> Effort | None:
        """How far to search for a wanted recall, or for the one that the index was made for."""
        wanted = self.wish.recall if recall is None else recall
        enough = [one for one in self.measured if one.recall >= wanted]
        if not self.measured or (not enough and recall is not None):
            return None  # all vectors are compared: nothing that was measured finds so many
        best = enough[0] if enough else self.measured[-1]
        return Effort(best.probes, best.refine, best.recall)


class Indexes:
    """What is known of the indexes of a table's generations."""

    def __init__(self, objects: Objects, table: str) -> None:
        self._objects = objects
        self._folder = f"tables/{table}/indexes"

    def of(self, generation: str) -> Index | None:
        """The index of a generation; None where nobody has made or refused one."""
        found = self._objects.get(f"{self._folder}/{generation}.json")
        return Index.of(orjson.loads(found)) if found else None

    def keep(self, generation: str, index: Index) -> None:
        """Remember what was measured."""
        self._objects.put(f"{self._folder}/{generation}.json", orjson.dumps(index.record()))


def is_indexed(dataset: Any) -> bool:
    """Whether a version has an index of its vectors."""
    return any(index.name == _NAME for index in dataset.describe_indices())


def build(dataset: Any, kind: str) -> float:
    """Build an index in place of any other; gives the seconds that it took."""
    start = time.perf_counter()
    if kind == "none":
        if is_indexed(dataset):
            dataset.drop_index(_NAME)
        return 0.0
    dimensions = dataset.schema.field("vector").type.list_size
    options: dict[str, Any] = {"name": _NAME, "metric": "cosine", "replace": True}
    if "pq" in kind:
        if dimensions % _A_QUANTISER:
            raise InputError(f"{kind} wants a multiple of {_A_QUANTISER} dimensions, not {dimensions}")
        options["num_sub_vectors"] = dimensions // _A_QUANTISER
    dataset.create_index("vector", KINDS[kind], **options)
    return time.perf_counter() - start


def measure(dataset: Any, kind: str, wish: Wish, seconds: float, asked: Vectors | None = None) -> Index:
    """Find out what an index finds, and with which effort it finds what is wished for.

    The questions are `asked`[n, d] where there are some, and else the table's own vectors.
    """
    rows = dataset.count_rows()
    queries, own = (asked, None) if asked is not None else sampled(dataset)
    if kind == "none":
        return Index(kind, wish, rows, len(queries), seconds)
    truth = true_neighbours(dataset, queries, own, min(wish.top_k, max(1, rows - (own is not None))))
    measured: list[Measured] = []
    for one in _efforts(dataset, lambda probes, refine: _tried(dataset, truth, probes, refine)):
        if not measured or one.recall > measured[-1].recall:
            measured.append(one)
        if one.recall >= max(wish.recall, _HIGHEST):
            break
    return Index(kind, wish, rows, len(queries), seconds, tuple(measured))


def _efforts(dataset: Any, tried: Callable[[int, int], Measured]) -> Iterator[Measured]:
    """More and more effort: partitions first; where more of these find no more, more candidates."""
    partitions = max(one["num_partitions"] for one in dataset.stats.index_stats(_NAME)["indices"])
    probes, refines = 1, iter(_REFINES)
    refine, before = next(refines), 0.0
    while True:
        found = tried(probes, refine)
        yield found
        last = probes >= partitions
        if last or (found.recall - before < 0.002 and probes > 1):
            refine = next(refines, 0)
            if not refine:
                if last:
                    return
                refine = _REFINES[-1]
                probes = min(partitions, probes * 2)
        else:
            probes = min(partitions, probes * 2)
        before = found.recall


def _tried(dataset: Any, truth: Truth, probes: int, refine: int) -> Measured:
    """Ask all questions with one effort, one after another as people do."""
    shares, times = [], []
    for place, query in enumerate(truth.queries):
        nearest = {
            "column": "vector",
            "q": query,
            "k": truth.top_k + (truth.own is not None),
            "metric": "cosine",
            "nprobes": probes,
            "refine_factor": refine,
        }
        start = time.perf_counter()
        found = dataset.to_table(columns=["_distance"], nearest=nearest, with_row_address=True)
        times.append(time.perf_counter() - start)
        cosines = 1.0 - found["_distance"].to_numpy()
        shares.append(truth.recall(place, found["_rowaddr"].to_numpy(), cosines))
    return Measured(probes, refine, round(float(np.mean(shares)), 4), round(1e3 * float(np.median(times)), 2))
