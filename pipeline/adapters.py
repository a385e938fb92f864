"""Linear adapters: matrices that turn a model's vectors into those of a space of their own.

A store keeps them by their hash, under `adapters/`. The cache has the model's own vectors, whatever adapters
there are: none of them costs anything. So what comes from a provider or from the cache is turned, and what a
table of such a space holds is turned already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipeline import ids
from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.space import Space

_NAME = "matrix"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A matrix[d, d]; a vector is multiplied by it, and scaled to length 1."""

    matrix: Vectors

    @property
    def name(self) -> str:
        """Its hash: 12 hexadecimal digits."""
        return ids.digest(
            str(self.matrix.shape), np.ascontiguousarray(self.matrix, np.float32).tobytes().hex()
        )[:12]

    def __call__(self, vectors: Vectors) -> Vectors:
        """Turn vectors[n, d]; those of zeros stay so."""
        turned = vectors @ self.matrix.T
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        scaled: Vectors = (turned / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return scaled


def keep(store: Objects, adapter: Adapter) -> str:
    """Keep an adapter in a store; gives its name."""
    store.put(_path(adapter.name), save({_NAME: np.ascontiguousarray(adapter.matrix, np.float32)}))
    return adapter.name


def adapter_of(store: Objects, space: Space) -> Adapter | None:
    """The adapter of a space; None where it has none. Raises InputError where the store has lost it."""
    if not space.adapter:
        return None
    data = store.get(_path(space.adapter))
    if data is None:
        raise InputError(f"{space.name}: this store has no adapter {space.adapter}; vecmill tune makes one")
    try:
        adapter = Adapter(load(data)[_NAME])
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{store.at(_path(space.adapter))} is damaged: {error}; bring it back") from error
    if adapter.matrix.shape != (space.dimensions, space.dimensions) or adapter.name != space.adapter:
        raise InputError(
            f"{store.at(_path(space.adapter))} is not the adapter of {space.name}; bring it back"
        )
    return adapter


def turned(store: Objects, space: Space, vectors: Vectors) -> Vectors:
    """Vectors of a space, from those of its model."""
    adapter = adapter_of(store, space)
    return vectors if adapter is None else adapter(vectors)


class Turned:
    """A dataset of a model's vectors, read as those of a space with an adapter."""

    def __init__(self, dataset: lance.LanceDataset, adapter: Adapter) -> None:
        self._dataset = dataset
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def _take_rows(self, addresses: Sequence[int], columns: Sequence[str]) -> pa.Table:
        rows = self._dataset._take_rows(addresses, columns=[*columns])
        if "vector" not in columns:
            return rows
        column = rows["vector"].combine_chunks()
        flat = column.flatten().to_numpy().reshape(len(column), -1)
        made = pa.FixedSizeListArray.from_arrays(pa.array(self._adapter(flat).ravel()), flat.shape[1])
        return rows.set_column(rows.schema.get_field_index("vector"), "vector", made)


def as_turned(store: Objects, space: Space, dataset: lance.LanceDataset | None) -> Any:
    """A dataset of a space's cache, its vectors those of the space itself; None for none."""
    adapter = adapter_of(store, space) if dataset is not None else None
    return dataset if dataset is None or adapter is None else Turned(dataset, adapter)


def _path(name: str) -> str:
    return f"adapters/{name}.safetensors"
