"""vecmill maintain: compaction, indexes, retention and orphans, by hand or as a flow."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from flows import render
from flows.options import Common, spread
from flows.request import load
from infra.config import RetentionConfig
from infra.settings import explain
from pipeline.errors import UsageError
from pipeline.objects import Objects

_NAMES = {"versions": "--keep-versions", "days": "--keep-days", "cache_size": "--cache-size"}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(maintain))


def maintain(
    common: Common,
    tables: Annotated[list[str] | None, typer.Argument(help="Tables; all if left out.")] = None,
    keep_versions: Annotated[int | None, typer.Option(help="The newest so many stay readable.")] = None,
    keep_days: Annotated[
        float | None, typer.Option(help="And those that were live so many days ago.")
    ] = None,
    cache_size: Annotated[
        str | None,
        typer.Option(help="What the vector cache may take, such as 20GB; the least lately used goes."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
) -> None:
    """Compact tables and cache, take new rows into indexes, and give back what nothing needs any more."""
    config = load(common)
    asked = {"versions": keep_versions, "days": keep_days, "cache_size": cache_size}
    given = {name: one for name, one in asked.items() if one is not None}
    try:
        kept = RetentionConfig(**{**config.retention.model_dump(), **given})
    except ValidationError as error:
        raise UsageError(explain(error, _NAMES)) from error
    done = upkeep(config.store.uri, kept, tuple(tables or ()), dry_run=dry_run)
    if common.json:
        render.json_document(done)
    else:
        _told(done)


def upkeep(store: str, kept: RetentionConfig, tables: tuple[str, ...], *, dry_run: bool) -> dict[str, Any]:
    """Maintain a store; gives what was done."""
    from pipeline.upkeep import Upkeep  # Lance beneath takes most of a second to import

    return Upkeep(Objects(store), kept.keep(), dry_run).run(tables)


def _told(done: dict[str, Any]) -> None:
    """What was done, a line for each thing."""
    would = "would be " if done["dry_run"] else ""
    rows = []
    for table, one in done["tables"].items():
        compaction, retention, orphans = one["compaction"], one["retention"], one["orphans"]
        parts = []
        if compaction["fragments_before"]:
            after = f" to {compaction['fragments_after']}" if compaction["fragments_after"] else ""
            parts.append(f"compacted: {compaction['fragments_before']}{after} fragments")
        if compaction["indexed"]:
            parts.append(f"indexed: {compaction['indexed']:,} rows")
        parts += _index(one["index"])
        made = f" (version {compaction['version']})" if compaction["version"] else ""
        rows += [(f"table {table}", f"{would}{part}{made}") for part in parts]
        if retention["versions"] or retention["generations"]:
            gone = f", {retention['generations']} old generations" if retention["generations"] else ""
            # What versions share with those that stay is not known beforehand.
            size = f", {render.size(retention['bytes'])}" if retention["bytes"] else ""
            told = f"{would}given back: {retention['versions']} old versions{gone}{size}"
            rows.append((f"table {table}", told))
        if orphans["files"]:
            rows.append(
                (
                    f"table {table}",
                    f"{would}removed: {orphans['files']} orphans, {render.size(orphans['bytes'])}",
                )
            )
    rows += _evicted(done["evicted"], would)
    rows += [
        (
            f"cache {name}",
            f"{would}compacted: {one['fragments']} fragments, {render.size(one['bytes'])} given back",
        )
        for name, one in done["cache"].items()
        if one["fragments"] > 1 or one["bytes"]
    ]
    if done["spool"]["requests"]:
        rows.append(("spool", f"{would}taken into the cache: {done['spool']['requests']} requests"))
    if done["runs"]["files"]:
        rows.append(
            ("runs", f"{would}removed: {done['runs']['files']} files, {render.size(done['runs']['bytes'])}")
        )
    if rows:
        render.rows([{"what": what, "done": text} for what, text in rows])
    else:
        render.note("nothing to do")


def _evicted(evicted: dict[str, int], would: str) -> Iterator[tuple[str, str]]:
    if evicted["texts"]:
        told = f"{would}given up: {evicted['texts']:,} texts, {render.size(evicted['bytes'])}"
        yield "cache", f"{told} of {render.size(evicted['bytes_before'])}"
    if evicted["bytes_over"]:
        over = render.size(evicted["bytes_over"])
        yield "cache", f"{over} above its bound: runs under way, or to be taken up, may need them"


def _index(done: dict[str, Any] | None) -> list[str]:
    """What became of an index of vectors."""
    if done is None:
        return []
    told = [word for name, word in (("built", "built"), ("measured", "measured again")) if done[name]]
    index = [f"index {done['kind']}: {', '.join(told)}"] if told else []
    return index + (["sketches: made"] if done["sketched"] else [])
