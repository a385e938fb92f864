"""vecmill search: one query or a file of them, against any version of a table."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from flows import render, render_hits
from flows.history_commands import AT
from flows.options import Access, Common
from flows.request import load
from infra.config import Config
from infra.embedding_form import EmbeddingConfig
from infra.reach import access as reached
from pipeline.errors import InputError, UsageError
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.store.versions import At


@dataclass(frozen=True, slots=True)
class Wishes:
    """How chunks are ranked, and what is shown of them."""

    metric: Annotated[str | None, Option(help="vector: cosine, dot, l2, or l1 by an exact scan.")] = None
    exact: Annotated[bool | None, Option("--exact", help="Compare with every vector, past any index.")] = None
    recall: Annotated[float | None, Option(help="Share of the true hits to find, such as 0.99.")] = None
    fusion: Annotated[
        str | None, Option(help="hybrid: confidence, sum, or ranks for reciprocal rank fusion.")
    ] = None
    alpha: Annotated[
        float | None, Option(help="hybrid: the vector's share of the sum; text has the rest.")
    ] = None
    steps: Annotated[
        str | None, Option(help="funnel: dimensions and chunks kept, such as 64:2000,256:200.")
    ] = None
    diversity: Annotated[
        float | None, Option(help="From 0 to 1: how much hits should differ from each other.")
    ] = None
    neighbours: Annotated[int | None, Option(help="Join the text of so many chunks on either side.")] = None


def search(
    wishes: Wishes,
    access: Access,
    common: Common,
    query: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    table: Annotated[str | None, Option(help="The table; may be left out where there is one.")] = None,
    mode: Annotated[str, Option(help="vector, text, hybrid or funnel.")] = "hybrid",
    top_k: Annotated[int, Option(help="How many to find.")] = 10,
    where: Annotated[str | None, Option(help="SQL over a chunk's columns: metadata->>'lang' = 'ja'.")] = None,
    queries: Annotated[Path | None, Option(help="Many queries: a file of query_id and text.")] = None,
    at: AT = None,
) -> None:
    """Find chunks for a query."""
    from pipeline.search.ask import Step, wished

    if (query is None) == (queries is None):
        raise UsageError("search takes one query, or a file of them with --queries")
    said = asdict(wishes) | {"steps": Step.parse(wishes.steps) if wishes.steps else None}
    ask = wished(mode=mode, top_k=top_k, where=where, **said)
    config = load(common)
    name = table or only_table(Objects(config.store.uri))
    asked = [("", query)] if query is not None else _read(queries)
    found = searcher(config, name, access, at, texts_only=mode == "text").find_all(
        [text for _, text in asked], ask
    )
    if common.json:
        many = [
            {"query_id": one, "query": text, "hits": hits}
            for (one, text), hits in zip(asked, found, strict=True)
        ]
        render.json_document(many if queries else found[0])
        return
    for (_, text), hits in zip(asked, found, strict=True):
        render_hits.hits(text or "", hits)


def searcher(config: Config, table: str, access: Access, at: At = None, *, texts_only: bool = False) -> Any:
    """What asks a version of a table, by the endpoint of its space; by none for texts only."""
    from infra.wiring import make_endpoint
    from pipeline.search.find import Searcher
    from pipeline.store.versions import entry_at

    store = Objects(config.store.uri)
    own, _ = entry_at(store, table, at).specs()
    given = {key: value for key, value in asdict(access).items() if value and key != "embedding"}
    # The table's own pipeline, or its runs, know its endpoint: a query must not go to another.
    known = EmbeddingConfig() if texts_only else reached(config, store, table, own)
    form = EmbeddingConfig(**{**known.model_dump(), **given})
    endpoint = Endpoint() if texts_only else make_endpoint(form, own)
    asked = identified(Space.parse(access.embedding)) if access.embedding else None
    if asked is None and not texts_only:
        asked = _where_its_model_is(form, own)
    return Searcher(store, table, endpoint=endpoint, space=asked, at=at)


def only_table(store: Objects) -> str:
    """The table of a store that has one; raises what says that there are none, or which there are."""
    from pipeline.store.log import published_tables

    found = published_tables(store)
    if not found:
        raise InputError(f"there is no table in {store.uri}; ingest something first")
    if len(found) > 1:
        raise UsageError(f"say which --table to search: {', '.join(found)}")
    return found[0]


def _read(queries: Path | None) -> list[tuple[str, str]]:
    from pipeline.analysis.labelled import read_queries

    assert queries is not None
    return list(read_queries(queries).items())


def _where_its_model_is(form: EmbeddingConfig, own: Space) -> Space | None:
    """A table's space, its model where the pipeline says that it lies by now; None where it says nothing."""
    named = form.space()
    if named is None or (named.provider, own.remote) != (own.provider, False):
        return None
    found = identified(named)
    return found if found == own else None
