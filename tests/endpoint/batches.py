"""`/v1/batches`: half the price, within a day. What a batch has come to follows from the time alone.

A batch is validated in the first tenth of its duration, done line by line, evenly, until the last tenth, and
then its files are written. Nothing happens by itself: at each request, all batches catch up with the clock.
What is not done when the window closes expires; what was done until then is billed and delivered.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from .batch_lines import Line, Problem, Written, executed, read_lines, total, unexecuted
from .batch_rules import BatchRules, CallFault
from .files import Files
from .ledger import Ledger
from .wire import Bounds, CountText, WireError, authorize, reset

_URL = "/v1/embeddings"
_QUEUED = ("validating", "in_progress", "finalizing", "cancelling")
_Work = Callable[[web.Request], Awaitable[dict[str, Any] | bytes]]


@dataclass(slots=True)
class Batch:
    """One batch."""

    id: str
    file_id: str
    metadata: Mapping[str, str]
    created: float  # unix seconds
    lines: list[Line]
    problems: list[Problem]
    status: str = "validating"
    stamps: dict[str, int] = field(default_factory=dict)  # when it became what it was, unix seconds
    written: list[Written] = field(default_factory=list)  # by the lines done
    files: dict[str, str] = field(default_factory=dict)  # ids of what it has left

    def become(self, status: str, at: float) -> None:
        """Enter a status."""
        self.status = status
        self.stamps[f"{status}_at"] = int(at)

    @property
    def tokens(self) -> int:
        """Tokens that it holds in the queue."""
        return 0 if self.problems or self.status not in _QUEUED else total(self.lines)[1]

    def record(self, window: float) -> dict[str, Any]:
        """The batch object."""
        good = sum(line.succeeded for line in self.written)
        problems = [problem.record() for problem in self.problems] if self.status == "failed" else []
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": _URL,
            "errors": {"object": "list", "data": problems} if problems else None,
            "input_file_id": self.file_id,
            "completion_window": "24h",
            "status": self.status,
            "created_at": int(self.created),
            "expires_at": int(self.created + window),
            "request_counts": {
                "total": 0 if self.status in ("validating", "failed") else len(self.lines),
                "completed": good,
                "failed": len(self.written) - good,
            },
            "metadata": dict(self.metadata),
            **{f"{kind}_file_id": self.files.get(kind) for kind in ("output", "error")},
            **self.stamps,
        }


class Batches:
    """The batches of one endpoint; used from the server's thread, and read by tests."""

    def __init__(
        self, rules: BatchRules, key: str | None, bounds: Bounds, count_text: CountText, ledger: Ledger
    ) -> None:
        self.rules = rules
        self.files = Files(rules.file_bytes)
        self.made: dict[str, Batch] = {}  # oldest first
        self._key, self._bounds, self._count, self._ledger = key, bounds, count_text, ledger
        self._numbers = count(1)

    def add_routes(self, app: web.Application) -> None:
        """Serve."""
        if not self.rules.served:
            return
        for method, path, operation, work in (
            ("POST", "/v1/files", "upload", self._upload),
            ("GET", "/v1/files", "files", self._list_files),
            ("GET", "/v1/files/{id}", "file", self._file),
            ("GET", "/v1/files/{id}/content", "content", self._content),
            ("DELETE", "/v1/files/{id}", "delete", self._delete),
            ("POST", "/v1/batches", "create", self._create),
            ("GET", "/v1/batches", "list", self._list),
            ("GET", "/v1/batches/{id}", "get", self._get),
            ("POST", "/v1/batches/{id}/cancel", "cancel", self._cancel),
        ):
            app.router.add_route(method, path, self._handler(operation, work))

    def _handler(self, operation: str, work: _Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            calls = self.rules.calls
            fault = calls.draw(operation)
            calls.tell(operation, "before")
            try:
                authorize(request.headers.get("Authorization"), self._key)
                if fault is CallFault.SERVER_ERROR:
                    raise WireError(503, "The server failed to answer.", kind="server_error")
                if fault is CallFault.RESET:
                    return _broken_off(request)
                self._catch_up()
                found = await work(request)
            except WireError as error:
                return error.response()
            calls.tell(operation, "after")
            if fault is CallFault.LOST:
                return _broken_off(request)
            if isinstance(found, bytes):
                return web.Response(body=found, content_type="application/octet-stream")
            return web.Response(body=orjson.dumps(found), content_type="application/json")

        return handle

    # ---- files

    async def _upload(self, request: web.Request) -> dict[str, Any]:
        return (await self.files.upload(request, self.rules.now())).record()

    async def _list_files(self, request: web.Request) -> dict[str, Any]:
        files = [file.record() for file in self.files.kept.values()]
        return {"object": "list", "data": files, "has_more": False}

    async def _file(self, request: web.Request) -> dict[str, Any]:
        return self.files.find(request.match_info["id"]).record()

    async def _content(self, request: web.Request) -> bytes:
        return self.files.find(request.match_info["id"]).data

    async def _delete(self, request: web.Request) -> dict[str, Any]:
        file = self.files.find(request.match_info["id"])
        del self.files.kept[file.id]
        return {"id": file.id, "object": "file", "deleted": True}

    # ---- batches

    async def _create(self, request: web.Request) -> dict[str, Any]:
        fields = await _fields(request)
        if fields.get("completion_window") != "24h":
            raise WireError(400, "'completion_window' must be '24h'.", param="completion_window")
        if fields.get("endpoint") != _URL:
            raise WireError(400, "This endpoint has batches of embeddings only.", param="endpoint")
        metadata = _metadata(fields.get("metadata") or {})
        file = self.files.find(str(fields.get("input_file_id")))
        lines, problems = read_lines(file.data, _URL, self._count)
        batch = Batch(
            f"batch_{next(self._numbers):06d}",
            file.id,
            metadata,
            self.rules.now(),
            lines,
            problems or self._over_a_limit(lines),
        )
        self.made[batch.id] = batch
        return batch.record(self.rules.window)

    def _over_a_limit(self, lines: list[Line]) -> list[Problem]:
        rules, (inputs, tokens) = self.rules, total(lines)
        if len(lines) > rules.requests:
            return [Problem("too_many_tasks", f"A batch has at most {rules.requests} requests.")]
        if inputs > rules.inputs:
            return [Problem("too_many_inputs", f"A batch has at most {rules.inputs} embedding inputs.")]
        queued = sum(batch.tokens for batch in self.made.values())
        if rules.enqueued_tokens is not None and queued + tokens > rules.enqueued_tokens:
            message = (
                f"Enqueued token limit reached for {lines[0].body['model']}. "
                f"Limit: {rules.enqueued_tokens:,} enqueued tokens. "
                "Please try again once some in_progress batches have been completed."
            )
            return [Problem("token_limit_exceeded", message)]
        return []

    async def _list(self, request: web.Request) -> dict[str, Any]:
        limit, after = int(request.query.get("limit", "20")), request.query.get("after")
        if not 1 <= limit <= 100:
            raise WireError(400, "'limit' must be from 1 to 100.", param="limit")
        newest = list(reversed(self.made.values()))
        if after is not None:
            newest = newest[newest.index(self._find(after)) + 1 :]
        page = [batch.record(self.rules.window) for batch in newest[:limit]]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(newest) > limit,
        }

    async def _get(self, request: web.Request) -> dict[str, Any]:
        return self._find(request.match_info["id"]).record(self.rules.window)

    async def _cancel(self, request: web.Request) -> dict[str, Any]:
        batch = self._find(request.match_info["id"])
        if batch.status not in ("validating", "in_progress", "finalizing"):
            raise WireError(409, f"A batch that is {batch.status} cannot be cancelled.")
        batch.become("cancelling", self.rules.now())
        return batch.record(self.rules.window)

    def _find(self, batch_id: str) -> Batch:
        if batch_id not in self.made:
            raise WireError(404, f"No batch found with id '{batch_id}'.", param="id")
        return self.made[batch_id]

    # ---- time

    def _catch_up(self) -> None:
        now = self.rules.now()
        for batch in self.made.values():
            if batch.status == "cancelling":
                self._end(batch, "cancelled", now, "batch_cancelled", "The batch was cancelled.")
            if batch.status in _QUEUED:
                self._go_on(batch, now)

    def _go_on(self, batch: Batch, now: float) -> None:
        seconds, until = self.rules.seconds, batch.created + self.rules.window
        begins = batch.created + seconds * 0.1
        if now < begins:
            return
        if batch.status == "validating":
            if batch.problems:
                batch.become("failed", begins)
                return
            batch.become("in_progress", begins)
        share = seconds * 0.8 / len(batch.lines)
        while len(batch.written) < len(batch.lines):
            done = len(batch.written)
            at = begins + share * (done + 1)
            if at > until:
                if now >= until:
                    said = "This request could not be executed before the completion window expired."
                    self._end(batch, "expired", until, "batch_expired", said)
                return
            if at > now:
                return
            line = executed(
                batch.lines[done], done, self._bounds, self._count, self.rules.lines, self._ledger
            )
            batch.written.append(line)
        if batch.status == "in_progress":
            batch.become("finalizing", begins + seconds * 0.8)
        if now >= batch.created + seconds:
            self._end(batch, "completed", batch.created + seconds)

    def _end(self, batch: Batch, status: str, at: float, code: str = "", message: str = "") -> None:
        """Write the files, in no order."""
        undone = range(len(batch.written), len(batch.lines))
        good = [line.data for line in batch.written if line.succeeded and line.data]
        bad = [line.data for line in batch.written if not line.succeeded]
        bad += [unexecuted(batch.lines[number], number, code, message) for number in undone]
        for kind, lines in (("output", good), ("error", bad)):
            if lines:
                data = b"".join(line + b"\n" for line in _disordered(lines, self.rules.seed))
                name = f"{batch.id}_{kind}.jsonl"
                batch.files[kind] = self.files.add(name, "batch_output", data, at).id
        batch.become(status, at)


def _disordered(lines: list[bytes], seed: int) -> list[bytes]:
    shuffled = random.Random(seed).sample(lines, len(lines))
    # A random order of a few is now and then the right one.
    return shuffled if any(a != b for a, b in zip(shuffled, lines, strict=True)) else lines[::-1]


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise WireError(400, "The body of the request could not be parsed as JSON.") from error
    if not isinstance(fields, dict):
        raise WireError(400, "The body of the request must be a JSON object.")
    return fields


def _metadata(given: Any) -> dict[str, str]:
    fits = isinstance(given, dict) and len(given) <= 16
    if not fits or not all(
        isinstance(value, str) and len(name) <= 64 and len(value) <= 512 for name, value in given.items()
    ):
        raise WireError(400, "'metadata' takes 16 pairs of short strings.", param="metadata")
    return dict(given)


def _broken_off(request: web.Request) -> web.Response:
    reset(request)
    return web.Response()  # reaches nobody, but a handler has to return one
