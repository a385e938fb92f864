"""How much of an endpoint's quota is used, and how often it says no.

    uv run --group benchmarks python -m tests.benchmarks.saturation [--seconds N] [--only WORD]

The metered endpoint permits 600,000 tokens and 3,000 requests a minute. Each contender sends short texts
from a process of its own until it is stopped; what counts is what was billed from the tenth second on. Ours
are four Ray workers, also with their count of tokens 15 % off in either direction; peers are as their
documentation shows.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import httpx
import openai
from tenacity import retry, stop_after_attempt, wait_random_exponential

from infra.settings import be_quiet
from tests.benchmarks.embedding_overhead import staged
from tests.benchmarks.side_by_side import table

_TPM, _RPM = 600_000, 3000
_BURST = 3  # seconds of the limit that gather at the endpoint: nobody can send a minute's tokens at once
_FROM = 10.0  # seconds, from the first bill
_BATCH = 16  # texts a request of a peer: 3,200 tokens
_MODEL, _KEY = "text-embedding-3-small", "sk-none"


@dataclass(frozen=True, slots=True)
class Contender:
    """Sends texts to a URL until it is stopped or done."""

    send: Callable[[str, Sequence[str]], None]
    least: float | None = None  # share of the permitted tokens that it has to use
    refused: float = 0.0  # share of requests that may be answered 429


def main() -> None:
    """Print what each contender came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--only", default="", help="contenders whose name holds this word")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    be_quiet()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # or it asks a host when it is imported
    if given.child:
        name, url = given.child
        _CONTENDERS[name].send(url, _texts(given.seconds))
        return
    rows = []
    for name in _CONTENDERS:
        if given.only in name:
            rows.append(_row(name, given.seconds))
            print("  ", *rows[-1], flush=True)
    table(["contender", "tokens used of those permitted", "answered 429", "requests", "verdict"], rows)


def _texts(seconds: float) -> list[str]:
    """Enough texts of about 200 tokens each, half of them Japanese."""
    number = int(_TPM / 60 * seconds * 1.3 / 200)
    english = (
        "The telescope number {0} points at star {0} on night {0}, and what it sees is written down. " * 8
    )
    japanese = "望遠鏡{0}号は夜{0}に星{0}を見て、見たものを書き留める。" * 6
    return [(english if n % 2 else japanese).format(n) for n in range(number)]


def _row(name: str, seconds: float) -> list[str]:
    contender = _CONTENDERS[name]
    with _endpoint() as url, _child(name, url, seconds) as child:
        seen = _watch(url, child, seconds)
    began = next((at for at, bill in seen if bill["tokens"]), 0.0)
    start = next(((at, bill) for at, bill in seen if at >= began + _FROM), seen[-1])
    last = seen[-1]
    passed = last[0] - start[0]
    used = (last[1]["tokens"] - start[1]["tokens"]) / (_TPM / 60 * passed) if passed > 1 else 0.0
    arrived = last[1]["arrived"]
    refused = last[1]["rejected_429"] / max(1, arrived)
    verdict = "" if last[0] - began >= seconds - 1 else f"ended after {last[0] - began:.0f} s"
    if contender.least is not None:
        fine = used >= contender.least and refused <= contender.refused and not verdict
        verdict = f"{'ok' if fine else 'MISSED'} (>= {contender.least:.0%}, <= {contender.refused:.1%})"
    return [name, f"{used:.2%}", f"{refused:.2%}", str(arrived), verdict]


def _watch(
    url: str, child: "subprocess.Popen[bytes]", seconds: float
) -> list[tuple[float, Mapping[str, int]]]:
    """The bill, read several times a second, for so long from its first text on."""
    seen: list[tuple[float, Mapping[str, int]]] = []
    began: float | None = None
    with httpx.Client(base_url=url.removesuffix("/v1")) as client:
        while child.poll() is None:
            bill = client.get("/ledger").json()
            now = time.monotonic()
            seen.append((now, bill))
            began = began or (now if bill["tokens"] else None)
            if began and now >= began + seconds:
                break
            time.sleep(0.2)
        seen.append((time.monotonic(), client.get("/ledger").json()))
    return seen


