"""vecmill analyze: what a table's vectors hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import render, render_analyze
from flows.history_commands import AT, TABLE
from flows.options import Common, spread
from flows.request import load
from flows.served import server_of
from pipeline.errors import UsageError
from pipeline.objects import Objects

DRIFTED = 5
"""The exit code of an alarm: as of a gate that is not met."""

WHERE = Annotated[str | None, typer.Option(help="SQL over the columns: only these chunks.")]


def _can_be_drawn(png: Path | None) -> Path | None:
    """Say that the extra is missing before an analysis that may take minutes, and not after it."""
    if png is not None:
        from pipeline.analysis.picture import lettering

        lettering()
    return png


PNG = Annotated[
    Path | None,
    typer.Option("--png", callback=_can_be_drawn, help="Draw a picture, too; an extra does it."),
]
_K = Annotated[int | None, typer.Option("--k", help="How many groups; found out if left out.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        help="What a table's vectors hold: groups, duplicates, outliers, drift.", no_args_is_help=True
    )
    for command in (clusters, duplicates, outliers, drift, coverage):
        group.command()(spread(command))
    group.command(name="map")(spread(draw_map))
    from flows import analyze_asked  # it stands on this module

    analyze_asked.register(group)
    app.add_typer(group, name="analyze")


def clusters(
    table: TABLE, common: Common, k: _K = None, where: WHERE = None, png: PNG = None, at: AT = None
) -> None:
    """Group the chunks, and say what each group is about, in both languages."""
    from pipeline.analysis import charts
    from pipeline.analysis.clusters import clusters as find

    found = find(population(common, table, at, where), k)
    drawn(charts.clusters, found, png)
    _show(found, common, render_analyze.clusters)


def duplicates(
    table: TABLE,
    common: Common,
    threshold: Annotated[float, typer.Option(help="The cosine from which chunks are duplicates.")] = 0.95,
    recall: Annotated[float, typer.Option(help="Share of a text's near-duplicates to find.")] = 0.98,
    most: Annotated[int, typer.Option(help="How many groups to describe.")] = 20,
    where: WHERE = None,
    png: PNG = None,
    at: AT = None,
) -> None:
    """Chunks that say nearly the same, in groups."""
    from pipeline.analysis import charts
    from pipeline.analysis.duplicates import Wanted
    from pipeline.analysis.duplicates import duplicates as find

    wanted = Wanted(threshold, recall, groups=most)
    found = find(population(common, table, at, where), wanted)
    drawn(charts.duplicates, found, png)
    _show(found, common, render_analyze.duplicates)


def outliers(
    table: TABLE,
    common: Common,
    reference: Annotated[
        str | None, typer.Option(help="A version whose chunks say what is usual; the same one if left out.")
    ] = None,
    reference_where: Annotated[
        str | None, typer.Option(help="SQL over the columns: only these chunks of the reference.")
    ] = None,
    k: Annotated[int, typer.Option("--k", help="Centres of the reference.")] = 1,
    quantile: Annotated[float, typer.Option(help="Of the reference, keeps within the bound.")] = 0.99,
    most: Annotated[int, typer.Option(help="How many to show.")] = 20,
    where: WHERE = None,
    png: PNG = None,
    at: AT = None,
) -> None:
    """Chunks that are furthest from the centre of a reference."""
    from pipeline.analysis import charts
    from pipeline.analysis.outliers import outliers as find

    other = None
    if reference is not None or reference_where is not None:
        other = population(common, table, at if reference is None else reference, reference_where)
    found = find(population(common, table, at, where), other, k=k, quantile=quantile, most=most)
    drawn(charts.outliers, found, png)
    _show(found, common, render_analyze.outliers)


def drift(
    table: TABLE,
    before: Annotated[
        str, typer.Argument(help="A version, or a window of time START..END in which chunks were embedded.")
    ],
    common: Common,
    after: Annotated[str | None, typer.Argument(help="Another; the live version if left out.")] = None,
    p: Annotated[float, typer.Option("--p", help="An alarm is at most so likely by chance.")] = 0.001,
    effect: Annotated[float, typer.Option(help="And differs at least so much, of 1.")] = 0.01,
    k: _K = None,
    png: PNG = None,
) -> None:
    """Whether what is embedded now is of the same kind as before; code 5 where it is not."""
    from pipeline.analysis import charts
    from pipeline.analysis.drift import Alarm
    from pipeline.analysis.drift import drift as compare

    found = compare(
        _side(common, table, before), _side(common, table, after or "live"), alarm=Alarm(p, effect), k=k
    )
    drawn(charts.drift, found, png)
    _show(found, common, render_analyze.drift)
    if found.alarm:
        _tell_of_drift(table, common, before, after or "live")
        raise typer.Exit(DRIFTED)


def _tell_of_drift(table: str, common: Common, before: str, after: str) -> None:
    """Let automations act on it, where a server is named that has some."""
    store = load(common).store
    if server_of(store):
        from tasks.events import tell_of

        tell_of("drift", table, store.uri, {"before": before, "after": after})


def coverage(
    table: TABLE,
    common: Common,
    by: Annotated[
        str, typer.Option(help="folder, extension, language, or a field of the metadata.")
    ] = "folder",
    where: WHERE = None,
    png: PNG = None,
    at: AT = None,
) -> None:
    """Documents, chunks, tokens, sizes and languages, by source."""
    from pipeline.analysis import charts
    from pipeline.analysis.queries import QUERIES

    rows = QUERIES["coverage"].rows(population(common, table, at, where), by=by)
    drawn(lambda found, path: charts.coverage(found, table, path), rows, png)
    (render.json_document if common.json else render_analyze.coverage)(rows)


def draw_map(
    table: TABLE,
    common: Common,
    html: Annotated[Path | None, typer.Option(help="Write a page to zoom, hover and search.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw a picture; an extra does it.")] = None,
    method: Annotated[
        str, typer.Option(help="tsne (an extra), pca, or auto: tsne where it is installed.")
    ] = "auto",
    most: Annotated[int, typer.Option(help="How many chunks to show, drawn at random.")] = 50_000,
    k: Annotated[int | None, typer.Option("--k", help="How many groups to colour.")] = None,
    where: WHERE = None,
    at: AT = None,
) -> None:
    """Lay the chunks out in two dimensions, near ones near one another."""
    from pipeline.analysis.map import Map
    from pipeline.analysis.picture import draw

    if html is None and png is None and not common.json:
        raise UsageError("say where to: --html FILE, --png FILE, or --json")
    found = Map.of(population(common, table, at, where), method=method, most=most, k=k)
    if html is not None:
        found.write_page(html)
    if png is not None:
        draw(found, png)
    if common.json:
        render.json_document(found.record())
        return
    for path in (html, png):
        if path is not None:
            size = f"{len(found.points):,} of {found.total:,} chunks by {found.method}"
            render.out.print(render.escape(f"{path} shows {size}"))


def population(common: Common, table: str, at: str | None, where: str | None = None) -> Any:
    """The chunks of a version for which a condition holds."""
    from pipeline.analysis.population import Population
    from pipeline.search.where import rows_where

    store = Objects(load(common).store.uri)
    return Population.of(store, table, at, (lambda data: rows_where(data, where)) if where else None)


def _side(common: Common, table: str, meant: str) -> Any:
    """A version by number, name or time; or START..END, of which either may be left out."""
    from pipeline.analysis.drift import Side

    start, dots, end = meant.partition("..")
    if not dots:
        found = population(common, table, meant)
        return Side(f"version {found.version}", found)
    bounds = [
        f"embedded_at {sign} timestamptz '{_moment(time)}'"
        for sign, time in ((">=", start), ("<", end))
        if time
    ]
    return Side(f"of {meant}", population(common, table, None, " and ".join(bounds) or "true"))


def _moment(time: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(time).astimezone().isoformat()
    except ValueError:
        raise UsageError(f"{time!r} is no time; write such as 2026-11-26T10:00..2026-11-27") from None


def drawn(chart: Callable[[Any, Path], None], found: Any, png: Path | None) -> None:
    """Draw what was found, where a person has asked for it."""
    if png is not None:
        chart(found, png)


def _show(found: Any, common: Common, shown: Any) -> None:
    if common.json:
        render.json_document(found.record())
    else:
        shown(found)
