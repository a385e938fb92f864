"""vecmill cache: what was paid for, and taking it elsewhere."""

from typing import Annotated

import typer

from flows import render
from flows.export_commands import FORCE, FORMAT, of_this_machine
from flows.options import Common, spread
from flows.render_progress import Bars
from flows.request import load
from pipeline.errors import InputError
from pipeline.objects import Objects


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        help="The vectors that were paid for: list them, or export them.", invoke_without_command=True
    )
    group.callback()(spread(_listed_if_alone))
    group.command(name="list")(spread(list_caches))
    group.command()(spread(export))
    app.add_typer(group, name="cache")


def _listed_if_alone(context: typer.Context, common: Common) -> None:
    if context.invoked_subcommand is None:
        list_caches(common)


def list_caches(common: Common) -> None:
    """The embedding spaces whose vectors the store has, paid for once and for all tables."""
    from pipeline.cache import held  # Lance beneath takes most of a second to import

    found = [one.record() for one in held(Objects(load(common).store.uri))]
    if common.json:
        render.json_document(found)
    else:
        render.rows({**one, "bytes": render.size(one["bytes"])} for one in found)


def export(
    file: Annotated[str, typer.Argument(help="Where to: .parquet, .duckdb or .arrow.")],
    common: Common,
    embedding: Annotated[
        str | None, typer.Option(help="The space: provider/model@dimensions. The only one if left out.")
    ] = None,
    format: FORMAT = None,
    force: FORCE = False,
) -> None:
    """Write the vectors of a space into one file. Another store takes a Parquet file in: vecmill import."""
    from pipeline.cache import held
    from pipeline.store.export import export_cache

    path = of_this_machine(file)
    store = Objects(load(common).store.uri)
    spaces = [one.space for one in held(store)]
    meant = [space for space in spaces if embedding in (None, space.name)]
    names = ", ".join(sorted({space.name for space in spaces})) or "nothing yet"
    if not meant:
        raise InputError(f"the cache has no vectors of {embedding or 'any space'}; it has {names}")
    if len(meant) > 1:
        raise InputError(f"the cache has vectors of more than one space; say which with --embedding: {names}")
    with Bars.of(common) as bars:
        done = export_cache(store, meant[0], path, format, force=force, progress=bars)
    if common.json:
        render.json_document(done.record())
        return
    told = (
        f"{done.vectors:,} vectors of {done.space} are in {file} as {done.format}, {render.size(done.bytes)}"
    )
    render.out.print(render.escape(told))
