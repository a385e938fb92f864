"""The endpoint itself: it answers in OpenAI's protocol, from a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from .answers import answer
from .batch_rules import BatchRules
from .batches import Batches
from .faults import Fault, Faults
from .ledger import Ledger
from .limits import Clock, RateLimits, quota_gone
from .wire import Bounds, Call, Unit, WireError, authorize, counter, parse_call, reset

# Well above the largest request that the default bounds admit: size is judged in tokens, not here.
MAX_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Running:
    """What the caller's thread needs to reach the server's."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    port: int


@dataclass(kw_only=True, eq=False)
class MeteredEndpoint:
    """An embeddings endpoint with a bill, limits and faults, for as long as the `with` block lasts.

    `faults` and `latency` may be replaced while it runs. A request is judged in this order: key, form and
    size, quota, rate limits, poison, fault. What gets past the rate limits uses them up also when it fails.
    """

    rpm: int | None = None  # requests a minute; None is unlimited
    tpm: int | None = None  # tokens a minute, in the unit of count; None is unlimited
    burst_seconds: float = 60.0  # how many seconds of its limit a full bucket holds
    key: str | None = None  # the bearer key asked for; None admits anyone
    faults: Faults = field(default_factory=Faults)  # what goes wrong
    latency: float = 0.0  # seconds of work a request takes before it is billed
    count: Unit = "tokens"  # what texts are measured and billed in: cl100k tokens or characters
    bounds: Bounds = field(default_factory=Bounds)  # how large a request may be
    batch_rules: BatchRules = field(default_factory=BatchRules)  # how /v1/batches goes
    port: int = 0  # TCP port on 127.0.0.1; 0 takes a free one
    clock: Clock = time.monotonic  # seconds, for the rate limits
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  # how the latency passes
    ledger: Ledger = field(init=False, default_factory=Ledger)  # what was billed
    batches: Batches = field(init=False)  # what was asked for by batches
    _running: _Running | None = field(init=False, default=None, repr=False)
    _works: set[asyncio.Task[None]] = field(init=False, default_factory=set, repr=False)

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "burst_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0, or left out for no limit")
        self._count = counter(self.count)
        self._limits = RateLimits(self.rpm, self.tpm, self.burst_seconds, self.clock)
        self.batches = Batches(self.batch_rules, self.key, self.bounds, self._count, self.ledger)

    @property
    def url(self) -> str:
        """The base URL that a client is given; it ends in /v1."""
        if self._running is None:
            raise RuntimeError("the endpoint is not running; use it as `with MeteredEndpoint() as endpoint:`")
        return f"http://127.0.0.1:{self._running.port}/v1"

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError(f"the endpoint already runs at {self.url}")
        started: Future[_Running] = Future()
        thread = threading.Thread(target=self._run, args=[started], name="metered-endpoint", daemon=True)
        thread.start()
        try:
            self._running = started.result()
        except Exception:
            thread.join()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.loop.call_soon_threadsafe(self._stopping.set)
            running.thread.join()

    def _run(self, started: Future[_Running]) -> None:
        try:
            asyncio.run(self._serve(started))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)  # a port that is taken, say: raised where the block is entered

    async def _serve(self, started: Future[_Running]) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/embeddings", self._embeddings)
        self.batches.add_routes(app)
        app.router.add_get("/ledger", self._show_ledger)
        app.router.add_post("/ledger/reset", self._reset_ledger)
        # With handler_cancellation a request that hangs ends when its client goes away.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024).start()
            port = runner.addresses[0][1]
            started.set_result(_Running(threading.current_thread(), asyncio.get_running_loop(), port))
            await self._stopping.wait()
            for work in tuple(self._works):
                work.cancel()
        finally:
            await runner.cleanup()

    async def _show_ledger(self, request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self.ledger.summary()), content_type="application/json")

    async def _reset_ledger(self, request: web.Request) -> web.Response:
        self.ledger.reset()
        return web.Response(status=204)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        with self.ledger.in_flight():
            try:
                response = await self._answer(request)
            except WireError as error:
                response = error.response()
        if response.status == 429:
            self.ledger.reject()
        response.headers.update(self._limits.headers())
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        authorize(request.headers.get("Authorization"), self.key)
        call = parse_call(await request.read(), self.bounds, self._count)
        faults = self.faults  # one and the same to the end, though a test may put in others meanwhile
        if faults.insufficient_quota:
            raise quota_gone()
        self._limits.admit(sum(call.tokens))
        if faults.poisons(call.texts):
            raise WireError(400, "'input' is invalid. Please check the API reference.")
        fault = faults.draw()
        if fault is Fault.INSUFFICIENT_QUOTA:
            raise quota_gone()
        await self._work(call, bills=fault is None or fault.bills)
        if fault is Fault.SERVER_ERROR:
            raise WireError(faults.next_status(), "The server failed to answer.", kind="server_error")
        if fault in (Fault.RESET_BEFORE_BILLING, Fault.RESET_AFTER_BILLING, Fault.HANG):
            return await self._silence(request, at_once=fault is not Fault.HANG)
        return web.Response(body=answer(call, fault), content_type="application/json")

    async def _silence(self, request: web.Request, at_once: bool) -> web.Response:
        """Never answers: resets the connection at once, or holds it until the server stops."""
        if not at_once:
            await self._stopping.wait()  # cancelled when the client goes away first
        reset(request)
        return web.Response()  # reaches nobody, but a handler has to return one

    async def _work(self, call: Call, bills: bool) -> None:
        """Lets the latency pass, then bills; a client that hangs up meanwhile is billed all the same."""

        async def work() -> None:
            if self.latency:
                await self.sleep(self.latency)
            if bills:
                self.ledger.bill(call.texts, call.tokens)

        task = asyncio.create_task(work())
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        await asyncio.shield(task)
