"""Outliers: the chunks that are furthest from what a reference is about."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.analysis.clusters import Grouping
from pipeline.analysis.population import Population
from pipeline.analysis.queries import QUERIES
from pipeline.errors import InputError


@dataclass(frozen=True, slots=True)
class Outlier:
    """A chunk, and how far away it is."""

    chunk_id: str
    doc_id: str
    uri: str
    distance: float  # cosine distance to the reference's nearest centre
    deviations: float  # standard deviations beyond the reference's mean distance
    text: str


@dataclass(frozen=True, slots=True)
class Outliers:
    """The furthest chunks, and how far the reference's own are."""

    table: str
    version: int
    chunks: int
    mean: float  # distance of the reference's chunks
    deviation: float
    quantile: float
    bound: float  # the distance that this share of the reference's chunks keeps to
    beyond: int  # chunks past that bound
    furthest: tuple[Outlier, ...]
    histogram: tuple[tuple[float, int], ...]  # chunks from each hundredth of a distance on

    def record(self) -> dict[str, Any]:
        """The outliers as JSON."""
        return asdict(self)


def outliers(
    population: Population,
    reference: Population | None = None,
    *,
    k: int = 1,
    quantile: float = 0.99,
    most: int = 20,
) -> Outliers:
    """Find what is furthest from the nearest of a reference's k centres; the reference is itself by default.

    Raises InputError where the two are of different spaces, or a bound makes no sense.
    """
    if not 0 < quantile < 1:
        raise InputError(f"the quantile is {quantile}; it is between 0 and 1")
    if most < 1:
        raise InputError(f"{most} outliers are none; ask for at least 1")
    reference = reference or population
    if reference.space.fingerprint != population.space.fingerprint:
        raise InputError(
            f"the reference is of the space {reference.space.name}, table {population.table!r} of "
            f"{population.space.name}; vectors of two spaces cannot be compared"
        )
    centres = Grouping.of(reference, k).centres.tolist()
    [own] = QUERIES["distances"].rows(reference, centres=centres, quantile=quantile)
    rows = QUERIES["outliers"].rows(population, centres=centres, bound=own["bound"], most=most)
    found = tuple(
        Outlier(
            row["chunk_id"],
            row["doc_id"],
            row["uri"],
            row["distance"],
            (row["distance"] - own["mean"]) / own["deviation"] if own["deviation"] else 0.0,
            row["text"],
        )
        for row in rows
    )
    beyond = rows[0]["beyond"]
    sizes = population.table, population.version, population.count
    histogram = tuple((step / 100, count) for step, count in sorted(rows[0]["hundredths"].items()))
    spread = own["mean"], own["deviation"], quantile, own["bound"]
    return Outliers(*sizes, *spread, beyond, found, histogram)