@contextmanager
def _endpoint() -> Iterator[str]:
    limits = {"tpm": _TPM, "rpm": _RPM, "burst-seconds": _BURST, "latency": 0.2}
    words = [f"--{name}={value}" for name, value in limits.items()]
    words = [sys.executable, "-m", "tests.endpoint", *words]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _child(name: str, url: str, seconds: float) -> "Iterator[subprocess.Popen[bytes]]":
    words = [
        sys.executable,
        "-m",
        "tests.benchmarks.saturation",
        "--seconds",
        str(seconds),
        "--child",
        name,
        url,
    ]
    with subprocess.Popen(words, start_new_session=True, stderr=None) as process:
        try:
            yield process
        finally:
            for ending in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, ending)
                    process.wait(20)


def _ours(factor: float, url: str, texts: Sequence[str]) -> None:
    """Four Ray workers whose count of tokens is so many times the right one."""
    from infra.ray_cluster import open_ray
    from pipeline.stages.embed import embed
    from pipeline.tokens import OpenAITokens

    tokens = [max(1, round(count * factor)) for count in OpenAITokens().count(texts)]
    with tempfile.TemporaryDirectory(prefix="vecmill-benchmark-") as folder, open_ray(None, 4) as engine:
        context, made = staged(url, texts, Path(folder), tokens, tpm=_TPM, rpm=_RPM)
        embed(context, made, engine)


def _semaphore(url: str, texts: Sequence[str]) -> None:
    """The script that everybody has: five requests at once, and the retries of OpenAI's cookbook."""

    async def work() -> None:
        client, gate = openai.AsyncOpenAI(api_key=_KEY, base_url=url), asyncio.Semaphore(5)

        @retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(6))
        async def send(batch: Sequence[str]) -> None:
            async with gate:
                await client.embeddings.create(model=_MODEL, input=list(batch))

        await asyncio.gather(*map(send, _batches(texts)))

    asyncio.run(work())


def _langchain(url: str, texts: Sequence[str]) -> None:
    model = resolve_name("langchain_openai:OpenAIEmbeddings")(
        model=_MODEL, base_url=url, api_key=_KEY, chunk_size=_BATCH, check_embedding_ctx_length=False
    )
    model.embed_documents(list(texts))


def _litellm(url: str, texts: Sequence[str]) -> None:
    """LiteLLM's router with the same limits, five requests at once."""
    parameters = {"model": f"openai/{_MODEL}", "api_base": url, "api_key": _KEY, "tpm": _TPM, "rpm": _RPM}
    router: Any = resolve_name("litellm:Router")(
        model_list=[{"model_name": "embedding", "litellm_params": parameters}], num_retries=5
    )

    async def work() -> None:
        gate = asyncio.Semaphore(5)

        async def send(batch: Sequence[str]) -> None:
            async with gate:
                await router.aembedding(model="embedding", input=list(batch))

        await asyncio.gather(*map(send, _batches(texts)))

    asyncio.run(work())


class _Udf:
    """What Ray Data's documentation calls with batches; the SDK's own retries."""

    def __init__(self, url: str) -> None:
        self._client = openai.AsyncOpenAI(api_key=_KEY, base_url=url)

    async def __call__(self, batch: dict[str, Any]) -> Any:
        answer = await self._client.embeddings.create(
            model=_MODEL, input=[str(text) for text in batch["item"]]
        )
        yield {"vector": [item.embedding for item in answer.data]}


def _ray_data(url: str, texts: Sequence[str]) -> None:
    import ray
    import ray.data

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    dataset = ray.data.from_items(list(texts)).map_batches(
        _Udf, batch_size=_BATCH, concurrency=4, fn_constructor_args=(url,)
    )
    for _ in dataset.iter_batches():
        pass


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[first : first + _BATCH] for first in range(0, len(texts), _BATCH))


_CONTENDERS = {
    "vecmill, 4 workers": Contender(partial(_ours, 1.0), 0.99, 0.001),
    "vecmill, counting 15 % too little": Contender(partial(_ours, 0.85), 0.95, 0.01),
    "vecmill, counting 15 % too much": Contender(partial(_ours, 1.15), 0.95, 0.01),
    "a script with a semaphore of five": Contender(_semaphore),
    "LangChain's OpenAIEmbeddings": Contender(_langchain),
    "LiteLLM's router, five at once": Contender(_litellm),
    "Ray Data, an async UDF, 4 workers": Contender(_ray_data),
}

if __name__ == "__main__":
    main()
