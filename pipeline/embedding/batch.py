"""OpenAI's Batch API: a file of requests, answered within a day at half the price.

https://platform.openai.com/docs/guides/batch
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import openai
import orjson

from pipeline.embedding.openai import _FOREIGN, OpenAIProvider
from pipeline.errors import InputError, ProviderRefused, Rejected, RequestFailed, Retryable
from pipeline.ports import Embedded

T = TypeVar("T")

_URL: Literal["/v1/embeddings"] = "/v1/embeddings"
_KEY = "vecmill"  # the name in a batch's metadata under which we find it again
_MOST_SECONDS = 600.0  # for a file to go up or to come down
_EARLIER_SECONDS = 86_400.0  # by which clocks can differ, and then some
_ENDED = ("completed", "failed", "expired", "cancelled")
_TOO_FULL = "token_limit_exceeded"


@dataclass(frozen=True, slots=True)
class State:
    """How a batch stands."""

    id: str
    status: str
    files: tuple[str, ...] = ()  # ids of what it has left: answers, and errors
    input_file: str | None = None
    problem: str = ""  # why it failed before it began
    queue_full: bool = False  # it failed since other batches hold all the tokens that may be enqueued

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED


class Answered(NamedTuple):
    """What became of one request of a batch: an answer, or the error that it would have raised."""

    custom_id: str
    answer: Embedded | RequestFailed | ProviderRefused


class BatchProvider(OpenAIProvider):
    """Sends files of requests. Each call is one attempt; raises Retryable or ProviderRefused."""

    def line(self, custom_id: str, texts: Sequence[str]) -> bytes:
        """One request as a line of a file; raises Rejected where a text has no UTF-8 form."""
        body = {**self._parameters, "input": texts}
        try:
            return orjson.dumps(
                {"custom_id": custom_id, "method": "POST", "url": _URL, "body": body},
                option=orjson.OPT_APPEND_NEWLINE,
            )
        except orjson.JSONEncodeError:
            raise Rejected("the text has lone surrogates, which are no characters") from None

    async def check(self) -> None:
        """Raise InputError where the endpoint has no batches."""
        await self._call(lambda: self._client.batches.list(limit=1), missing=self._none)

    async def upload(self, name: str, data: bytes) -> str:
        """Send a file; gives its id."""
        file = await self._call(
            lambda: self._client.files.create(file=(name, data), purpose="batch"), missing=self._none
        )
        return file.id

    async def create(self, file_id: str, key: str) -> State:
        """Start a batch that bears a key of ours; an attempt that fails may have started it all the same."""
        batch = await self._call(
            lambda: self._client.batches.create(
                input_file_id=file_id,
                endpoint=_URL,
                completion_window="24h",
                metadata={_KEY: key},
            ),
            missing=self._none,
        )
        return self._state(batch)

    async def find(self, key: str, since: float) -> State | None:
        """The batch that bears a key, if it was created at `since` (unix seconds) or later."""

        async def look() -> State | None:
            async for batch in self._client.batches.list(limit=100):
                if batch.created_at < since - _EARLIER_SECONDS:
                    break
                if (batch.metadata or {}).get(_KEY) == key:
                    return self._state(batch)
            return None

        return await self._call(look, missing=self._none)

    async def poll(self, batch_id: str) -> State | None:
        """How a batch stands; None where the endpoint does not know it."""

        async def look() -> State | None:
            try:
                return self._state(await self._client.batches.retrieve(batch_id))
            except openai.NotFoundError:
                return None

        return await self._call(look)

    async def fetch(self, file_id: str, to: Path) -> None:
        """Write a file's content to a path."""

        async def write() -> None:
            async with self._client.files.with_streaming_response.content(file_id) as response:
                with to.open("wb") as file:
                    async for part in response.iter_bytes():
                        file.write(part)

        await self._call(write)

    async def discard(self, file_id: str) -> None:
        """Delete a file; it may be gone already."""

        async def delete() -> None:
            try:
                await self._client.files.delete(file_id)
            except openai.NotFoundError:
                return

        await self._call(delete)

    def read(self, lines: Iterable[bytes], texts: Callable[[str], int | None]) -> Iterator[Answered]:
        """What a batch's files say, line by line; `texts` gives the number of texts of a request by its id.

        Lines that are broken, or of no request of ours, are left out: they say of nobody what became of it.
        """
        for raw in lines:
            try:
                fields = orjson.loads(raw)
                custom_id, count = fields["custom_id"], texts(fields["custom_id"])
            except (ValueError, TypeError, KeyError):
                continue
            if count is not None:
                yield Answered(custom_id, self._answered(fields, count))

    def _answered(self, fields: dict[str, Any], count: int) -> Embedded | RequestFailed | ProviderRefused:
        response, error = fields.get("response"), fields.get("error")
        if not isinstance(response, dict):
            said = error.get("message") if isinstance(error, dict) else None
            return Retryable(self._scrubbed(f"the batch did not do this request: {said}").rstrip("."))
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            try:
                return self._decoded(body, count)
            except Retryable as failure:
                return failure
        details = body.get("error") if isinstance(body, dict) else None
        details = details if isinstance(details, dict) else {}
        said = self._scrubbed(f"{details.get('message') or 'no reason given'}")
        if status in (400, 413, 422):
            return Rejected(f"{self._where} rejects the input ({status}): {said}")
        if status in (401, 403, 404) or "insufficient_quota" in (details.get("code"), details.get("type")):
            return ProviderRefused(f"{self._where} refuses a batch's requests ({status}): {said}")
        return Retryable(f"{self._where} answers {status} in a batch: {said}")

    def _state(self, batch: openai.types.Batch) -> State:
        problems = (batch.errors and batch.errors.data) or []
        first = problems[0] if problems else None
        where = f" (line {first.line})" if first and first.line is not None else ""
        said = f"{first.message or first.code}{where}" if first else "the endpoint does not say why"
        return State(
            id=batch.id,
            status=batch.status,
            files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
            input_file=batch.input_file_id,
            problem=self._scrubbed(said) if batch.status == "failed" else "",
            queue_full=any(problem.code == _TOO_FULL for problem in problems),
        )

    def _none(self) -> InputError:
        return InputError(
            f"{self._where} has no batches (404 for /files or /batches); "
            "leave --lane batch out, or use OpenAI's own endpoint"
        )

    async def _call(
        self, call: Callable[[], Awaitable[T]], missing: Callable[[], Exception] | None = None
    ) -> T:
        failure: Exception
        try:
            async with asyncio.timeout(max(_MOST_SECONDS, self._endpoint.timeout)):
                return await call()
        except _FOREIGN as error:
            failure = self._failure(error, missing)
        raise failure  # out here, since what the SDK raises holds the request, and with it the key

    def _failure(self, error: Exception, missing: Callable[[], Exception] | None) -> Exception:
        if isinstance(error, openai.NotFoundError) and missing:
            return missing()
        failure = self._translated(error)
        # There is no input to blame here: a call of this API that is refused is refused for good.
        return ProviderRefused(str(failure)) if isinstance(failure, Rejected) else failure
