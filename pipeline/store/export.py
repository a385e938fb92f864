"""A version as one file, for other tools: Parquet, DuckDB or Arrow IPC, written batch by batch.

The file says which embedding space and which splitter made it. It is written aside and renamed, so that
it is whole wherever it is there.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import lance
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.cache import VectorCache
from pipeline.errors import InputError
from pipeline.objects import Objects, store_errors
from pipeline.ports import Advance, Progress, silent
from pipeline.processes import is_alive
from pipeline.space import Space
from pipeline.store.log import Entry
from pipeline.store.table import open_version

CHUNKS = "chunks"
"""The table of a DuckDB file that holds the chunks; what is said of them is in `vecmill`: key, value."""

Batches = Iterator[pa.RecordBatch]

_BATCH = 16 * 2**20  # bytes, roughly
_TEXT = 2048  # bytes a row without its vector, roughly
_MEMORY = "300MB"  # that DuckDB may use
_DICTIONARIES = ["doc_id", "uri", "doc_hash", "doc_token", "metadata", "run_id"]  # columns that repeat


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    table: str
    version: int
    file: str
    format: str
    chunks: int
    bytes: int

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def export(
    objects: Objects,
    table: str,
    entry: Entry,
    file: Path,
    kind: str | None = None,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Write a version into a file, in the format `kind` or in the one that its suffix names.

    Raises InputError where the file is there already, unless forced, or cannot be; StoreRefused where
    there is no room for it.
    """
    kind = _checked(file, kind, force=force)
    dataset = open_version(objects, table, entry)
    told = _described(dataset.schema, table, entry)
    size = _write(file, kind, told, _batches(dataset, told, entry.chunks, progress), force=force)
    return Exported(table, entry.version, str(file), kind, entry.chunks, size)


@dataclass(frozen=True, slots=True)
class ExportedCache:
    """What was written of a cache."""

    space: str
    file: str
    format: str
    vectors: int
    bytes: int

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def export_cache(
    objects: Objects,
    space: Space,
    file: Path,
    kind: str | None = None,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> ExportedCache:
    """Write all vectors of a space that were paid for into a file, as `export` does; an import takes them in.

    Raises InputError where there are none.
    """
    kind = _checked(file, kind, force=force)
    dataset = VectorCache(objects, space).open()
    if dataset is None:
        raise InputError(f"the cache has no vectors of {space.name}; vecmill cache lists what it has")
    told = schema.vectors(space.dimensions).with_metadata(schema.cache(replace(space, folder="")).metadata)
    count = dataset.count_rows()
    size = _write(file, kind, told, _batches(dataset, told, count, progress), force=force)
    return ExportedCache(space.name, str(file), kind, count, size)


def _checked(file: Path, kind: str | None, *, force: bool) -> str:
    """The format to write a file in."""
    kind = kind or format_of(file)
    if kind not in _WRITERS:
        raise InputError(f"there is no format {kind!r}; choose one of {', '.join(_WRITERS)}")
    _check(file, force=force)
    return kind


def _write(file: Path, kind: str, told: pa.Schema, rows: Batches, *, force: bool) -> int:
    """Write rows; gives the file's bytes."""
    with store_errors(str(file)), _aside(file, force=force) as aside:
        _WRITERS[kind](aside, told, rows)
        return aside.stat().st_size


def format_of(file: Path) -> str:
    """The format that a file's suffix names; raises InputError where it names none."""
    kind = file.suffix.lower().removeprefix(".")
    if kind not in _WRITERS:
        raise InputError(
            f"{file} does not tell its format: let it end in {', '.join(f'.{one}' for one in _WRITERS)}, "
            "or say --format"
        )
    return kind


def _described(stored: pa.Schema, table: str, entry: Entry) -> pa.Schema:
    """A generation's schema, with what tells where the rows come from."""
    space, splitter = entry.specs()
    # Where a model lies on this machine is nobody else's business.
    made = schema.table(replace(space, folder=""), splitter).metadata
    own = {"table": table, "version": str(entry.version), "published_at": entry.published_at}
    return stored.with_metadata({**made, **{f"vecmill.{name}": value for name, value in own.items()}})


def _batches(dataset: lance.LanceDataset, told: pa.Schema, total: int, progress: Progress) -> Batches:
    dimensions = told.field("vector").type.list_size
    rows = max(64, _BATCH // (4 * dimensions + _TEXT))
    done = 0
    with store_errors(dataset.uri):
        scanner = dataset.scanner(told.names, batch_size=rows, batch_readahead=2, fragment_readahead=1)
        for batch in scanner.to_batches():
            yield pa.RecordBatch.from_arrays(batch.columns, schema=told)
            done += len(batch)
            progress(Advance("export", done, total))


def _parquet(path: Path, told: pa.Schema, rows: Batches) -> None:
    options = {"compression": "zstd", "use_dictionary": _DICTIONARIES}
    with pq.ParquetWriter(path, told, **options) as writer:
        for batch in rows:
            writer.write_batch(batch)


def _arrow(path: Path, told: pa.Schema, rows: Batches) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, told) as writer:
        for batch in rows:
            writer.write_batch(batch)


def _duckdb(path: Path, told: pa.Schema, rows: Batches) -> None:
    facts = [{"key": key.decode(), "value": value.decode()} for key, value in told.metadata.items()]
    with tempfile.TemporaryDirectory(prefix="vecmill-export-") as spill:
        config: dict[str, str | bool | int | float | list[str]]
        config = {"memory_limit": _MEMORY, "temp_directory": spill}
        try:
            with duckdb.connect(str(path), config=config) as db:
                db.from_arrow(told.empty_table()).create(CHUNKS)
                db.begin()
                for batch in rows:  # DuckDB would read a stream in threads of its own
                    db.from_arrow(pa.table(batch)).insert_into(CHUNKS)
                db.from_arrow(pa.Table.from_pylist(facts)).create("vecmill")
                db.commit()
        except duckdb.Error as error:
            raise OSError(str(error)) from error


_WRITERS: dict[str, Callable[[Path, pa.Schema, Batches], None]] = {
    "parquet": _parquet,
    "duckdb": _duckdb,
    "arrow": _arrow,
}


def _check(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise InputError(f"{file} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}; make it, or name another file")
    if file.exists() and not force:
        raise InputError(f"{file} is there already; say --force to write over it, or name another file")


@contextmanager
def _aside(file: Path, *, force: bool) -> Iterator[Path]:
    """A path beside a file, which takes the file's place once all is written, and goes if that fails.

    What killed exports to the same file have left goes, too.
    """
    mine = f".{file.name}.{socket.gethostname()}-"
    for left in file.parent.iterdir():
        number = left.name.removeprefix(mine).partition(".")[0]
        if left.name.startswith(mine) and number.isdigit() and not is_alive(int(number)):
            left.unlink(missing_ok=True)
    aside = file.with_name(f"{mine}{os.getpid()}.part")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        _check(file, force=force)  # again: it took a while
        aside.replace(file)
    finally:
        for left in (aside, aside.with_name(f"{aside.name}.wal")):
            left.unlink(missing_ok=True)
