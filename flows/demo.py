"""The demo: the whole path on documents that the package carries."""

from pathlib import Path
from typing import Any

from flows import render
from flows.options import Common
from infra.config import PipelineConfig, SourceConfig, StoreConfig
from infra.settings import keep_prefect_in, read_environment

_TABLE = "demo"
_SAMPLES = Path(__file__).parent / "samples"
_QUESTIONS = (
    "How long until my eyes are used to the dark?",
    "鏡の上に物を落としてしまったら、まず何をすればいいですか",
)


def run_demo(store: StoreConfig, common: Common) -> None:
    """Ingest the samples as the real flow on a Prefect server, then search in English and Japanese."""
    if read_environment().prefect_api_url is None:
        keep_prefect_in(Path(store.uri).absolute() / "prefect")
        if not common.quiet:
            render.err.print("starting Prefect's embedded server (about ten seconds) …")
    values = _ingested(store, common)
    searches = [{"query": question, "hits": _found(store, question)} for question in _QUESTIONS]
    if common.json:
        render.json_document({"ingest": values, "searches": searches})
        return
    render.out.print(f"\n[bold]24 pages of an observatory's handbook, English and Japanese[/] ({_SAMPLES})\n")
    render.report(values)
    for search in searches:
        render.out.print()
        render.hits(search["query"], search["hits"])
    render.out.print(_next(store))


def _ingested(store: StoreConfig, common: Common) -> dict[str, Any]:
    from flows.ingest import ingest
    from tasks.progress import listen

    pipeline = PipelineConfig(table=_TABLE, source=SourceConfig(uri=str(_SAMPLES), glob="**/*.md"))
    with render.Bars(common.quiet) as bars:
        listen(bars)
        return ingest(pipeline, store)


def _found(store: StoreConfig, question: str) -> list[dict[str, Any]]:
    from pipeline.model import Endpoint
    from pipeline.objects import Objects
    from pipeline.search.find import search

    return search(Objects(store.uri), _TABLE, question, endpoint=Endpoint(), mode="hybrid", top_k=3)


def _next(store: StoreConfig) -> str:
    where = "" if store.uri == StoreConfig().uri else f" --store {store.uri}"
    return f"""
What to try next:
  vecmill demo{where}                                   again: nothing has changed, so nothing is embedded
  vecmill search "when must the dome be closed?"{where}
  vecmill sql "select doc_id, count(*) as chunks from {_TABLE} group by all order by 2 desc"{where}
  vecmill versions {_TABLE}{where}
  vecmill ingest YOUR_FOLDER --table docs{where}         your own Markdown, text and HTML"""
