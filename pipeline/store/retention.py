"""Retention: which versions stay readable, and giving back the space of the others.

The log keeps an entry of every version for good; what goes is the data that only old ones need.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.datasets import clean, open_dataset, times_of
from pipeline.objects import Objects, store_errors
from pipeline.store.keep import Keep
from pipeline.store.log import Entry, Log
from pipeline.store.table import generation_files, generation_uri


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
    entries: Sequence[Entry],
    keep: Keep,
    named: Collection[int],
    now: datetime,
    since: datetime | None = None,
) -> tuple[list[Entry], list[Entry]]:
    """The versions that stay, and those that go; `entries` are all of them, newest first.

    A version was live until the next one was published. What a later version goes back to stays with it, and
    what was live after `since` with the run that began then.
    """
    horizon = min(since or now, now - max(timedelta(days=keep.days), timedelta(hours=keep.grace)))
    stays, goes = list[Entry](), list[Entry]()
    until = now
    for place, entry in enumerate(entries):
        recent = place < keep.versions or until >= horizon or entry.version in named
        (stays if recent else goes).append(entry)
        until = datetime.fromisoformat(entry.published_at)
    needed = {(entry.generation, entry.lance_version) for entry in stays}
    back, gone = list[Entry](), list[Entry]()
    for entry in goes:
        (back if (entry.generation, entry.lance_version) in needed else gone).append(entry)
    return stays + back, gone


def retain(
    objects: Objects,
    table: str,
    keep: Keep,
    named: Collection[int] = (),
    now: datetime | None = None,
    *,
    since: datetime | None = None,
    dry_run: bool = False,
) -> Reclaimed:
    """Give back what only versions that go need; raises StoreRefused where the store will not.

    `since` is when the oldest run began that is under way.
    """
    moment = now or datetime.now(UTC)
    stays, goes = kept(Log(objects, table).entries(), keep, named, moment, since)
    reclaimed = Reclaimed()
    for generation in sorted({entry.generation for entry in goes}):
        wanted = {entry.lance_version for entry in stays if entry.generation == generation}
        gone = {entry.lance_version for entry in goes if entry.generation == generation}
        uri = generation_uri(objects, table, generation)
        with store_errors(uri):
            dataset = open_dataset(uri, objects.options)
            there = times_of(dataset) if dataset else {}
            old = len(gone & there.keys())
            if wanted and old and dataset:
                horizon = min(since or moment, moment - timedelta(hours=keep.grace))
                doomed = [one for one, made in there.items() if one not in wanted and made < horizon]
                reclaimed += Reclaimed(old, 0, 0 if dry_run else clean(dataset, doomed))
            elif not wanted:  # and where it has gone, what it has left
                size = _drop(objects, table, generation, dry_run)
                reclaimed += Reclaimed(old, 1 if size else 0, size)
    return reclaimed


def _drop(objects: Objects, table: str, generation: str, dry_run: bool) -> int:
    """Remove a generation that no version which stays is of; gives its bytes."""
    sizes = generation_files(objects, table, generation)
    if not dry_run:
        objects.delete_all(list(sizes))
    return sum(sizes.values())
