"""vecmill index: the index of a table's vectors, with the recall that was measured on the table."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from flows import render
from flows.history_commands import TABLE
from flows.options import Access, Common, spread
from flows.request import load
from pipeline.objects import Objects


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(index))


def index(
    table: TABLE,
    access: Access,
    common: Common,
    kind: Annotated[
        str,
        Option(help="auto, none, ivf_rq, ivf_pq, ivf_sq, ivf_flat, hnsw_sq, hnsw_pq or hnsw_flat."),
    ] = "auto",
    recall: Annotated[float, Option(help="Share of the true hits that a search has to find.")] = 0.95,
    top_k: Annotated[int, Option(help="Among so many hits.")] = 10,
    funnel: Annotated[bool, Option("--funnel", help="Make the sketches of --mode funnel, too.")] = False,
    queries: Annotated[
        Path | None, Option(help="Measure with queries, a file of query_id and text; else with vectors.")
    ] = None,
) -> None:
    """Index a table's vectors, and measure on the table what that finds."""
    from flows.search_command import searcher
    from pipeline.analysis.labelled import read_queries
    from pipeline.search.index import Wish
    from pipeline.search.indexing import index_table

    wish = Wish(kind, recall, top_k)
    config = load(common)
    asked = None
    if queries is not None:
        asked = searcher(config, table, access).embedded(list(read_queries(queries).values()))
    made = index_table(Objects(config.store.uri), table, wish, sketches=funnel, asked=asked)
    (render.json_document if common.json else _told)(made)


def _told(made: dict[str, Any]) -> None:
    rows = [("index", made["kind"] if made["kind"] != "none" else "none: all vectors are compared")]
    if made["probes"]:
        rows += [
            ("recall", f"{made['recall']:.3f} of the true {made['top_k']}, by {made['questions']} questions"),
            ("effort", f"{made['probes']} partitions, {made['refine']} candidates a hit"),
            ("built in", f"{made['seconds']} s over {made['rows']:,} chunks"),
        ]
    if made["funnel"]:
        funnel = made["funnel"]
        steps = [f"{step['keep']:,} by {step['dimensions']} bits" for step in funnel["steps"]]
        told = ", then ".join([*steps, f"{funnel['vectors']:,} whole vectors"])
        rows.append(("funnel", f"{told}; recall {funnel['recall']:.3f}"))
    render.rows([{"what": what, "found": found} for what, found in rows])
    if made["recall"] < made["wanted"]:
        render.note(
            f"no effort finds {made['wanted']} of the true hits; --kind ivf_flat or hnsw_flat finds more"
        )
