"""Reads vectors from a Parquet file of somebody else's: what fits goes on, what does not is said."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import ids
from pipeline.errors import InputError
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.store.seed import Batch, Reading

_READ_BYTES = 16 * 2**20
_UNIT = 1e-3  # by which a length may differ from 1 and count as 1
_PRECISION = 1e-6  # of a length in float32
_HASH = re.compile("[0-9a-f]{32}")
_TEXTS, _VECTORS, _IDS = ("text",), ("vector", "embedding", "embeddings"), ("chunk_id", "id", "doc_id")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what; None takes the first of the usual names that the file has."""

    text: str | None = None
    vector: str | None = None
    id: str | None = None


class VectorFile:
    """A Parquet file of texts and their vectors.

    Of one that vecmill has exported the hashes of texts are taken as they stand: they are of what was
    embedded, which can be a chunk's text with its headings in front.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        """Look at a file; raises InputError where it cannot be read, or lacks a column."""
        self.path = path
        with _file_errors(path), pq.ParquetFile(path) as file:
            self._schema = file.schema_arrow
        self._vector = self._column(columns.vector, _VECTORS, "vectors", "--vector")
        ours = self.space is not None and columns.text is None and "text_hash" in self._schema.names
        self._text = "text_hash" if ours else self._column(columns.text, _TEXTS, "texts", "--text")
        self._hashed = ours
        usual = next((name for name in _IDS if name in self._schema.names), None)
        self._id = self._column(columns.id, (), "ids", "--id") if columns.id else usual
        self._check_types()

    @property
    def space(self) -> Space | None:
        """The space that the file says its vectors are of; None where it says none."""
        stated = (self._schema.metadata or {}).get(b"vecmill.space")
        try:
            return None if stated is None else Space(**orjson.loads(stated))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise InputError(f"{self.path} has a damaged vecmill.space in its metadata: {error}") from error

    def read(self, space: Space) -> Reading:
        """Read all rows as vectors of a space; raises InputError where the vectors are of another size."""
        kind = self._schema.field(self._vector).type
        if pa.types.is_fixed_size_list(kind) and kind.list_size != space.dimensions:
            raise InputError(
                f"{self.path}: the vectors in column {self._vector!r} have {kind.list_size} numbers, "
                f"those of {space.name} have {space.dimensions}"
            )
        rows = max(64, _READ_BYTES // (4 * space.dimensions))
        reading = Reading(iter(()))
        reading.batches = self._batches(space, rows, reading)
        return reading

    def _batches(self, space: Space, size: int, reading: Reading) -> Iterator[Batch]:
        wanted = list(dict.fromkeys(name for name in (self._text, self._vector, self._id) if name))
        with _file_errors(self.path), pq.ParquetFile(self.path, pre_buffer=False, buffer_size=2**20) as file:
            for batch in file.iter_batches(batch_size=size, columns=wanted):
                first = reading.rows + 1
                reading.rows += len(batch)
                names = batch[self._id] if self._id else None
                batch_of = partial(_checked, space, first, names, reading)
                hashes = self._hashes(batch[self._text], space)
                yield from batch_of(hashes, batch[self._vector])

    def _hashes(self, texts: pa.Array, space: Space) -> list[str]:
        """The hash of each row's text, or behind a "!" what is wrong with it."""
        found = _as_bytes(texts)
        if self._hashed:
            return [_own_hash(value) for value in found]
        return [_hash_of(value, space.document_prefix) for value in found]

    def _column(self, named: str | None, usual: tuple[str, ...], what: str, option: str) -> str:
        names = self._schema.names
        wanted = [named] if named else [name for name in usual if name in names]
        if not wanted or wanted[0] not in names:
            raise InputError(
                f"{self.path} has no column {named or usual[0]!r} of {what}; it has {', '.join(names)}. "
                f"Name one with {option}"
            )
        if names.count(wanted[0]) > 1:
            raise InputError(f"{self.path} has {names.count(wanted[0])} columns called {wanted[0]!r}")
        return wanted[0]

    def _check_types(self) -> None:
        text, vector = (self._schema.field(name).type for name in (self._text, self._vector))
        if not _holds_text(text):
            raise InputError(f"{self.path}: column {self._text!r} holds {text}, not text")
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(is_one(vector) for is_one in lists) or not pa.types.is_floating(vector.value_type):
            raise InputError(
                f"{self.path}: column {self._vector!r} holds {vector}; vectors are lists of floats"
            )


def _checked(
    space: Space, first: int, names: pa.Array | None, reading: Reading, hashes: list[str], column: pa.Array
) -> Iterator[Batch]:
    """The rows of a batch that are as they should be; the others are counted, and the first told."""

    def fault(row: int, reason: str) -> None:
        name = f" ({names[row].as_py()})" if names is not None and names[row].is_valid else ""
        reading.bad.add(f"row {first + row}{name} {reason}")

    whole = np.zeros(len(column), dtype=bool)
    sizes = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    for row, (hashed, size) in enumerate(zip(hashes, sizes.tolist(), strict=True)):
        if hashed.startswith("!"):
            fault(row, hashed[1:])
        elif size != space.dimensions:
            fault(row, "has no vector" if size < 0 else f"has {size} numbers, not {space.dimensions}")
        else:
            whole[row] = True
    places = np.flatnonzero(whole)
    vectors = _floats(column.filter(pa.array(whole)), space.dimensions)
    scaled, lengths = _fitted(vectors, space)
    right = np.isfinite(scaled).all(axis=1) & (np.isfinite(lengths) & (lengths > 0))
    for place, length in zip(places[~right].tolist(), lengths[~right].tolist(), strict=True):
        fault(place, "has a vector of zeros" if length == 0 else "has numbers that are not finite")
    if space.normalised:
        reading.scaled += int((np.abs(lengths[right] - 1) > _UNIT).sum())
    kept = places[right]
    if len(kept):
        yield Batch(kept + first, [hashes[place] for place in kept.tolist()], scaled[right])


def _floats(column: pa.Array, dimensions: int) -> npt.NDArray[np.float64]:
    """Lists of one size as float64[n, d], NaN where a number is null."""
    flat = pc.list_flatten(column).cast(pa.float64())
    found: npt.NDArray[np.float64] = pc.fill_null(flat, float("nan")).to_numpy(zero_copy_only=False)
    return found.reshape(-1, dimensions)


def _fitted(vectors: npt.NDArray[np.float64], space: Space) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Vectors as their space has them, and the lengths that they had."""
    with np.errstate(all="ignore"):  # what comes of it is looked at
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        if not space.normalised:
            return vectors.astype(np.float32), lengths
        # What has length 1 already, as far as float32 can tell, stays as it is, to the bit.
        by = np.where(np.abs(lengths - 1) < _PRECISION, 1.0, lengths)
        return (vectors / by[:, None]).astype(np.float32), lengths


def _hash_of(value: bytes | None, lead: str) -> str:
    try:
        text = "" if value is None else value.decode()
    except UnicodeDecodeError:
        return "!has a text that is not UTF-8"
    return ids.digest(lead + text) if text.strip() else "!has no text"


def _own_hash(value: bytes | None) -> str:
    found = "" if value is None else value.decode("utf-8", "replace")
    return found if _HASH.fullmatch(found) else "!has a text_hash that is none"


def _as_bytes(texts: pa.Array) -> list[bytes | None]:
    """Texts as they are written: Arrow takes the file's word for their being UTF-8."""
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    found: list[bytes | None] = texts.cast(pa.large_binary()).to_pylist()
    return found


def _holds_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary)
    return any(is_one(kind) for is_one in is_text)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
