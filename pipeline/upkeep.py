"""Maintenance: makes tables and cache quick to read, and gives back what nothing needs any more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from pipeline.cache import VectorCache, compact_cache
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.spool import Spool
from pipeline.staging import Staging
from pipeline.store.compaction import compact
from pipeline.store.keep import Keep
from pipeline.store.log import Log, published_tables
from pipeline.store.names import Names
from pipeline.store.orphans import orphans
from pipeline.store.retention import retain

_FRAGMENTS = "fragments"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Maintains the tables of a store, and what they share; with `dry_run` it only says what it would do."""

    objects: Objects
    keep: Keep
    dry_run: bool = False

    def run(self, tables: tuple[str, ...] = ()) -> dict[str, Any]:
        """Maintain tables, all where none is named, and the cache; gives what was done, as JSON."""
        runs = Ledger(self.objects).runs()
        alive = {run["run_id"] for run in runs if run["state"] == "running"}
        names = tables or tuple(published_tables(self.objects))
        return {
            "dry_run": self.dry_run,
            "tables": {name: self._table(name, alive) for name in names},
            "spool": self._spool(names),
            "cache": {name: self._cache(name) for name in self.objects.folders("cache")},
            "runs": self._runs([run["run_id"] for run in runs if run["run_id"] not in alive]),
        }

    def _table(self, table: str, alive: set[str]) -> dict[str, Any]:
        compacted = compact(self.objects, Log(self.objects, table), dry_run=self.dry_run)
        named = Names(self.objects, table).all().values()
        reclaimed = retain(self.objects, table, self.keep, set(named), dry_run=self.dry_run)
        found = orphans(self.objects, table, set(self._staged(alive)), self.keep.grace)
        self._delete(found)
        lost = {"files": len(found), "bytes": sum(found.values())}
        return {"compaction": asdict(compacted), "retention": asdict(reclaimed), "orphans": lost}

    def _staged(self, alive: set[str]) -> Iterator[str]:
        """The names of data files that runs under way have written."""
        for run_id in alive:
            staged = Staging(self.objects, run_id).read_json(_FRAGMENTS) or {"fragments": ()}
            for text in staged["fragments"]:
                yield from (file["path"] for file in orjson.loads(text)["files"])

    def _spool(self, tables: tuple[str, ...]) -> dict[str, int]:
        """Take into the cache what killed runs have left in the spool."""
        spaces = {Log(self.objects, table).live().specs()[0] for table in tables}
        left = {space: Spool(self.objects, space).names() for space in spaces}
        for space, names in left.items():
            if names and not self.dry_run:
                Spool(self.objects, space).drain(VectorCache(self.objects, space), names)
        return {"requests": sum(map(len, left.values()))}

    def _cache(self, name: str) -> dict[str, int]:
        return compact_cache(self.objects, f"cache/{name}", self.keep.grace, dry_run=self.dry_run)

    def _runs(self, ended: Sequence[str]) -> dict[str, int]:
        """Remove what only a run under way needs, of runs that are not."""
        left: dict[str, int] = {}
        for run_id in ended:
            kept = self.objects.listed(f"runs/{run_id}")
            left |= {one.path: one.size for one in kept if one.path.endswith(".parquet")}
        self._delete(left)
        return {"files": len(left), "bytes": sum(left.values())}

    def _delete(self, paths: Iterable[str]) -> None:
        if not self.dry_run:
            for path in paths:
                self.objects.delete(path)
