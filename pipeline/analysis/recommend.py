"""Recommendations: documents like a text, like an item, or like what somebody has read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.analysis.kmeans import unit
from pipeline.analysis.population import Population
from pipeline.analysis.queries import QUERIES
from pipeline.errors import InputError
from pipeline.ports import Vectors


def recommend(
    population: Population,
    texts: Mapping[str, Vectors],
    items: Sequence[str] = (),
    seen: Sequence[str] = (),
    most: int = 10,
) -> list[dict[str, Any]]:
    """The documents nearest to any of the texts (their vectors[d]) and items (doc_ids), best first.

    Items, and what was seen, are left out. Each row has doc_id, uri, score (cosine of its best chunk),
    because (the text or item that it is like), chunk_id and text. Raises InputError for an item that the
    table does not have.
    """
    if most < 1:
        raise InputError(f"{most} recommendations are none; ask for at least 1")
    profiles = {**texts, **_profiles(population, items)}
    if not profiles:
        raise InputError("say what to recommend by: a text, or the doc_ids of items")
    vectors = [vector.tolist() for vector in profiles.values()]
    rows = QUERIES["recommend"].rows(population, profiles=vectors, seen=[*items, *seen, ""], most=most)
    names = list(profiles)
    return [
        {name: names[row["profile"]] if name == "because" else row[name] for name in _SHOWN} for row in rows
    ]


_SHOWN = ("doc_id", "uri", "score", "because", "chunk_id", "text")


def _profiles(population: Population, items: Sequence[str]) -> dict[str, Vectors]:
    """The mean vector of each item's chunks."""
    if not items:
        return {}
    doc_ids = population.columns("doc_id")["doc_id"].to_numpy()
    found = {}
    for item in items:
        places = np.flatnonzero(doc_ids == item)
        if not len(places):
            raise InputError(f"table {population.table!r} has no document {item!r} to recommend by")
        found[item] = unit(population.vectors(places).mean(axis=0, keepdims=True))[0]
    return found
