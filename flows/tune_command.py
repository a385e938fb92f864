"""vecmill tune: an adapter for a table's space, learned from texts that belong together."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows import render
from flows.history_commands import TABLE
from flows.options import Access, Common, spread
from flows.request import load
from flows.search_command import searcher


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(tune))


def tune(
    table: TABLE,
    examples: Annotated[
        Path,
        typer.Argument(
            help="Rows of anchor, positive; or of these and negative; or of text_a, text_b, score."
        ),
    ],
    access: Access,
    common: Common,
    rounds: Annotated[int, typer.Option(help="Through all examples, at most.")] = 60,
    hold: Annotated[float, typer.Option(help="How strongly vectors are held where they are.")] = 0.02,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Keep an adapter that is no better on what it has not seen.")
    ] = False,
) -> None:
    """Learn a linear adapter for a table's space; in the space that it makes nothing is paid again."""
    from infra.tuning import tune_table
    from pipeline.tuning import Course

    opened = searcher(load(common), table, access)
    values = tune_table(opened, examples, Course(rounds=rounds, hold=hold), keep_anyway=anyway)
    (render.json_document if common.json else _show)(values)


def _show(values: dict[str, Any]) -> None:
    render.out.print(
        f"learned from {values['learned']:,} {values['kind']} in {values['rounds']} rounds, "
        f"measured on {values['held_out']:,} others"
    )
    render.rows(
        {"measure": name, "before": f"{before:.4f}", "after": f"{values['after'][name]:.4f}"}
        for name, before in values["before"].items()
    )
    if values["space"] is None:
        render.note("it is no better on what it has not seen, and was not kept; --anyway keeps it")
        return
    render.out.print(render.escape(f"its space is {values['space']}; to go over to it:"))
    render.out.print(render.escape(f"  vecmill backfill {values['table']} --embedding {values['space']}"))
