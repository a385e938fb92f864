"""The commands that read: split, sql, tables, the run ledger, and search."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows import render, render_runs
from flows.options import Common, Cut, Rows, Side, spread
from flows.request import load, option_of
from flows.search_command import search
from infra.embedding_form import DEFAULT_SPACE
from pipeline.errors import UsageError
from pipeline.objects import Objects


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (search, split, sql, tables, runs):
        app.command()(spread(command))


def split(
    file: Annotated[
        str,
        typer.Argument(
            help="A file, - for standard input; with --compare a folder, rows or a pipeline, too."
        ),
    ],
    cut: Cut,
    side: Side,
    rows: Rows,
    common: Common,
    embedding: Annotated[
        str | None, typer.Option(help="The space whose tokens count; local/wordllama@256.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every chunk, and all of its text.")] = False,
) -> None:
    """Show how a file is cut into chunks, and why there. Of HTML it cuts the file, not the text it shows."""
    from infra.splitters import named_space

    space = named_space(embedding) if embedding else None
    if side.compare is not None:
        from flows.compare import compare

        compare(file, cut, side, rows, space, load(common), common)
        return
    from flows.split import show

    of_many = [name for group in (side, rows) for name, value in asdict(group).items() if value is not None]
    if of_many:
        raise UsageError(f"{option_of(of_many[0])} goes with --compare, which puts splitters side by side")
    show(file, cut, space or DEFAULT_SPACE, common, full=full)


def sql(query: Annotated[str, typer.Argument(help="One SELECT.")], common: Common) -> None:
    """Query tables, versions of them ("table@3"), runs and dead_letters with DuckDB; reads only."""
    from pipeline.analysis.sql import query as run_query

    found = run_query(_store(common), query)
    if common.json:
        render.json_document(list(found))
    else:
        render.rows(found)


def tables(common: Common) -> None:
    """The tables of the store, what backfills fill beside them, and where each lies for LanceDB."""
    from pipeline.store.log import Log, published_tables, under_way
    from pipeline.store.table import generation_uri

    store = _store(common)
    found = []
    for name in published_tables(store):
        entry = Log(store, name).live()
        space, splitter = entry.specs()
        found.append(
            {
                "table": name,
                "version": entry.version,
                "chunks": entry.chunks,
                "space": space.name,
                "splitter": splitter.name,
                "next": ", ".join(
                    f"{log.generation} {log.live().specs()[0].name}" for log in under_way(store, name)
                ),
                "uri": generation_uri(store, name, entry.generation),
            }
        )
    _show(found, common)


def runs(
    common: Common,
    run_id: Annotated[str | None, typer.Argument(help="One run; all if left out.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Sums by any of pipeline, table, kind, state, model, day, month: pipeline,month."),
    ] = None,
) -> None:
    """The run ledger: what ran, how it ended, and what it cost."""
    from pipeline.ledger import Ledger

    ledger = Ledger(_store(common))
    if by is not None:
        if run_id is not None:
            raise UsageError("--by sums all runs; leave it out to see one")
        sums = ledger.sums([name.strip() for name in by.split(",")])
        (render.json_document if common.json else render_runs.sums)(sums)
        return
    if run_id is None:
        found = ledger.runs()
        if common.json:
            render.json_document(found)
        else:
            render_runs.runs(found)
        return
    run = ledger.run(run_id)
    if common.json:
        render.json_document(run)
        return
    render_runs.run(run)


def _store(common: Common) -> Objects:
    return Objects(load(common).store.uri)


def _show(found: list[dict[str, Any]], common: Common) -> None:
    (render.json_document if common.json else render.rows)(found)
