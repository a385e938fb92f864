"""The commands on a table's past: versions and their names, what differs, and the way back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from flows import render
from flows.options import Common, spread
from flows.request import load
from pipeline.errors import UsageError
from pipeline.objects import Objects

TABLE = Annotated[str, typer.Argument(help="The table.")]
AT = Annotated[
    str | None, typer.Option(help="A version other than the live one: a number, a name or a time.")
]
_Version = Annotated[str, typer.Argument(help="A version: a number, a name or a time.")]

_MARKS = (("added", "+", "green"), ("removed", "-", "red"), ("changed", "~", "yellow"))
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_SHOWN = 100  # documents of each kind


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (versions, diff, name, rollback):
        app.command()(spread(command))


def versions(table: TABLE, common: Common) -> None:
    """The versions of a table, newest first."""
    from pipeline.store.log import Log
    from pipeline.store.versions import versions as list_versions

    store = Objects(load(common).store.uri)
    Log(store, table).live()
    found = list_versions(store, table)
    if common.json:
        render.json_document([{key: row[key] for key in row if key != "table"} for row in found])
        return
    columns = ("version", "kind", "published_at", "chunks", "changes", "run_id", "space", "splitter", "names")
    told = ({**row, "changes": _told(row["counts"]), "names": ", ".join(row["names"])} for row in found)
    render.rows(told, columns)


def diff(
    table: TABLE,
    before: _Version,
    common: Common,
    after: Annotated[str | None, typer.Argument(help="Another; the live one if left out.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="DOC_ID", help="Show how the text of this document differs.")
    ] = None,
) -> None:
    """What differs between two versions: documents, chunks, and on request a document's text."""
    from pipeline.store.versions import entry_at

    store = Objects(load(common).store.uri)
    old, new = (entry_at(store, table, at) for at in (before, after))
    if text is not None:
        from pipeline.analysis.text_difference import text_difference

        lines = text_difference(store, table, text, old, new)
        if common.json:
            render.json_document({"doc_id": text, "diff": "\n".join(lines)})
        else:
            render.lines(Text(render.safe(line), style=_COLOURS.get(line[:1], "")) for line in lines)
            if not lines:
                render.out.print(f"the text is the same in versions {old.version} and {new.version}")
        return
    from pipeline.store.difference import difference

    values = difference(store, table, old, new).record()
    if common.json:
        render.json_document(values)
    else:
        _show(values, f"version {new.version} of {table} against version {old.version}")


def name(
    table: TABLE,
    words: Annotated[
        list[str], typer.Argument(metavar="VERSION NAME", help="A version, and what to call it from now on.")
    ],
    common: Common,
    move: Annotated[bool, typer.Option("--move", help="Take the name from the version that has it.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Take a name away: name TABLE NAME.")] = False,
) -> None:
    """Name a version: it stays readable for as long as it has a name."""
    from pipeline.store.history import name_version
    from pipeline.store.names import Names

    store = Objects(load(common).store.uri)
    if len(words) != (1 if delete else 2):
        raise UsageError("write: name TABLE VERSION NAME, or to take a name away: name TABLE NAME --delete")
    called = words[-1]
    if delete:
        version = Names(store, table).remove(called)
    else:
        version = name_version(store, table, words[0], called, move=move)
    if common.json:
        render.json_document({"table": table, "version": version, "name": called, "deleted": delete})
        return
    says = "is no longer" if delete else "is"
    render.out.print(render.escape(f"version {version} of {table} {says} called {called}"))


def rollback(table: TABLE, version: _Version, common: Common) -> None:
    """Make an old version's content the newest version."""
    from pipeline.store.history import rollback as go_back
    from pipeline.store.versions import entry_at

    store = Objects(load(common).store.uri)
    target = entry_at(store, table, version).version
    entry = go_back(store, table, target)
    if common.json:
        render.json_document({"table": table, **asdict(entry)})
    else:
        render.out.print(f"version {entry.version} of {table} is live, with the content of version {target}")


def _told(counts: Mapping[str, Any]) -> str:
    """What a version's run changed, in a few words."""
    if "to" in counts:
        return f"back to {counts['to']}"
    if "from" in counts:
        return f"in place of generation {counts['from']}"
    parts = [
        f"{what} {', '.join(f'{count:,} {kind}' for kind, count in counts[what].items() if count)}"
        for what in ("documents", "chunks")
        if any(counts.get(what, {}).values())
    ]
    return "; ".join(parts)


def _show(values: Mapping[str, Any], what: str) -> None:
    documents, chunks = values["documents"], values["chunks"]
    told = [f"{len(documents[kind]):,} {kind}" for kind, _, _ in _MARKS if documents[kind]]
    render.out.print(render.escape(what))
    render.out.print(f"documents  {', '.join(told) or 'none differ'}")
    render.out.print(f"chunks     {chunks['added']:,} added, {chunks['removed']:,} removed")
    for kind, mark, colour in _MARKS:
        ids = documents[kind]
        render.lines(Text(f"{mark} {render.safe(doc_id)}", style=colour) for doc_id in ids[:_SHOWN])
        if len(ids) > _SHOWN:
            render.out.print(f"… {len(ids) - _SHOWN:,} more are {kind}; --json gives all of them")
