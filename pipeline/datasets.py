"""Lance datasets as the cache and the tables use them."""

import lance
import pyarrow as pa
import pyarrow.compute as pc


def open_dataset(uri: str, version: int | None = None) -> lance.LanceDataset | None:
    """Open a Lance dataset at its newest version or at one given; None where there is none."""
    try:
        return lance.dataset(uri, version=version)
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower():
            return None
        raise


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
