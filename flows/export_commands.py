"""vecmill export and import: a version as one file, and vectors that are paid for already."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import render
from flows.history_commands import AT, TABLE
from flows.options import Common, spread
from flows.render_progress import Bars
from flows.request import load
from infra.config import Config
from pipeline.errors import InputError, UsageError
from pipeline.local_models import identified
from pipeline.objects import Objects, is_remote
from pipeline.space import Space
from pipeline.store.log import Log

if TYPE_CHECKING:
    from pipeline.store.seed import Reading

FORMAT = Annotated[str | None, typer.Option(help="parquet, duckdb or arrow; told by the file's name.")]
FORCE = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(spread(export))
    app.command(name="import")(spread(import_vectors))


def export(
    table: TABLE,
    file: Annotated[str, typer.Argument(help="Where to: .parquet, .duckdb or .arrow.")],
    common: Common,
    at: AT = None,
    format: FORMAT = None,
    force: FORCE = False,
) -> None:
    """Write a version into one file, vectors and all, for other tools."""
    from pipeline.store.export import export as write
    from pipeline.store.versions import entry_at

    path = of_this_machine(file)
    store = Objects(load(common).store.uri)
    entry = entry_at(store, table, at)
    with Bars.of(common) as bars:
        done = write(store, table, entry, path, format, force=force, progress=bars)
    if common.json:
        render.json_document(done.record())
        return
    size = f"{done.chunks:,} chunks, {render.size(done.bytes)}"
    told = f"version {done.version} of {table} is in {file} as {done.format}: {size}"
    render.out.print(render.escape(told))


def import_vectors(
    common: Common,
    file: Annotated[Path | None, typer.Argument(help="A Parquet file of texts and their vectors.")] = None,
    table: Annotated[
        str | None, typer.Option(help="The table that is to use them: refuse another space than its own.")
    ] = None,
    embedding: Annotated[
        str | None, typer.Option(help="The space of the vectors, unless the file says it.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The column of texts; text.")] = None,
    vector: Annotated[str | None, typer.Option(help="The column of vectors; vector or embedding.")] = None,
    id: Annotated[str | None, typer.Option(help="The column that names a row in messages.")] = None,
    from_table: Annotated[
        str | None, typer.Option(help="In place of a file: a table that vecmill has made.")
    ] = None,
    from_store: Annotated[str | None, typer.Option(help="The store of that table; this one.")] = None,
    at: AT = None,
) -> None:
    """Take vectors that are paid for already into the cache: an ingest of their texts pays for nothing."""
    from pipeline.store.seed import seed

    config = load(common)
    of_file, of_table = (
        {"--text": text, "--vector": vector, "--id": id},
        {"--from-store": from_store, "--at": at},
    )
    if (file is None) == (from_table is None):
        raise UsageError("say which vectors: a Parquet file, or a table with --from-table")
    for option, given in (of_table if file else of_file).items():
        if given is not None:
            raise UsageError(f"{option} goes with {'--from-table' if file else 'a file'}; leave it out")
    if file is not None:
        stated, read = _of_file(file, text, vector, id)
    else:
        stated, read = _of_table(Objects(from_store or config.store.uri), str(from_table), at)
    space = _settled(config, stated, embedding, table, str(file or from_table))
    store = Objects(config.store.uri, create=True)
    with Bars.of(common) as bars:
        done = seed(store, space, lambda: read(space), bars)
    if not done.taken + done.known and done.bad.rows:
        raise InputError(
            f"{file or from_table} has no vector that can be used: {'; '.join(done.bad.reasons)}"
        )
    (render.json_document if common.json else render.seeded)(done.record())


def of_this_machine(file: str) -> Path:
    """The path of a file to write; raises UsageError for one on object storage."""
    if is_remote(file):
        raise UsageError(f"{file} is no file of this machine; export to one, then copy it")
    return Path(file)


def _of_file(
    file: Path, text: str | None, vector: str | None, id: str | None
) -> tuple[Space | None, Callable[[Space], "Reading"]]:
    """The space that a file states, if it does, and what reads its vectors."""
    from pipeline.store.vector_file import Columns, VectorFile

    vectors = VectorFile(file, Columns(text, vector, id))
    return vectors.space, vectors.read


def _of_table(
    source: Objects, table: str, at: str | None
) -> tuple[Space | None, Callable[[Space], "Reading"]]:
    """The space of a version, and what reads its vectors."""
    from pipeline.store.seed import of_version
    from pipeline.store.table import open_version
    from pipeline.store.versions import entry_at

    entry = entry_at(source, table, at)
    dataset = open_version(source, table, entry)
    return entry.specs()[0], lambda _: of_version(dataset)


def _settled(
    config: Config, stated: Space | None, named: str | None, table: str | None, source: str
) -> Space:
    """The space of vectors: as their source states it, or as the command names it; it has to be the table's.

    Raises InputError where nobody says it, or two say different ones.
    """
    live = Log(Objects(config.store.uri), table).last() if table and _is_there(config) else None
    own = live.specs()[0] if live else None
    space = stated
    if named is not None:
        asked = Space.parse(named)
        if stated is not None and stated.name != asked.name:
            raise InputError(f"{source} says that its vectors are of {stated.name}, not of {asked.name}")
        declared = (form.embedding.space() for form in config.pipelines.values() if form.table == table)
        # A name does not tell prefixes, nor which weights: the table's own space does.
        alike = [one for one in (own, *declared) if one and one.name == asked.name]
        space = stated or (alike[0] if alike else identified(asked))
    if space is None:
        hint = f"; table {table!r} is of {own.name}" if own else ""
        raise InputError(
            f"{source} does not say of which embedding space its vectors are: "
            f"name it, --embedding provider/model@dimensions{hint}"
        )
    if own is not None and own != space:
        same = " with other parameters" if own.name == space.name else ""
        raise InputError(
            f"table {table!r} is of the embedding space {own.name}, the vectors are of {space.name}{same}; "
            "vectors of two spaces cannot be compared"
        )
    return space


def _is_there(config: Config) -> bool:
    try:
        Objects(config.store.uri)
    except InputError:
        return False
    return True
