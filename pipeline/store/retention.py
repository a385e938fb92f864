"""Retention: which versions stay readable, and giving back the space of the others.

The log keeps an entry of every version for good; what goes is the data that only old ones need.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import lance

from pipeline.datasets import open_dataset
from pipeline.objects import Objects, store_errors
from pipeline.store.keep import Keep
from pipeline.store.log import Entry, Log
from pipeline.store.table import generation_uri

_TAG = "kept-by-vecmill-"


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What was given back, or would be."""

    versions: int = 0  # of the table, that cannot be read any more
    generations: int = 0
    bytes: int = 0

    def __add__(self, other: "Reclaimed") -> "Reclaimed":
        return Reclaimed(
            self.versions + other.versions, self.generations + other.generations, self.bytes + other.bytes
        )


def kept(
    entries: Sequence[Entry], keep: Keep, named: Collection[int], now: datetime
) -> tuple[list[Entry], list[Entry]]:
    """The versions that stay, and those that go; `entries` are all of them, newest first.

    A version was live until the next one was published. What a later version goes back to stays with it.
    """
    horizon = now - max(timedelta(days=keep.days), timedelta(hours=keep.grace))
    stays, goes = list[Entry](), list[Entry]()
    until = now
    for place, entry in enumerate(entries):
        recent = place < keep.versions or until >= horizon or entry.version in named
        (stays if recent else goes).append(entry)
        until = datetime.fromisoformat(entry.published_at)
    needed = {(entry.generation, entry.lance_version) for entry in stays}
    back = [entry for entry in goes if (entry.generation, entry.lance_version) in needed]
    return stays + back, [entry for entry in goes if entry not in back]


def retain(
    objects: Objects,
    table: str,
    keep: Keep,
    named: Collection[int] = (),
    now: datetime | None = None,
    *,
    dry_run: bool = False,
) -> Reclaimed:
    """Give back what only versions that go need; raises StoreRefused where the store will not."""
    moment = now or datetime.now(UTC)
    stays, goes = kept(Log(objects, table).entries(), keep, named, moment)
    reclaimed = Reclaimed()
    for generation in sorted({entry.generation for entry in goes}):
        wanted = {entry.lance_version for entry in stays if entry.generation == generation}
        gone = {entry.lance_version for entry in goes if entry.generation == generation}
        uri = generation_uri(objects, table, generation)
        with store_errors(uri):
            dataset = open_dataset(uri, objects.options)
            if dataset is None:
                continue
            there = {int(one["version"]) for one in dataset.versions()}
            if wanted and gone & there:
                size = 0 if dry_run else _clean(dataset, wanted, keep, moment)
                reclaimed += Reclaimed(len(gone & there), 0, size)
            elif not wanted:
                size = _drop(objects, table, generation, dry_run)
                reclaimed += Reclaimed(len(gone & there), 1, size)
    return reclaimed


def _clean(dataset: lance.LanceDataset, wanted: Collection[int], keep: Keep, now: datetime) -> int:
    """Remove all Lance versions but the wanted ones and those of the grace time; gives the bytes."""
    for version in wanted:
        _tag(dataset, version)
    try:
        # By this machine's clock, as Lance reads the times of its files.
        age = timedelta(hours=keep.grace) + max(timedelta(0), datetime.now(UTC) - now)
        stats = dataset.cleanup_old_versions(older_than=age, error_if_tagged_old_versions=False)
        return int(stats.bytes_removed)
    finally:
        for version in wanted:
            _untag(dataset, version)


def _tag(dataset: lance.LanceDataset, version: int) -> None:
    name = f"{_TAG}{version}"
    if name not in dataset.tags.list():
        dataset.tags.create(name, version)


def _untag(dataset: lance.LanceDataset, version: int) -> None:
    if f"{_TAG}{version}" in dataset.tags.list():
        dataset.tags.delete(f"{_TAG}{version}")


def _drop(objects: Objects, table: str, generation: str, dry_run: bool) -> int:
    """Remove a generation that no version which stays is of; gives its bytes."""
    sizes = {kept.path: kept.size for kept in objects.listed(f"tables/{table}/{generation}.lance")}
    if not dry_run:
        for path in sizes:
            objects.delete(path)
    return sum(sizes.values())
