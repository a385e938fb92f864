"""Lance datasets as the cache and the tables use them."""

import atexit
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import duckdb
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance.commit import CommitConflictError

from pipeline.objects import Objects
from pipeline.refusals import no_bucket

_CONFLICT = re.compile("conflict|concurrent", re.IGNORECASE)


Options = dict[str, str] | None
"""How Lance reaches the store of a dataset (`Objects.options`)."""


def open_dataset(uri: str, options: Options, version: int | None = None) -> lance.LanceDataset | None:
    """Open a Lance dataset at its newest version or at one given; None where there is none."""
    try:
        return lance.dataset(uri, version=version, storage_options=options)
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower() and not no_bucket(error):
            return None
        raise


def create_dataset(objects: Objects, path: str, empty: pa.Table) -> None:
    """Make an empty Lance dataset where there is none; other processes may be doing the same.

    Of two racing creators Lance lets the later one overwrite the dataset, with all that was
    appended to it meanwhile. So it is made aside, and its files are put in place only where there
    are none: a dataset's manifest, which comes after its transaction, is what makes it exist.
    """
    with tempfile.TemporaryDirectory(prefix="vecmill-create-") as folder:
        lance.write_dataset(empty, f"{folder}/new", mode="create")
        aside = Objects(folder)
        for made in aside.paths("new"):
            objects.create(path + made.removeprefix("new"), aside.get(made) or b"")


def lost_race(error: OSError) -> bool:
    """Whether another commit to the same dataset came first.

    Lance has a class for it, but not all of its operations use it.
    """
    return isinstance(error, CommitConflictError) or bool(_CONFLICT.search(str(error)))


def without(dataset: lance.LanceDataset, addresses: pa.Array) -> tuple[list[Any], list[int]]:
    """Mark rows deleted: gives the fragments that keep some rows, and the ids of those that keep none."""
    updated, removed = [], []
    fragments = pc.shift_right(addresses, pa.scalar(32, pa.uint64()))
    for fragment_id in pc.unique(fragments).to_pylist():
        mine = addresses.filter(pc.equal(fragments, pa.scalar(fragment_id, pa.uint64())))
        fragment = dataset.get_fragment(fragment_id)
        left = None
        if fragment is not None and len(mine) < fragment.count_rows():
            listed = ",".join(map(str, mine.to_pylist()))
            left = fragment.delete(f"_rowaddr IN ({listed})")
        if left is None:
            removed.append(fragment_id)
        else:
            updated.append(left)
    return updated, removed


def give_back(dataset: lance.LanceDataset, grace: float, read: Collection[int] = ()) -> int:
    """Remove the versions that nobody needs who reads the newest; gives their bytes.

    Whoever opened a version had the newest one then: it stays for `grace` hours after the next has come, and
    for as long as a version of `read` is named, which somebody still has open.
    """
    horizon = datetime.now(UTC) - timedelta(hours=grace)
    times = times_of(dataset)
    before = [version for version, time in times.items() if time <= horizon]
    oldest = min([max(before, default=0), *(version for version in read if version in times)])
    return clean(dataset, [version for version in times if version < oldest])


def times_of(dataset: lance.LanceDataset) -> dict[int, datetime]:
    """The versions of a dataset that are there, with when each was made."""
    found: list[Any] = dataset.versions()
    return {int(one["version"]): one["timestamp"].astimezone(UTC) for one in found}


def clean(dataset: lance.LanceDataset, versions: Sequence[int]) -> int:
    """Remove versions, and the files that only they are made of; gives their bytes."""
    if not versions:
        return 0
    stats = dataset.cleanup_old_versions(versions=[*versions], error_if_tagged_old_versions=False)
    return int(stats.bytes_removed)


# Quoted, since an annotation that holds the class outlives DuckDB's module, which then complains at exit.
@contextmanager
def set_operations() -> "Iterator[duckdb.DuckDBPyConnection]":
    """A DuckDB for joins over datasets; raises OSError where one of them cannot be read.

    Whatever is made in it is seen by nobody else, and gone with it.
    """
    database, own = _database(os.getpid()), f"joins_{next(_numbers)}"
    try:
        with _read_errors(), database.cursor() as db:
            db.execute(f"attach ':memory:' as {own}; use {own}")
            yield db
    except duckdb.FatalException:  # after which a database answers nothing more
        _database.cache_clear()
        raise
    finally:
        with suppress(duckdb.Error), database.cursor() as db:
            db.execute(f"detach {own}")


@contextmanager
def large_set_operations(memory: str = "300MB") -> "Iterator[duckdb.DuckDBPyConnection]":
    """The same for sets that can be as large as a table: what passes `memory` goes to disk.

    It is a database of its own, since one gives back its memory only when it is closed.
    """
    with _read_errors(), _connect(f"{os.getpid()}-{next(_numbers)}", memory_limit=memory) as db:
        yield db


_numbers = count()


@cache
def _database(pid: int) -> "duckdb.DuckDBPyConnection":
    """One a process, since to make one takes some 20 ms, and a small run has a dozen of such joins."""
    return _connect(str(pid))


