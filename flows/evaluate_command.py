"""vecmill evaluate: how well a table answers questions whose answers are known."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer import Option

from flows import render
from flows.options import Common, spread
from flows.request import load
from pipeline.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(evaluate))


def evaluate(
    table: Annotated[str, typer.Argument(help="A table, or a version of one: docs@3.")],
    common: Common,
    queries: Annotated[str | None, Option(help="Questions: a file of query_id and text.")] = None,
    qrels: Annotated[
        str | None, Option(help="What answers them: a file of query_id, doc_id and relevance.")
    ] = None,
    pairs: Annotated[
        str | None, Option(help="Sentence pairs: a file of sentence1, sentence2 and score.")
    ] = None,
    threshold: Annotated[
        float | None, Option(help="The cosine from which on a pair is alike; else half of them choose it.")
    ] = None,
    against: Annotated[list[str] | None, Option(help="A table or version to compare with; again.")] = None,
    modes: Annotated[
        str, Option(help="Of vector, text, hybrid, funnel, and exact (by vectors, past any index).")
    ] = "vector,text,hybrid",
    dimensions: Annotated[
        str | None, Option(help="Beginnings of the vectors to compare, too: 64,128.")
    ] = None,
    top_k: Annotated[int, Option(help="Documents of a ranking that count.")] = 10,
    at_least: Annotated[
        float | None, Option(help="Fail (exit 5) where the best mode's nDCG is lower.")
    ] = None,
) -> None:
    """Measure how well a table answers questions whose answers are known."""
    from infra.evaluate_form import EvaluateConfig
    from infra.evaluating import evaluated
    from infra.settings import explain

    try:
        form = EvaluateConfig(
            table=table,
            queries=queries,
            qrels=qrels,
            pairs=pairs,
            threshold=threshold,
            against=tuple(against or ()),
            modes=tuple(name.strip() for name in modes.split(",")),
            dimensions=_numbers(dimensions),
            top_k=top_k,
            at_least=at_least,
        )
    except ValidationError as error:
        raise UsageError(explain(error, {})) from error
    found = evaluated(form, load(common))
    (render.json_document if common.json else told)(found)


def told(found: dict[str, Any]) -> None:
    """What was found, for people."""
    if found.get("compared"):
        render.rows([_row(one) for one in found["compared"]])
    elif found["modes"]:
        render.rows([_row({"mode": mode, **one}) for mode, one in found["modes"].items()])
    if found["modes"]:
        render.out.print(f"{found['queries']:,} queries; run {found['run_id']}")
        if found["absent"]:
            render.note(f"the table has no chunk of {found['absent']:,} documents that would answer")
    if found.get("pairs"):
        render.rows([_row(one) for one in found["pairs"]])


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """A row for people: the bounds of the first score beside it, as one cell."""
    shown = {name: f"{value:.4f}" if _is_score(name, value) else value for name, value in one.items()}
    bounds = f"{shown.pop('low')} to {shown.pop('high')}"
    first = next(name for name in shown if name.startswith(("ndcg", "spearman")))
    names = list(shown)
    names.insert(names.index(first) + 1, "95 %")
    shown["95 %"] = bounds
    if "milliseconds" in shown:
        names[names.index("milliseconds")] = "ms a query"
        shown["ms a query"] = shown["milliseconds"]
    return {name: shown[name] for name in names}


def _is_score(name: str, value: Any) -> bool:
    return isinstance(value, float) and name != "milliseconds"


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(","))) if text else ()
    except ValueError:
        raise UsageError(f"--dimensions is {text!r}; write numbers such as 64,128") from None
