"""What tests look at an endpoint with: a raw client, a clock moved by hand, a latency that ends on demand."""

import asyncio
import json
import threading
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import numpy as np
import openai
from numpy.typing import NDArray

from .server import MeteredEndpoint

MODEL = "text-embedding-3-small"


@dataclass(slots=True)
class Clock:
    """A monotonic clock that the test moves."""

    now: float = 100.0  # seconds

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Gate:
    """A latency that lasts until as many requests as wanted are waiting in it."""

    wanted: int = 1  # requests
    asked: list[float] = field(default_factory=list)  # seconds that each request was to sleep
    entered: threading.Event = field(default_factory=threading.Event)  # set as soon as one request waits
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.entered.set()
        if len(self.asked) >= self.wanted:
            self._opened.set()
        await self._opened.wait()

    async def reached(self) -> None:
        """Waits, in the client's loop, until a request has got as far as its latency."""
        assert await asyncio.to_thread(self.entered.wait, 30), "no request came within 30 seconds"


@dataclass(frozen=True, slots=True)
class Reply:
    """One raw HTTP answer."""

    status: int  # HTTP status
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # as received

    @property
    def json(self) -> Any:
        """The body, parsed as leniently as Python does: NaN is a number."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body."""
        error: dict[str, Any] = self.json["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The embeddings in the order of their index: (texts, dimensions)."""
        entries = sorted(self.json["data"], key=lambda entry: int(entry["index"]))
        assert [entry["index"] for entry in entries] == list(range(len(entries)))
        return np.array([decoded(entry["embedding"]) for entry in entries])


def decoded(embedding: str | list[float]) -> NDArray[np.float32]:
    """One vector from either of its forms."""
    if isinstance(embedding, str):
        return np.frombuffer(b64decode(embedding), "<f4")
    return np.array(embedding, np.float32)


async def send(method: str, url: str, payload: object = b"", key: str | None = None) -> Reply:
    """One HTTP request on a connection of its own; a payload other than bytes goes out as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=BytesIO(body), headers=headers) as answer,
    ):
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, lowered, await answer.read())


async def embed(url: str, texts: object, key: str | None = None, **more: object) -> Reply:
    """One embeddings request; `texts` may be anything, `more` are further fields of the body."""
    return await send("POST", f"{url}/embeddings", {"model": MODEL, "input": texts, **more}, key)


def post(url: str, texts: object, key: str | None = None, **more: object) -> Reply:
    """The same from a test that is not async."""
    return asyncio.run(embed(url, texts, key, **more))


def post_all(url: str, texts: Sequence[str]) -> list[Reply]:
    """One request a text, all at once."""

    async def at_once() -> list[Reply]:
        return await asyncio.gather(*(embed(url, text) for text in texts))

    return asyncio.run(at_once())


def sdk(endpoint: MeteredEndpoint, key: str = "sk-test") -> openai.OpenAI:
    """The real client, without its retries and blind to the proxies of whoever runs the tests."""
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=endpoint.url, api_key=key, max_retries=0, timeout=10, http_client=http)