atexit.register(_database.cache_clear)  # DuckDB's module complains of a connection that outlives it


def _connect(name: str, **config: str) -> "duckdb.DuckDBPyConnection":
    """What does not fit into memory goes to a folder of its own, not into the one we were started in."""
    return duckdb.connect(config={"temp_directory": f"{tempfile.gettempdir()}/vecmill-{name}", **config})


@contextmanager
def _read_errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.OperationalError) as error:
        raise OSError(str(error)) from error


class Located:
    """Where the vectors of texts lie: each in the first of some datasets that has it.

    The datasets have the columns text_hash and vector; the keys of each are read once, and joined as sets,
    out of core. `located` is the table of what was found: source (which dataset), address, and `by`.
    """

    def __init__(
        self,
        db: "duckdb.DuckDBPyConnection",
        wanted: str,
        datasets: Sequence[lance.LanceDataset],
        by: str = "text_hash",
    ) -> None:
        """Look up the texts of a table that DuckDB knows; `text_hash` is a UUID in it, and `by` its key."""
        self._db = db
        self._datasets = datasets
        db.execute(_LOCATED.format(by=by, wanted=wanted))
        for source, dataset in enumerate(datasets):
            db.register("keys", _keys(dataset))
            missing = f"(from {wanted} anti join located using ({by}))" if source else wanted
            db.execute(_LOCATE.format(wanted=wanted, missing=missing, by=by), {"source": source})

    def take(self, hashes: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Find vectors; gives the places in `hashes` that were found, and a vector for each."""
        asked = pa.table({"text_hash": as_uuids(hashes), "place": np.arange(len(hashes))})
        with _read_errors():
            self._db.register("asked", asked)
            found = self._db.sql(_ASK).to_arrow_table()
        vectors = take_vectors(
            self._datasets, found["source"].combine_chunks(), found["address"].combine_chunks()
        )
        return found["place"].combine_chunks(), vectors


_LOCATED = """
create temp table located as select {by}, 0::utinyint as source, 0::ubigint as address from {wanted} limit 0
"""
# A dataset's rows of the same text are made one first: a footer of a thousand wanted chunks, which a thousand
# rows have, would be a million pairs.
_LOCATE = """
insert into located
select {by}, $source, min(address) from {missing} join (
    select text_hash, min(_rowaddr) as address from keys semi join {wanted} using (text_hash)
    group by text_hash
) using (text_hash) group by {by}
"""
_ASK = "select place, source, address from asked join located using (text_hash) order by place"


def as_uuids(hashes: pa.Array) -> pa.Array:
    """Hashes as numbers of 128 bits, which DuckDB joins in half the time that their digits take."""
    held = pa.Array.from_buffers(pa.binary(16), len(hashes), [None, pa.py_buffer(_spelled(hashes))])
    return pa.ExtensionArray.from_storage(pa.uuid(), held)


def as_halves(hashes: pa.Array) -> npt.NDArray[np.uint64]:
    """Hashes as the halves of their numbers: uint64[n, 2]."""
    return np.frombuffer(_spelled(hashes), ">u8").astype(np.uint64).reshape(-1, 2)


def _spelled(hashes: pa.Array) -> bytes:
    """What 32 hexadecimal digits each spell, one behind the other."""
    if not len(hashes):
        return b""
    _, offsets, digits = hashes.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[hashes.offset, hashes.offset + len(hashes)]]
    numbers = bytes.fromhex(str(memoryview(digits)[first:last], "ascii"))
    if len(numbers) != 16 * len(hashes):
        raise ValueError("a hash has 32 hexadecimal digits")
    return numbers


_KEYS = pa.schema([("text_hash", pa.uuid()), ("_rowaddr", pa.uint64())])


def _keys(dataset: lance.LanceDataset) -> pa.RecordBatchReader:
    """The text and the address of each row of a dataset."""

    def batches() -> Iterator[pa.RecordBatch]:
        for rows in dataset.scanner(columns=["text_hash"], with_row_address=True).to_batches():
            columns = [as_uuids(rows["text_hash"]), rows["_rowaddr"]]
            yield pa.RecordBatch.from_arrays(columns, schema=_KEYS)

    return pa.RecordBatchReader.from_batches(_KEYS, batches())


def take_vectors(datasets: Sequence[lance.LanceDataset], sources: pa.Array, addresses: pa.Array) -> pa.Array:
    """The vectors of rows, each by the place of its dataset and by its address in there."""
    places, vectors = [], []
    for source, dataset in enumerate(datasets):
        own = pc.indices_nonzero(pc.equal(sources, source))
        if len(own) or not source:
            # By row address: LanceDataset.take goes by offset, some 50 times slower once rows are deleted.
            rows = dataset._take_rows(addresses.take(own).to_pylist(), columns=["vector"])
            places.append(own)
            vectors.append(rows["vector"].combine_chunks())
    if len(places) == 1:
        return vectors[0]
    return pa.concat_arrays(vectors).take(pc.sort_indices(pa.concat_arrays(places)))
