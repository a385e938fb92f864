"""Lance datasets as the cache and the tables use them."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import lance
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


# Quoted, since an annotation that holds the class outlives DuckDB's module, which then complains at exit.
@contextmanager
def set_operations() -> "Iterator[duckdb.DuckDBPyConnection]":
    """A DuckDB for joins over datasets; raises OSError where one of them cannot be read.

    What does not fit into memory goes to a folder of its own, not into the one we were started in.
    """
    spill = f"{tempfile.gettempdir()}/vecmill-{os.getpid()}"
    try:
        with duckdb.connect(config={"temp_directory": spill}) as db:
            yield db
    except (duckdb.InvalidInputException, duckdb.OperationalError) as error:
        raise OSError(str(error)) from error


class VectorIndex:
    """Where the vectors of texts lie in a dataset that has the columns text_hash and vector.

    It reads the key column once: about 50 bytes a row.
    """

    def __init__(self, dataset: lance.LanceDataset) -> None:
        self._dataset = dataset
        keys = dataset.to_table(columns=["text_hash"], with_row_address=True)
        self._keys = keys["text_hash"].combine_chunks()
        self._addresses = keys["_rowaddr"].combine_chunks()

    def take(self, hashes: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Find vectors; gives the places in `hashes` that were found, and a vector for each."""
        rows = pc.index_in(hashes, value_set=self._keys)
        found = pc.indices_nonzero(rows.is_valid())
        addresses = self._addresses.take(rows.drop_null()).to_pylist()
        # By row address, since LanceDataset.take goes by offset, some 50 times slower once rows are deleted.
        taken = self._dataset._take_rows(addresses, columns=["vector"])
        return found, taken["vector"].combine_chunks()
