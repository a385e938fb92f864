"""A table's generations: Lance datasets, and the one commit that a publish makes to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lance
import pyarrow as pa

from pipeline import ids, schema
from pipeline.datasets import Options, create_dataset, lost_race, open_dataset, without
from pipeline.errors import StoreRefused
from pipeline.objects import Objects, store_errors
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log

# A new generation's first Lance version creates it and the second gives it its text index: both are
# empty, and whatever comes later may hold rows.
EMPTY = 2

_MANY = 128 * 1024  # rows of a fragment
_FRAGMENT = 128 * 2**20  # bytes of one, roughly
_TEXT = 1024  # bytes a row without its vector, roughly


def generation_name(number: int, space: Space, splitter: SplitterSpec) -> str:
    """Name a generation by its number and by what made it, so that racing creators agree."""
    return f"{number}-{ids.digest(space.fingerprint, splitter.fingerprint)[:8]}"


def generation_uri(objects: Objects, table: str, generation: str) -> str:
    """Where a generation's dataset lies."""
    return objects.at(_path(table, generation))


def _path(table: str, generation: str) -> str:
    return f"tables/{table}/{generation}.lance"


def generation_files(objects: Objects, table: str, generation: str) -> dict[str, int]:
    """All that is kept of a generation, with its bytes: its dataset, and what searches have beside it."""
    index = f"tables/{table}/indexes/{generation}.json"
    found = [one for one in objects.listed(f"tables/{table}/indexes") if one.path == index]
    for folder in (f"tables/{table}/sketches/{generation}", _path(table, generation)):
        found += objects.listed(folder)
    return {one.path: one.size for one in found}


def fragment_rows(dimensions: int) -> int:
    """How many rows make a large fragment: a writer needs some twice its size in memory."""
    return max(8192, min(_MANY, _FRAGMENT // (4 * dimensions + _TEXT)))


def open_version(objects: Objects, table: str, entry: Entry) -> lance.LanceDataset:
    """Exactly what a version's readers see."""
    uri = generation_uri(objects, table, entry.generation)
    with store_errors(uri):
        dataset = open_dataset(uri, objects.options, entry.lance_version)
    if dataset is None:
        raise StoreRefused(
            f"version {entry.version} of table {table!r} is gone: Lance version {entry.lance_version} "
            f"of {uri} does not exist; vecmill versions {table} lists the others"
        )
    return dataset


def ensure_generation(
    objects: Objects, table: str, generation: str, space: Space, splitter: SplitterSpec
) -> str:
    """Create a generation where there is none; gives its URI. Another process may be doing the same."""
    uri = generation_uri(objects, table, generation)
    with store_errors(uri):
        if open_dataset(uri, objects.options) is None:
            empty = schema.table(space, splitter).empty_table()
            create_dataset(objects, _path(table, generation), empty)
        dataset = _opened(uri, objects.options)
        if not dataset.describe_indices():
            try:
                # ICU finds word boundaries in Japanese without a dictionary to download.
                dataset.create_scalar_index(
                    "text", "INVERTED", base_tokenizer="icu", stem=False, remove_stop_words=False
                )
            except OSError as error:
                if not lost_race(error):
                    raise
    return uri


@dataclass(frozen=True, slots=True)
class Change:
    """What a publish does to a version: some rows go, and others come."""

    fragments: Sequence[str]  # staged Lance fragments as JSON
    rows: pa.Array  # the addresses, in that version, of rows that go: uint64
    properties: Mapping[str, str]  # of the run, kept with the Lance transaction


@dataclass(frozen=True, slots=True)
class Committed:
    """A Lance version that no log entry names yet."""

    lance_version: int
    rows: int
    replaced: pa.Array  # chunk_ids of the rows that went


def commit(uri: str, options: Options, live: Entry | None, change: Change) -> Committed | None:
    """Commit a change on top of the live version; None where another commit came in between.

    Lance would merge the two, or rebase on what is not live: the caller looks again and repeats.
    """
    with store_errors(uri):
        try:
            base = same_rows(uri, options, live.lance_version if live else EMPTY)
            return None if base is None else _committed(uri, options, base, change)
        except OSError as error:
            if not lost_race(error):
                raise
    return None


def tag_live(objects: Objects, log: Log) -> None:
    """Let the Lance tag `live` follow, for people who open the dataset with Lance; the log decides."""
    if log.generation is not None:
        return
    entry = log.live()
    try:
        uri = generation_uri(objects, log.table, entry.generation)
        tags = _opened(uri, objects.options).tags
        if "live" in tags.list():
            tags.update("live", entry.lance_version)
        else:
            tags.create("live", entry.lance_version)
    except (OSError, ValueError):
        return  # a courtesy: another run moving it at the same time is no harm


def _committed(uri: str, options: Options, base: lance.LanceDataset, change: Change) -> Committed | None:
    replaced = _chunk_ids(base, change.rows)
    updated, removed = without(base, change.rows)
    fragments = [lance.FragmentMetadata.from_json(text) for text in change.fragments]
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed,
        updated_fragments=updated,
        new_fragments=fragments,
        fields_modified=[],
    )
    transaction = lance.Transaction(base.version, operation, transaction_properties=dict(change.properties))
    after = lance.LanceDataset.commit(uri, transaction, storage_options=options)
    if after.version != base.version + 1:
        return None
    return Committed(after.version, after.count_rows(), replaced)


def same_rows(uri: str, options: Options, version: int) -> lance.LanceDataset | None:
    """The newest Lance version, made equal to the live one where something else came after it."""
    newest = _opened(uri, options)
    if newest.version == version:
        return newest
    base = _opened(uri, options, version)
    base.restore()  # type: ignore[no-untyped-call]
    return base if base.version == newest.version + 1 else None


def _opened(uri: str, options: Options, version: int | None = None) -> lance.LanceDataset:
    dataset = open_dataset(uri, options, version)
    if dataset is None:
        raise FileNotFoundError(f"there is no Lance dataset{f' of version {version}' if version else ''}")
    return dataset


def _chunk_ids(dataset: lance.LanceDataset, addresses: pa.Array) -> pa.Array:
    if not len(addresses):
        return pa.array([], pa.string())
    parts = (addresses.slice(first, _MANY).to_pylist() for first in range(0, len(addresses), _MANY))
    taken = [dataset._take_rows(part, columns=["chunk_id"])["chunk_id"].combine_chunks() for part in parts]
    return pa.concat_arrays(taken)
