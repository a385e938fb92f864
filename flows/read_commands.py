"""The commands that read: search, split, sql, tables and the run ledger."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows import render, render_runs
from flows.history_commands import AT
from flows.options import Access, Common, Cut, Rows, Side, spread
from flows.request import load, option_of
from infra.embedding_form import DEFAULT_SPACE, EmbeddingConfig
from pipeline.errors import InputError, UsageError
from pipeline.local_models import identified
from pipeline.model import Space
from pipeline.objects import Objects


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (search, split, sql, tables, runs):
        app.command()(spread(command))


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    access: Access,
    common: Common,
    table: Annotated[str | None, typer.Option(help="The table; may be left out where there is one.")] = None,
    mode: Annotated[str, typer.Option(help="vector, text, hybrid or funnel.")] = "hybrid",
    top_k: Annotated[int, typer.Option(help="How many to find.")] = 10,
    where: Annotated[str | None, typer.Option(help="SQL over the columns, to filter.")] = None,
    at: AT = None,
) -> None:
    """Find chunks for a query."""
    from infra.wiring import make_endpoint
    from pipeline.model import Endpoint
    from pipeline.search.find import search as find
    from pipeline.store.versions import entry_at

    config = load(common)
    store = Objects(config.store.uri)
    name = table or _only_table(store)
    own, _ = entry_at(store, name, at).specs()
    given = {key: value for key, value in asdict(access).items() if value and key != "embedding"}
    # The table's own pipeline knows its endpoint: a query must not go to another.
    declared = (form.embedding for form in config.pipelines.values() if form.table == name)
    form = EmbeddingConfig(**{**next(declared, EmbeddingConfig()).model_dump(), **given})
    endpoint = Endpoint() if mode == "text" else make_endpoint(form, own)
    asked = identified(Space.parse(access.embedding)) if access.embedding else None
    if asked is None and mode != "text":
        asked = _where_its_model_is(form, own)
    found = find(
        store, name, query, endpoint=endpoint, space=asked, mode=mode, top_k=top_k, where=where, at=at
    )
    if common.json:
        render.json_document(found)
    else:
        render.hits(query, found)


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
    """The tables of the store, and where each lies for people who open it with LanceDB."""
    from pipeline.store.log import Log, published_tables
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


def _where_its_model_is(form: EmbeddingConfig, own: Space) -> Space | None:
    """A table's space, its model where the pipeline says that it lies by now; None where it says nothing."""
    named = form.space()
    if named is None or (named.provider, own.remote) != (own.provider, False):
        return None
    found = identified(named)
    return found if found == own else None


def _store(common: Common) -> Objects:
    return Objects(load(common).store.uri)


def _only_table(store: Objects) -> str:
    from pipeline.store.log import published_tables

    found = published_tables(store)
    if not found:
        raise InputError(f"there is no table in {store.uri}; ingest something first")
    if len(found) > 1:
        raise UsageError(f"say which --table to search: {', '.join(found)}")
    return found[0]


def _show(found: list[dict[str, Any]], common: Common) -> None:
    (render.json_document if common.json else render.rows)(found)
