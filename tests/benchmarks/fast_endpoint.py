"""An endpoint that costs next to nothing: each text gets the same vector, from a process of its own.

    python -m tests.benchmarks.fast_endpoint [--dimensions N] [--latency SECONDS]

It prints its URL, and serves until its standard input ends.
"""

import argparse
import asyncio
import sys
from functools import cache

import numpy as np
import orjson
import pybase64
from aiohttp import web


class _Answers:
    """Prepared answers, by number of texts and format."""

    def __init__(self, dimensions: int) -> None:
        row = np.random.default_rng(0).normal(size=dimensions)
        self._row = (row / np.linalg.norm(row)).astype("<f4")

    @cache  # noqa: B019 - as long as the process
    def of(self, texts: int, form: str) -> bytes:
        base64 = form == "base64"
        value = pybase64.b64encode(self._row.tobytes()).decode() if base64 else self._row.tolist()
        data = [{"object": "embedding", "index": index, "embedding": value} for index in range(texts)]
        return orjson.dumps({"object": "list", "data": data, "usage": {"total_tokens": texts * 8}})


async def _serve(dimensions: int, latency: float) -> None:
    answers = _Answers(dimensions)

    async def embeddings(request: web.Request) -> web.Response:
        call = orjson.loads(await request.read())
        if latency:
            await asyncio.sleep(latency)
        body = answers.of(len(call["input"]), call.get("encoding_format") or "float")
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/embeddings", embeddings)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, default=1536)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    given = parser.parse_args()
    asyncio.run(_serve(given.dimensions, given.latency))
