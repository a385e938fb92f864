"""What a batch's files say is read like the answers of single requests, whatever they say."""

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from pipeline.embedding.batch import Answered, BatchProvider
from pipeline.errors import ProviderRefused, Rejected, Retryable
from pipeline.job import Endpoint, Secret
from pipeline.ports import Embedded
from pipeline.space import Space
from tests.pipeline.embedding.canned import answer, canned, packed, says

_SPACE = Space("openai", "text-embedding-3-small", 2)


async def _provider(url: str = "http://127.0.0.1:9/v1") -> BatchProvider:
    return BatchProvider(_SPACE, Endpoint(base_url=url, api_key=Secret("sk-secret")))


def _read(lines: Iterable[Any], sizes: dict[str, int]) -> list[Answered]:
    async def read() -> list[Answered]:
        provider = await _provider()
        raw = (line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
        found = list(provider.read(raw, sizes.get))
        await provider.close()
        return found

    return asyncio.run(read())


def _line(custom_id: str, status: int, body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}


def test_answers_become_unit_vectors_and_tokens_by_their_ids_in_any_order() -> None:
    lines = [_line("1", 200, answer([packed(0, 2), packed(3, 4)])), _line("0", 200, answer([[1.0, 0.0]]))]
    found = dict(_read(lines, {"0": 1, "1": 2}))
    assert list(found) == ["1", "0"]
    embedded = found["1"]
    assert isinstance(embedded, Embedded)
    assert (embedded.vectors.tolist(), embedded.tokens) == (
        [[0.0, 1.0], [pytest.approx(0.6), pytest.approx(0.8)]],
        3,
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "billed"),
    [
        (200, answer([packed(1, float("nan"))]), Retryable, True),
        (200, answer([packed(1, 2, 3)]), Retryable, True),
        (200, answer([]), Retryable, True),
        (200, None, Retryable, True),
        (200, {"data": "no list"}, Retryable, True),
        (500, None, Retryable, False),
        (429, {"error": {"code": "rate_limit_exceeded"}}, Retryable, False),
        (429, {"error": {"code": "insufficient_quota"}}, ProviderRefused, False),
        (400, {"error": {"message": "too long"}}, Rejected, False),
        (404, {"error": {"message": "no such model"}}, ProviderRefused, False),
        (None, "?", Retryable, False),
    ],
)
def test_each_status_has_an_error_of_its_own(status: Any, body: Any, kind: type, billed: bool) -> None:
    [(_, error)] = _read([_line("0", status, body)], {"0": 1})
    assert type(error) is kind
    assert getattr(error, "perhaps_billed", False) == billed


def test_what_was_not_done_says_why_and_lines_of_nobody_are_left_out() -> None:
    expired = {"custom_id": "0", "response": None, "error": {"code": "batch_expired", "message": "Too late."}}
    lines = [
        b'{"custom_id": "1", "resp',
        b"[]",
        b"7",
        {"custom_id": "strange"},
        {"custom_id": ["0"]},
        expired,
    ]
    [(name, error)] = _read(lines, {"0": 1, "1": 1})
    assert name == "0"
    assert isinstance(error, Retryable)
    assert (str(error), error.perhaps_billed) == ("the batch did not do this request: Too late", False)


def test_a_line_is_one_request_and_a_text_without_utf8_is_rejected() -> None:
    async def lines() -> None:
        provider = await _provider()
        line = provider.line("7", ["a\nb", "川"])
        assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
        assert orjson.loads(line) == {
            "custom_id": "7",
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {
                "model": "text-embedding-3-small",
                "input": ["a\nb", "川"],
                "encoding_format": "base64",
                "dimensions": 2,
            },
        }
        with pytest.raises(Rejected, match="lone surrogates"):
            provider.line("8", ["\ud800"])
        await provider.close()

    asyncio.run(lines())


def test_the_key_is_in_no_message_though_the_endpoint_repeats_it() -> None:
    echo = says(400, {"error": {"message": "You sent sk-secret."}})

    async def call(url: str) -> None:
        provider = await _provider(url)
        try:
            await provider.create("file-1", "key")
        finally:
            await provider.close()

    with canned(echo) as endpoint, pytest.raises(ProviderRefused) as caught:
        asyncio.run(call(endpoint.url))
    assert "You sent ***." in str(caught.value)
    assert caught.value.__context__ is None
