"""What people see of the run ledger and of dead letters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from flows import render, render_backfill
from flows.evaluate_command import told as evaluated


def runs(found: Sequence[Mapping[str, Any]]) -> None:
    """The run ledger, a line a run."""
    names = ("run_id", "kind", "pipeline", "table", "state", "started_at")
    render.rows(
        [
            {
                **{name: run[name] for name in names},
                "tokens": f"{run['spent']['tokens']:,}" if run["spent"] else "",
                "cost": render.usd(run["spent"]["cost_usd"]) if run["spent"] else "",
                "error": run["error"],
            }
            for run in found
        ]
    )


def run(values: Mapping[str, Any]) -> None:
    """One run: what it did or spent, how it ended, and what has become of its dead letters."""
    if values["report"]:
        _report(values["kind"], values["report"])
    table = Table(box=None, show_header=False, pad_edge=False)
    spent, letters = values["spent"], values["dead_letters"]
    if not values["report"]:
        table.add_row("run", values["run_id"])
        if spent:
            table.add_row("spent", f"{render.usd(spent['cost_usd'])}, {spent['tokens']:,} tokens")
    if spent and spent["cost_usd"]:
        table.add_row("price", render.price(spent["price"]).strip(" ()"))
    if spent and spent["tokens_unanswered"]:
        table.add_row("unanswered", f"{spent['tokens_unanswered']:,} tokens, perhaps billed all the same")
    table.add_row("state", f"{values['state']}, started {values['started_at']}")
    if values["error"]:
        table.add_row("error", render.escape(values["error"]))
    if letters:
        states = Counter(letter["state"] for letter in letters)
        table.add_row("dead letters", ", ".join(f"{count:,} {state}" for state, count in states.items()))
    render.out.print(table)
    if letters:
        render.rows(letters, ("doc_id", "stage", "state", "reason", "excerpt"))


def _report(kind: str, values: dict[str, Any]) -> None:
    if kind == "evaluate":
        evaluated(values)
    elif "generation" in values:
        render_backfill.filling(values)
    else:
        render.report(values)


def sums(found: Sequence[Mapping[str, Any]]) -> None:
    """What runs come to, a line a group."""
    render.rows([{**row, "cost_usd": render.usd(row["cost_usd"])} for row in found])


def letters(found: Sequence[Mapping[str, Any]]) -> None:
    """Dead letters, a block each: their reasons and texts are too long for a line."""
    for letter in found:
        where = letter["doc_id"] or letter["uri"]
        state = "" if letter["state"] == "open" else f", {letter['state']} by {letter['by']}: {letter['why']}"
        head = (
            f"{letter['table']}, stage {letter['stage']}, {letter['at'][:19]}, run {letter['run_id']}{state}"
        )
        render.out.print(
            f"[bold]{letter['id'][:SHORT]}[/]  [cyan]{render.escape(where)}[/]  {render.escape(head)}"
        )
        render.out.print(f"          {render.escape(letter['reason'])}")
        text = " ".join(letter["excerpt"].split())
        if text:
            render.out.print(f"          [dim]{render.escape(text)}[/]")
    if not found:
        render.out.print("no dead letters")


SHORT = 8
"""Characters of an id that people see; commands take them for the whole."""
