"""The demo: the whole path on documents that the package carries."""

from pathlib import Path
from shlex import quote
from typing import Any, cast

from flows import render, render_hits
from flows.options import Common
from flows.render_progress import Bars
from flows.served import server_of
from infra.config import PipelineConfig, SourceConfig, StoreConfig
from infra.nearby import HOME
from infra.settings import keep_prefect_in
from pipeline.objects import is_remote, resolved

_TABLE = "demo"
_SAMPLES = Path(__file__).parent / "samples"
_QUESTIONS = (
    "Who should be called when the electricity fails at night?",
    "暗さに目が慣れるまで何分かかりますか",
)


def run_demo(store: StoreConfig, common: Common) -> None:
    """Ingest the samples as the real flow on a Prefect server, then search in English and Japanese."""
    if server_of(store) is None:
        if not is_remote(store.uri):
            keep_prefect_in(Path(resolved(store.uri)) / HOME)
        if not common.quiet:
            render.err.print("starting Prefect's embedded server (about ten seconds) …")
    values = _ingested(store, common)
    answers = {question: _found(store, question) for question in _QUESTIONS}
    if common.json:
        searches = [{"query": question, "hits": hits} for question, hits in answers.items()]
        render.json_document({"ingest": values, "searches": searches})
        return
    pages = sum(values["documents"][name] for name in ("new", "changed", "unchanged"))
    render.out.print(f"\n[bold]{pages} pages of a handbook, English and Japanese[/] ({_SAMPLES})\n")
    render.report(values)
    for question, hits in answers.items():
        render.out.print()
        render_hits.hits(question, hits)
    render.out.print(_next(store))


def _ingested(store: StoreConfig, common: Common) -> dict[str, Any]:
    from flows.ingest import ingest
    from tasks.progress import listen

    pipeline = PipelineConfig(table=_TABLE, source=SourceConfig(uri=str(_SAMPLES), glob="**/*.md"))
    with Bars.of(common) as bars:
        listen(bars)
        return cast("dict[str, Any]", ingest(pipeline, store))  # it waits for its turn, and is never skipped


def _found(store: StoreConfig, question: str) -> list[dict[str, Any]]:
    from pipeline.job import Endpoint
    from pipeline.objects import Objects
    from pipeline.search.find import search

    return search(Objects(store.uri), _TABLE, question, endpoint=Endpoint(), mode="hybrid", top_k=3)


def _next(store: StoreConfig) -> str:
    where = "" if store.uri == StoreConfig().uri else f" --store {quote(store.uri)}"
    commands = (
        "demo",
        'search --table demo "When does wind force us to close?"',
        'sql "select doc_id, count(*) as chunks from demo group by all order by 2 desc limit 5"',
        "versions demo",
        "ingest YOUR_FOLDER --table docs",
    )
    again = "The same command once more finds nothing changed, and embeds nothing."
    return "\n".join(["\nWhat to try next:", *(f"  vecmill {words}{where}" for words in commands), again])
