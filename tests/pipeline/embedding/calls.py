"""Calls of the openai provider, from tests that are not async."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.openai import OpenAIProvider
from pipeline.errors import ProviderRefused, RequestFailed
from pipeline.job import Endpoint, Secret
from pipeline.ports import Embedded
from pipeline.space import Space
from tests.endpoint.answers import vector

KEY = "sk-live-0123456789-the-whole-key"
SPACE = Space("openai", "text-embedding-3-small", 4)


def embed(url: str | None, texts: Sequence[str], space: Space = SPACE, **endpoint: Any) -> Embedded:
    """What the provider makes of one request to an endpoint."""
    values = {"api_key": Secret(KEY), "timeout": 10.0, **endpoint}

    async def once() -> Embedded:
        provider = OpenAIProvider(space, Endpoint(base_url=url, **values))
        try:
            return await provider.embed(texts)
        finally:
            await provider.close()

    return asyncio.run(once())


def failures(url: str, texts: Sequence[str], times: int) -> list[Exception | Embedded]:
    """What one provider makes of one request, sent again and again: its errors, and the answers it took."""

    async def ask() -> list[Exception | Embedded]:
        provider = OpenAIProvider(SPACE, Endpoint(base_url=url, api_key=Secret(KEY), timeout=5.0))
        results: list[Exception | Embedded] = []
        for _ in range(times):
            try:
                results.append(await provider.embed(texts))
            except (RequestFailed, ProviderRefused) as error:
                results.append(error)
        await provider.close()
        return results

    return asyncio.run(ask())


def expected(texts: Sequence[str], space: Space = SPACE) -> NDArray[np.float32]:
    """The vectors that the metered endpoint gives these texts."""
    return np.array([vector(space.model, text, space.dimensions) for text in texts])


def free_port() -> int:
    """A TCP port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
