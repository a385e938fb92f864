"""What embedding costs beside the provider's price: CPU seconds for a million vectors of 1536 dimensions.

    uv run --group benchmarks python -m tests.benchmarks.embedding_overhead [--texts N] [--rounds N]

An endpoint that answers at once runs in a process of its own; each contender in another, whose CPU time is
counted with all its threads. Ours is the whole embed stage, from staged texts to the vector cache on disk. A
bare script posts, decodes and forgets; it has the SDK's embeddings without its slow parts. LangChain embeds
into LanceDB.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any

import numpy as np
import openai
import orjson
import pyarrow as pa

from infra.settings import be_quiet
from pipeline import ids, schema
from pipeline.embedding import connect
from pipeline.engine import InlineEngine
from pipeline.job import Endpoint, Job, Secret, SourceSpec
from pipeline.model import ChunkCounts, DocumentCounts, Plan
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.context import Context
from pipeline.stages.embed import embed
from pipeline.stages.plan import TEXTS
from tests.benchmarks.side_by_side import Step, cpu_rounds, table
from tests.pipeline.stages.steps import begin

_SPACE = Space("openai", "text-embedding-3-small", 1536)
_BATCH = 128  # texts a request, for all
_AT_ONCE = 8  # requests
_PATIENCE = 1200.0  # seconds that a contender may take

Send = Callable[[Sequence[str]], Awaitable[object]]


def main() -> None:
    """Print the table and the verdicts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    be_quiet()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # or it asks a host when it is imported
    texts = [
        f"短い文 {number}: a short text about topic {number * 31 % 9973}" for number in range(given.texts)
    ]
    with endpoint() as url:
        contenders: dict[str, Callable[[], Step]] = {
            "vecmill, the embed stage": partial(_stage, url, texts),
            "vecmill, the request path": partial(_request_path, url, texts),
            "a bare script, lean": partial(_lean, url, texts),
            "the SDK's default path": partial(_default, url, texts),
            **_langchain(url, texts),
        }
        seconds = cpu_rounds(given.rounds, contenders, _PATIENCE)
    million = 1e6 / given.texts
    table(
        ["contender", "CPU seconds a million vectors"],
        [[name, f"{median(found) * million:.1f}"] for name, found in seconds.items()],
    )
    _verdict(seconds, "vecmill, the embed stage", "a bare script, lean", 1.5)
    _verdict(seconds, "vecmill, the request path", "the SDK's default path", 0.42)
    _verdict(seconds, "vecmill, the embed stage", "LangChain into LanceDB", 0.2)


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """The URL of a fast endpoint that runs beside."""
    words = [sys.executable, "-m", "tests.benchmarks.fast_endpoint", *options]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def _verdict(seconds: dict[str, list[float]], ours: str, peer: str, most: float) -> None:
    if peer in seconds:
        share = median(one / other for one, other in zip(seconds[ours], seconds[peer], strict=True))
        verdict = "ok" if share <= most else "OVER"
        print(f"{ours}, against {peer}: {share:.2f} times its CPU time (<= {most:g} {verdict})")


def staged(
    url: str,
    texts: Sequence[str],
    folder: Path,
    tokens: Sequence[int] | None = None,
    *,
    space: Space = _SPACE,
    place: int = 0,
    **budget: Any,
) -> tuple[Context, Plan]:
    """A run with these texts staged behind those of lower places, as its embed stage finds it."""
    reached = Endpoint(base_url=url, api_key=Secret("sk-none"), **budget)
    source = SourceSpec("files", ".")
    job = Job("run", str(folder / "store"), "table", source, SplitterSpec(), space, reached)
    context, sizes = begin(job), tokens or [8] * len(texts)
    context.staging.write_json("listed", {"documents": 1})
    for first in range(0, len(texts), 8192):
        some = texts[first : first + 8192]
        columns = {
            "text_hash": list(map(ids.digest, some)),
            "tokens": sizes[first : first + 8192],
            "text": some,
        }
        context.staging.write_table(f"{TEXTS}/{place + first:09d}", pa.table(columns).cast(schema.TEXTS))
    requests = -(-len(texts) // _BATCH)
    counts = (DocumentCounts(), ChunkCounts())
    return context, Plan(*counts, len(texts), sum(sizes), requests, 0, 0.0, None, over_budget=False)


def _stage(url: str, texts: Sequence[str]) -> Step:
    """Our embed stage, with its texts staged."""
    folder = tempfile.TemporaryDirectory(prefix="vecmill-benchmark-")
    context, made = staged(url, texts, Path(folder.name), batch_inputs=_BATCH, max_in_flight=_AT_ONCE)

    def step() -> object:
        with folder:
            return embed(context, made, InlineEngine())

    return step


def _request_path(url: str, texts: Sequence[str]) -> Step:
    """Our provider alone: its vectors are forgotten."""

    async def work() -> None:
        provider = connect(_SPACE, Endpoint(base_url=url, api_key=Secret("sk-none")))
        await _all(texts, provider.embed)
        await provider.close()

    return lambda: asyncio.run(work())


def _lean(url: str, texts: Sequence[str]) -> Step:
    """The SDK with a raw response, a fast transport and a fast parser."""

    async def work() -> None:
        client = openai.AsyncOpenAI(
            api_key="sk-none", base_url=url, max_retries=0, http_client=openai.DefaultAioHttpClient()
        )

        async def send(batch: Sequence[str]) -> object:
            response = await client.embeddings.with_raw_response.create(
                model=_SPACE.model, input=list(batch), encoding_format="base64"
            )
            data = orjson.loads(response.content)["data"]
            decode = resolve_name("pybase64:b64decode")
            return [np.frombuffer(decode(item["embedding"], validate=True), "<f4") for item in data]

        await _all(texts, send)
        await client.close()

    return lambda: asyncio.run(work())


def _default(url: str, texts: Sequence[str]) -> Step:
    """The SDK as its documentation shows it."""

    async def work() -> None:
        client = openai.AsyncOpenAI(api_key="sk-none", base_url=url)
        await _all(texts, lambda batch: client.embeddings.create(model=_SPACE.model, input=list(batch)))
        await client.close()

    return lambda: asyncio.run(work())


async def _all(texts: Sequence[str], send: Send) -> None:
    """Send all texts, some requests at once."""
    batches = iter(range(0, len(texts), _BATCH))

    async def work() -> None:
        for first in batches:
            await send(texts[first : first + _BATCH])

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


def _langchain(url: str, texts: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """LangChain's embeddings into a LanceDB table, where both are installed."""
    try:
        embeddings: Any = resolve_name("langchain_openai:OpenAIEmbeddings")
        lancedb: Any = resolve_name("lancedb")
    except ImportError as error:
        print(f"LangChain into LanceDB is left out: {error}")
        return {}

    def made() -> Step:
        model = embeddings(
            model=_SPACE.model,
            base_url=url,
            api_key="sk-none",
            chunk_size=_BATCH,
            check_embedding_ctx_length=False,
        )

        async def work(folder: str) -> None:
            stored: Any = None
            database = lancedb.connect(folder)
            for first in range(0, len(texts), 8192):
                some = texts[first : first + 8192]
                vectors = await model.aembed_documents(list(some))
                rows = [{"text": text, "vector": vector} for text, vector in zip(some, vectors, strict=True)]
                if stored is None:
                    stored = database.create_table("table", rows)
                else:
                    stored.add(rows)

        def step() -> None:
            with tempfile.TemporaryDirectory(prefix="vecmill-benchmark-") as folder:
                asyncio.run(work(folder))

        return step

    return {"LangChain into LanceDB": made}


if __name__ == "__main__":
    main()
