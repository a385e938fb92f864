"""Compaction: small fragments become large ones, deleted rows go, and indexes take in new rows.

What comes of it is a version with the same rows. Readers of the one before are not disturbed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import lance

from pipeline import ids
from pipeline.datasets import lost_race, open_dataset
from pipeline.errors import StoreRefused
from pipeline.objects import Objects, store_errors
from pipeline.store.log import Entry, Log
from pipeline.store.table import fragment_rows, generation_uri, open_version, same_rows, tag_live

_SMALL = 0.7  # of the rows of a large fragment, below which one counts as small
_FEW = 10  # small fragments that are left alone
_DELETED = 0.1  # of a fragment's rows
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction has done, or would do; all 0 where there is no need."""

    fragments_before: int = 0
    fragments_after: int = 0  # 0 where it is not done
    indexed: int = 0  # rows that an index did not know
    version: int | None = None  # the one that came of it


def compact(objects: Objects, log: Log, *, dry_run: bool = False) -> Compacted:
    """Compact a log's last version where there is need; raises StoreRefused where others keep publishing."""
    for _ in range(_TRIES):
        live = log.live()
        need = _need(open_version(objects, log.table, live))
        if dry_run or not (need.fragments_before or need.indexed):
            return need
        done = _compacted(objects, log, live)
        if done is not None:
            fragments, version = done
            return replace(need, fragments_after=fragments, version=version)
    raise StoreRefused(f"other runs publish to table {log.table!r} without end; run the command again")


def _need(dataset: lance.LanceDataset) -> Compacted:
    fragments = dataset.get_fragments()
    bound = _small(dataset)
    small = sum(fragment.physical_rows < bound for fragment in fragments)
    emptied = sum(fragment.num_deletions > _DELETED * fragment.physical_rows for fragment in fragments)
    unindexed = 0
    for index in dataset.describe_indices():
        unindexed += dataset.stats.index_stats(index.name)["num_unindexed_rows"]
    return Compacted(len(fragments) if small > _FEW or emptied else 0, 0, unindexed)


def _small(dataset: lance.LanceDataset) -> int:
    """Rows below which a fragment is small. What is larger is not written anew when small ones are joined."""
    return int(_SMALL * fragment_rows(dataset.schema.field("vector").type.list_size))


def _compacted(objects: Objects, log: Log, live: Entry) -> tuple[int, int] | None:
    """Compact on top of the live version; None where another commit came in between."""

    def join(base: lance.LanceDataset) -> None:
        base.optimize.compact_files(target_rows_per_fragment=_small(base))
        base.optimize.optimize_indices()

    done = rewrite(objects, log, live, "maintain", join)
    if done is None:
        return None
    return len(open_version(objects, log.table, done).get_fragments()), done.version


def rewrite(
    objects: Objects, log: Log, live: Entry, kind: str, change: Callable[[lance.LanceDataset], None]
) -> Entry | None:
    """Make a version with the rows of the live one, kept otherwise; None where another commit came between.

    `change` commits to the dataset that it is given.
    """
    uri = generation_uri(objects, log.table, live.generation)
    with store_errors(uri):
        try:
            base = same_rows(uri, objects.options, live.lance_version)
            if base is None:
                return None
            change(base)
        except OSError as error:
            if not lost_race(error):
                raise
            return None
        after = open_dataset(uri, objects.options)
    if after is None or after.count_rows() != live.chunks:
        return None  # a publish came in between
    entry = replace(
        live,
        version=live.version + 1,
        kind=kind,
        lance_version=after.version,
        run_id=ids.new_run_id(),
        published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        counts={},
    )
    if not log.append(entry):
        return None  # here, too: that is what readers get, and this is not
    tag_live(objects, log)
    return entry
