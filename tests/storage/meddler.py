"""A proxy before the S3 server that meddles with requests, and remembers them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import ClientSession, DummyCookieJar, web
from yarl import URL

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}

Rule = Callable[[web.Request], web.Response | None]
"""What is answered in the server's place; None lets the request through."""


def let_through(_: web.Request) -> None:
    """The rule that meddles with nothing."""


def refusing(status: int, code: str, message: str = "") -> web.Response:
    """An error as S3 answers it."""
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return web.Response(status=status, text=body, content_type="application/xml")


@dataclass(kw_only=True, eq=False)
class Meddler:
    """Stands between a client and the server at `target`; its fields may be replaced while it runs."""

    target: str
    rule: Rule = let_through
    latency: float = 0.0  # seconds a request takes in addition
    unconditional: bool = False  # whether conditions of writes are dropped, as some servers ignore them
    seen: list[tuple[str, str]] = field(default_factory=list)  # method, path and query of each request
    most: int = 0  # requests that were under way at once
    _under_way: int = 0
    _port: int = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        self._port = started.result()
        return self

    def __exit__(self, *raised: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def forget(self) -> None:
        """Begin to count anew."""
        self.seen, self.most = [], 0

    async def _serve(self, started: "Future[int]") -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        async with ClientSession(auto_decompress=False, cookie_jar=DummyCookieJar()) as self._session:
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                started.set_result(runner.addresses[0][1])
                await self._stopping.wait()
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs))
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            await asyncio.sleep(self.latency)
            return self.rule(request) or await self._forwarded(request)
        finally:
            self._under_way -= 1

    async def _forwarded(self, request: web.Request) -> web.Response:
        # The host is signed, so it stays that of the client's request.
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        if self.unconditional:  # without the signature, since what it is of has changed
            gone = ("if-none-match", "authorization")
            headers = {name: value for name, value in headers.items() if name.lower() not in gone}
        asked: dict[str, Any] = {"headers": headers, "data": await request.read(), "allow_redirects": False}
        url = URL(self.target + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, **asked) as answer:
            body = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            length = answer.headers.get("Content-Length")
            if request.method == "HEAD" and length:
                kept["Content-Length"] = length
            return web.Response(status=answer.status, headers=kept, body=body or None)
