"""The analyses that embed what a person asks: classes by their descriptions, recommendations."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows import render, render_analyze
from flows.analyze import PNG, WHERE, drawn, population
from flows.history_commands import AT, TABLE
from flows.options import Access, Common, spread
from flows.request import load
from flows.search_command import searcher
from pipeline.errors import InputError, UsageError


def register(group: typer.Typer) -> None:
    """Add the commands to the group of analyses."""
    for command in (classify, recommend):
        group.command()(spread(command))


def classify(
    table: TABLE,
    access: Access,
    common: Common,
    category: Annotated[
        list[str] | None, typer.Option(help='A class: "name" or "name: what is meant"; again for each.')
    ] = None,
    temperature: Annotated[float, typer.Option(help="The lower, the surer.")] = 0.05,
    documents: Annotated[bool, typer.Option("--documents", help="Classes of documents, not chunks.")] = False,
    labelled: Annotated[
        Path | None, typer.Option(help="Rows of doc_id and label, which a cascade is learned on.")
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Dimensions that decide first, such as 64,128.")] = None,
    where: WHERE = None,
    png: PNG = None,
    at: AT = None,
) -> None:
    """Deal chunks out among categories by what these are called; nothing is trained."""
    from pipeline.analysis import charts
    from pipeline.analysis.classify import Classes
    from pipeline.analysis.classify import classify as deal

    if (labelled is None) != (steps is None):
        raise UsageError("--labelled and --steps go together: a cascade is learned on a labelled sample")
    names, texts = _categories(category or [])
    chunks = population(common, table, at, where)
    vectors = searcher(load(common), table, access, at).embedded(texts)
    classes = Classes(names, vectors, temperature)
    learned = None
    if labelled is not None and steps is not None:
        learned = _learned(classes, chunks, labelled, steps)
        classes = Classes(names, vectors, temperature, learned.cascade)
    found = deal(chunks, classes, by_document=documents)
    found["cascade"] = learned.record() if learned else None
    drawn(charts.classes, found, png)
    (render.json_document if common.json else render_analyze.classes)(found)


def recommend(
    table: TABLE,
    access: Access,
    common: Common,
    like: Annotated[list[str] | None, typer.Option(help="A text; again for each.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="A doc_id that was liked; again for each.")] = None,
    seen: Annotated[list[str] | None, typer.Option(help="A doc_id to leave out; again for each.")] = None,
    most: Annotated[int, typer.Option(help="How many documents.")] = 10,
    where: WHERE = None,
    at: AT = None,
) -> None:
    """Documents like a text, like an item, or like a history of items; without what was seen."""
    from pipeline.analysis.recommend import recommend as find

    chunks = population(common, table, at, where)
    texts = like or []
    vectors = searcher(load(common), table, access, at).embedded(texts) if texts else []
    found = find(chunks, dict(zip(texts, vectors, strict=True)), item or [], seen or [], most)
    (render.json_document if common.json else render_analyze.recommendations)(found)


def _categories(given: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The names of categories, and the texts that stand for them."""
    pairs = [one.partition(":") for one in given]
    names = tuple(name.strip() for name, _, _ in pairs)
    texts = [text.strip() or name.strip() for name, _, text in pairs]
    if not all(names):
        raise UsageError("a category needs a name: write --category 'name: what is meant'")
    return names, texts


def _learned(classes: Any, chunks: Any, labelled: Path, steps: str) -> Any:
    import numpy as np

    from pipeline.analysis.classify import learn
    from pipeline.analysis.labelled import read_labels

    try:
        sizes = [int(step) for step in steps.split(",")]
    except ValueError:
        raise UsageError(f"--steps is {steps!r}; write dimensions, such as 64,128") from None
    known = read_labels(labelled)
    unknown = sorted(set(known.values()) - set(classes.names))
    if unknown:
        raise InputError(f"{labelled} has the label {unknown[0]!r}, which is no --category")
    doc_ids = chunks.columns("doc_id")["doc_id"].to_pylist()
    places = np.array([place for place, doc_id in enumerate(doc_ids) if doc_id in known], np.int64)
    if not len(places):
        raise InputError(f"no document of {labelled} is in table {chunks.table!r}")
    labels = np.array([classes.names.index(known[doc_ids[place]]) for place in places.tolist()])
    return learn(classes, chunks.vectors(places), labels, sizes)
