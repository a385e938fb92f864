"""What people see of a backfill."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from flows import render
from tasks.figures import comparison_rows

_NAMED = 3  # documents


def filling(values: Mapping[str, Any]) -> None:
    """What a backfill did."""
    embedding, parts = values["embedding"], values["parts"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("documents", render.counts(values["documents"]))
    table.add_row("chunks", render.counts(values["chunks"]))
    if values["rebuilt"]:
        named = ", ".join(values["rebuilt_ids"][:_NAMED]) + (", …" if values["rebuilt"] > _NAMED else "")
        table.add_row(
            "rebuilt", f"{values['rebuilt']:,} whose sources are gone or have changed: {render.escape(named)}"
        )
    known = f", {embedding['cache_hits']:,} known already" if embedding["cache_hits"] else ""
    table.add_row("embedded", f"{embedding['texts']:,} texts, {embedding['tokens']:,} tokens{known}")
    table.add_row("space", render.escape(embedding["space"]))
    table.add_row("cost", render.usd(values["cost_usd"]))
    table.add_row("time", f"{values['seconds']['total']:.1f} s, {parts:,} part{'' if parts == 1 else 's'}")
    table.add_row("run", values["run_id"])
    render.out.print(table)


def comparison(values: Mapping[str, Any]) -> None:
    """Two generations side by side."""
    render.rows([{"": name, "live": a, "next": b} for name, a, b in comparison_rows(values)])


def outcome(values: Mapping[str, Any]) -> None:
    """Where the generation stands, and what comes next."""
    name, generation, version = render.escape(values["table"]), values["generation"], values["level_with"]
    if values["version"]:
        live = f"version {values['version']} of {name} is live"
        render.out.print(f"[green]{live}[/], as generation {generation}")
        return
    if values["partial"]:
        render.out.print(f"generation {generation} holds a part of version {version} of {name}")
        render.out.print("look at it with search --at next; without --where the rest is filled, too")
        return
    render.out.print(f"generation {generation} is level with version {version} of {name}, which stays live")
    render.out.print(f"look at it with search --at next; vecmill backfill {name} --switch makes it live")
