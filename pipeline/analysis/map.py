"""A map of a version's chunks: points in two dimensions, groups by colour, to look at and into."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.analysis import kmeans
from pipeline.analysis.clusters import Grouping
from pipeline.analysis.kmeans import Labels
from pipeline.analysis.population import Population
from pipeline.analysis.projection import project
from pipeline.analysis.terms import Terms, terms
from pipeline.errors import InputError
from pipeline.ports import Vectors

_STEPS = 65535  # of a coordinate on the page
_EXCERPT = 240  # characters of a chunk on the page
_NAMED = 3  # terms that name a group
_AREAS = 16  # where nobody says how many
COLOURS = (
    *("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5"),
    *("#9c6b4e", "#9498a0", "#1b7f9e", "#c44536", "#7a9e1b", "#5c3c92", "#e07be0", "#2f6b3a"),
)


@dataclass(frozen=True, slots=True)
class Area:
    """One group on the map."""

    name: str  # its most telling terms
    chunks: int
    x: float  # of its middle, 0 to 1
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class Map:
    """Chunks as points."""

    table: str
    version: int
    space: str
    method: str  # "tsne" or "pca"
    total: int  # chunks of the version; those shown are a sample if there are fewer
    points: Vectors  # [n, 2], 0 to 1
    labels: Labels  # [n] number of each point's area
    areas: tuple[Area, ...]
    doc_ids: Sequence[str]
    texts: Sequence[str]

    @classmethod
    def of(
        cls,
        population: Population,
        *,
        method: str = "auto",
        most: int = 50_000,
        k: int | None = None,
        seed: int = 0,
    ) -> "Map":
        """Lay out up to `most` chunks, drawn at random; raises InputError for a method that is not there."""
        if most < 2:
            raise InputError(f"a map of {most} points is none; take at least 2")
        places = population.sample(most, seed)
        vectors = population.vectors(places)
        labels, _ = kmeans.nearest(vectors, Grouping.of_vectors(vectors, k or _AREAS, seed).centres)
        points, used = project(vectors, method, seed)
        rows = population.take(places, "doc_id", "text")
        words = terms(rows["text"].combine_chunks(), labels)
        areas = tuple(
            _area(label, words[label], points[labels == label]) for label in np.unique(labels).tolist()
        )
        return cls(
            population.table,
            population.version,
            population.space.name,
            used,
            population.count,
            points,
            np.unique(labels, return_inverse=True)[1],
            areas,
            rows["doc_id"].to_pylist(),
            rows["text"].to_pylist(),
        )

    def record(self) -> dict[str, Any]:
        """The map as JSON: areas, and a row a point."""
        rows = zip(self.points.round(5).tolist(), self.labels.tolist(), self.doc_ids, self.texts, strict=True)
        return {
            "table": self.table,
            "version": self.version,
            "space": self.space,
            "method": self.method,
            "chunks": self.total,
            "areas": [{"name": one.name, "chunks": one.chunks, "x": one.x, "y": one.y} for one in self.areas],
            "points": [
                {"x": x, "y": y, "area": label, "doc_id": doc_id, "text": text}
                for (x, y), label, doc_id, text in rows
            ],
        }

    def write_page(self, path: Path) -> None:
        """Write the page; raises InputError where it cannot be written."""
        try:
            path.write_text(self.page(), "utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error

    def page(self) -> str:
        """A page that needs nothing beside itself: to zoom, to hover, to search."""
        names = list(dict.fromkeys(self.doc_ids))
        number = {name: place for place, name in enumerate(names)}
        data = {
            "title": f"{self.table}, version {self.version}",
            "about": f"{len(self.points):,} of {self.total:,} chunks, {self.space}, {self.method}",
            "areas": [
                {"name": one.name, "chunks": one.chunks, "x": one.x, "y": one.y, "colour": one.colour}
                for one in self.areas
            ],
            "points": _packed((self.points * _STEPS).round(), np.uint16),
            "labels": _packed(self.labels, np.uint16),
            "documents": _packed(np.array([number[name] for name in self.doc_ids]), np.uint32),
            "names": names,
            "texts": [text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "") for text in self.texts],
        }
        # "<" is written otherwise, so that no text can end the element that it stands in.
        written = orjson.dumps(_sound(data)).replace(b"<", b"\\u003c").decode()
        return files("pipeline.analysis").joinpath("map.html").read_text("utf-8").replace("{{data}}", written)


def _area(label: int, words: Terms, points: Vectors) -> Area:
    both = [*words.english[:_NAMED], *words.japanese[:_NAMED]]
    x, y = np.median(points, axis=0).tolist()
    return Area(" ".join(both) or f"group {label}", len(points), x, y, COLOURS[label % len(COLOURS)])


def _packed(values: Any, kind: type[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode()


def _sound(data: dict[str, Any]) -> dict[str, Any]:
    """Without lone surrogates, which have no UTF-8."""
    for name in ("names", "texts"):
        data[name] = [text.encode("utf-8", "replace").decode() for text in data[name]]
    return data
