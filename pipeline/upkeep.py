"""Maintenance: makes tables and cache quick to read, and gives back what nothing needs any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pipeline.cache import VectorCache, compact_cache
from pipeline.eviction import Evicted, evict, fold_uses
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.search.indexing import keep_current
from pipeline.spool import Spool
from pipeline.staging import Staging, is_table
from pipeline.store.compaction import compact
from pipeline.store.keep import Keep
from pipeline.store.log import Log, published_tables, under_way
from pipeline.store.names import Names
from pipeline.store.orphans import orphans
from pipeline.store.retention import retain

# What these files of a run are called is its stages' business, which maintenance is no part of.
_FRAGMENTS, _LOOKED_UP = "fragments", "looked-up"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Maintains the tables of a store, and what they share; with `dry_run` it only says what it would do."""

    objects: Objects
    keep: Keep
    dry_run: bool = False

    def run(self, tables: tuple[str, ...] = ()) -> dict[str, Any]:
        """Maintain tables, all where none is named, and the cache; gives what was done, as JSON."""
        runs = Ledger(self.objects).runs()
        alive = [run for run in runs if run["state"] == "running"]
        ended = [run["run_id"] for run in runs if run["state"] != "running"]
        names = tables or tuple(published_tables(self.objects))
        return {
            "dry_run": self.dry_run,
            "tables": {name: self._table(name, alive) for name in names},
            "spool": self._spool(names),
            "evicted": self._evict(runs).record(),
            "cache": self._caches([run["run_id"] for run in alive]),
            "runs": self._runs(ended),
        }

    def _table(self, table: str, alive: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        compacted = compact(self.objects, Log(self.objects, table), dry_run=self.dry_run)
        indexed = keep_current(self.objects, table, dry_run=self.dry_run)
        named = set(Names(self.objects, table).all().values())
        since = min((_began(run) for run in alive), default=None)
        reclaimed = retain(self.objects, table, self.keep, named, since=since, dry_run=self.dry_run)
        staged = set(self._staged([run["run_id"] for run in alive]))
        found = orphans(self.objects, table, staged, self.keep.grace)
        self._delete(found)
        lost = {"files": len(found), "bytes": sum(found.values())}
        done = {"compaction": asdict(compacted), "index": indexed, "retention": asdict(reclaimed)}
        return {**done, "orphans": lost}

    def _staged(self, alive: Sequence[str]) -> Iterator[str]:
        """The names of data files that runs under way have written."""
        for run_id in alive:
            staged = Staging(self.objects, run_id).read_json(_FRAGMENTS) or {"fragments": ()}
            for text in staged["fragments"]:
                yield from (file["path"] for file in orjson.loads(text)["files"])

    def _spool(self, tables: tuple[str, ...]) -> dict[str, int]:
        """Take into the cache what killed runs have left in the spool."""
        logs = [Log(self.objects, table) for table in tables]
        logs += [log for table in tables for log in under_way(self.objects, table)]
        spaces = {log.live().specs()[0] for log in logs}
        left = {space: Spool(self.objects, space).names() for space in spaces}
        for space, names in left.items():
            if names and not self.dry_run:
                Spool(self.objects, space).drain(VectorCache(self.objects, space), names)
        return {"requests": sum(map(len, left.values()))}

    def _evict(self, runs: Sequence[Mapping[str, Any]]) -> Evicted:
        """Keep the cache within its bound, but for what runs under way, or to be taken up, may need."""
        if self.keep.cache_size is None:
            return Evicted()
        now = datetime.now(UTC)
        since = min(
            [now - timedelta(hours=self.keep.grace), *map(_began, unfinished(runs, now, self.keep.days))]
        )
        return evict(self.objects, self.keep.cache_size, since, dry_run=self.dry_run)

    def _caches(self, alive: Sequence[str]) -> dict[str, dict[str, int]]:
        looked_up = [Staging(self.objects, run_id).read_json(_LOOKED_UP) or {} for run_id in alive]
        read = [found["version"] for found in looked_up if found.get("version")]
        if not self.dry_run:
            fold_uses(self.objects)
        return {
            name: compact_cache(self.objects, f"cache/{name}", self.keep.grace, read, dry_run=self.dry_run)
            for name in self.objects.folders("cache")
        }

    def _runs(self, ended: Sequence[str]) -> dict[str, int]:
        """Remove what only a run under way needs, of runs that are not."""
        left: dict[str, int] = {}
        for run_id in ended:
            kept = self.objects.listed(f"runs/{run_id}")
            left |= {one.path: one.size for one in kept if is_table(one.path)}
        self._delete(left)
        return {"files": len(left), "bytes": sum(left.values())}

    def _delete(self, paths: Iterable[str]) -> None:
        if not self.dry_run:
            for path in paths:
                self.objects.delete(path)


def unfinished(runs: Sequence[Mapping[str, Any]], now: datetime, days: float) -> Iterator[Mapping[str, Any]]:
    """The runs that are under way, and those that may be taken up; `runs` are all, newest first.

    A run that did not end well may be, until another one of its kind does for the same table, or so many days
    have passed.
    """
    done = set[tuple[str, str]]()
    for run in runs:
        what = run["table"], run["kind"]
        if run["state"] == "finished":
            done.add(what)
        elif run["state"] == "running" or (what not in done and _began(run) > now - timedelta(days=days)):
            yield run


def _began(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["started_at"]).astimezone(UTC)
