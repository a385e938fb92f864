"""vecmill tune: a table's space, or a model itself, learned from texts that belong together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from flows import render
from flows.history_commands import TABLE
from flows.options import Access, Common, spread
from flows.request import load
from flows.search_command import searcher
from pipeline.errors import UsageError

_ROUNDS, _RATE, _HOLD = 60, 2e-3, 0.02  # of an adapter


@dataclass(frozen=True, slots=True)
class Model:
    """Fine-tuning a sentence-transformers model itself, in place of an adapter."""

    into: Annotated[
        Path | None, Option(help="Fine-tune the model, and write it into this folder; an extra does it.")
    ] = None
    model: Annotated[
        str | None, Option(help="The model to begin with: sentence-transformers/…@…; else the table's.")
    ] = None
    loss: Annotated[
        str | None,
        Option(help="ranking for pairs, ranking or triplet for triplets, cosine for scored pairs."),
    ] = None
    batch: Annotated[int | None, Option(help="Examples at once: what memory allows; 32 if left out.")] = None


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
    model: Model,
    access: Access,
    common: Common,
    rounds: Annotated[
        int | None, Option(help=f"Through all examples, at most: {_ROUNDS}; 4 for a model.")
    ] = None,
    rate: Annotated[float | None, Option(help=f"Of learning: {_RATE:g}; 2e-5 for a model.")] = None,
    hold: Annotated[
        float | None, Option(help=f"Adapter: how strongly vectors are held where they are: {_HOLD:g}.")
    ] = None,
    anyway: Annotated[
        bool, Option("--anyway", help="Keep what is no better on what it has not seen.")
    ] = False,
) -> None:
    """Learn a linear adapter for a table's space, in which nothing is paid again; or a model of its own."""
    from infra.tuning import Lesson, tune_model, tune_table
    from pipeline.space import Space
    from pipeline.tuning import Course

    opened = searcher(load(common), table, access)
    if model.into is not None:
        if hold is not None:
            raise UsageError("--hold is for adapters, and --into tunes the model itself; leave one out")
        space = Space.parse(model.model) if model.model else opened.space
        lesson = Lesson(model.into, model.loss, rounds, model.batch, rate)
        values = tune_model(space, examples, lesson, _progress(common), keep_anyway=anyway)
        (render.json_document if common.json else _show)({"table": table, **values})
        return
    if model.model or model.loss or model.batch:
        raise UsageError("--model, --loss and --batch fine-tune a model; say --into FOLDER, too")
    course = Course(
        rounds=_ROUNDS if rounds is None else rounds,
        rate=_RATE if rate is None else rate,
        hold=_HOLD if hold is None else hold,
    )
    values = tune_table(opened, examples, course, keep_anyway=anyway)
    (render.json_document if common.json else _show)(values)


def _progress(common: Common) -> Any:
    def told(number: int, learned: float, watched: float) -> None:
        if not common.quiet:
            render.note(f"round {number}: loss {learned:.4f}, on what is held out {watched:.4f}")

    return told


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
    cut = " --matryoshka" if values.get("cut") else ""
    render.out.print(
        render.escape(f"  vecmill backfill {values['table']} --embedding {values['space']}{cut}")
    )
