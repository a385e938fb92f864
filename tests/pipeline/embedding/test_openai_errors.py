"""Whatever the SDK raises becomes one of our own errors, and no error leads to the key."""

import inspect
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from pipeline.embedding.openai import OpenAIProvider
from pipeline.errors import ProviderRefused, Rejected, RequestFailed, Retryable, Throttled, Unreachable
from pipeline.job import Endpoint, Secret
from tests.endpoint import Faults, MeteredEndpoint
from tests.pipeline.embedding.calls import KEY, SPACE, failures, free_port
from tests.pipeline.embedding.canned import answer, canned, says, sends

_REQUEST = httpx2.Request("POST", "http://host/v1", headers={"Authorization": f"Bearer {KEY}"})


def _fails(url: str) -> Exception:
    [error] = _all_fail(url, 1)
    return error


def _all_fail(url: str, times: int) -> list[Exception]:
    """The errors of one provider, asked again and again."""
    errors = [result for result in failures(url, ["a"], times) if isinstance(result, Exception)]
    assert len(errors) == times
    return errors


# ---- by status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, ProviderRefused),
        (402, ProviderRefused),
        (403, ProviderRefused),
        (404, ProviderRefused),
        (405, ProviderRefused),
        (418, ProviderRefused),
        (408, Retryable),
        (409, Retryable),
        (413, Rejected),
        (422, Rejected),
        (429, Throttled),
        (500, Retryable),
        (502, Retryable),
        (503, Retryable),
        (529, Retryable),
    ],
)
def test_a_status_decides_who_has_to_act(status: int, kind: type[Exception]) -> None:
    with canned(says(status, {"error": {"message": "words of its own", "code": 7}})) as server:
        error = _fails(server.url)
        assert (type(error), len(server.exchanges)) == (kind, 1)
        assert server.url in str(error)
        assert str(status) in str(error)


@pytest.mark.parametrize(("status", "kind"), [(400, Rejected), (429, Throttled), (500, Retryable)])
def test_an_error_may_have_any_body(status: int, kind: type[Exception]) -> None:
    bodies = [b"", b"\xff", "<html>", "[1]", '"slow"', {"error": None}, {"error": ["a"]}]
    with canned(*(says(status, body) for body in bodies)) as server:
        assert [type(error) for error in _all_fail(server.url, len(bodies))] == [kind] * len(bodies)


@pytest.mark.parametrize("status", [429, 503])
def test_the_finer_of_the_two_headers_says_how_long_to_wait(status: int) -> None:
    cases: list[tuple[dict[str, str], float | None]] = [
        ({}, None),
        ({"retry-after": "9"}, 9.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ]
    with canned(*(says(status, "", **headers) for headers, _ in cases)) as server:
        errors = [error for error in _all_fail(server.url, len(cases)) if isinstance(error, Retryable)]
    assert [error.retry_after for error in errors] == [seconds for _, seconds in cases]
    assert not any(error.perhaps_billed for error in errors)


@pytest.mark.parametrize(
    "named", [{"code": "insufficient_quota"}, {"type": "insufficient_quota", "code": None}]
)
def test_a_quota_that_is_gone_is_no_rate_limit(named: dict[str, Any]) -> None:
    with canned(says(429, {"error": {"message": "m", **named}})) as server:
        assert "quota of this key" in str(_fails(server.url))
    with MeteredEndpoint(faults=Faults(insufficient_quota=True), count="characters") as endpoint:
        assert type(_fails(endpoint.url)) is ProviderRefused


# ---- without a status


def test_where_nobody_listens_nothing_was_sent_and_nothing_billed() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/v1", "http://no-such-host.invalid/v1"):
        error = _fails(url)
        assert isinstance(error, Unreachable)
        assert not error.perhaps_billed
        assert url in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"da',
        b'HTTP/1.1 500 OK\r\nContent-Length: 100\r\n\r\n{"er',
        b"HTTP/1.1 307 OK\r\nContent-Length: 0\r\nLocation: /v1/embeddings\r\n\r\n",
    ],
)
def test_a_conversation_that_breaks_off_is_retried(raw: bytes) -> None:
    with canned(sends(raw)) as server:
        error = _fails(server.url)
    assert type(error) is Retryable
    assert error.perhaps_billed
    assert "\n" not in str(error)


# ---- the map is complete


def _classes(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for found in root.__subclasses__():
        yield from _classes(found)


def _made(kind: type[Exception]) -> Exception:
    """An instance of an SDK exception, filled by the names of its parameters."""
    response = httpx2.Response(getattr(kind, "status_code", 418), request=_REQUEST)
    values: dict[str, Any] = {
        "message": KEY,
        "request": _REQUEST,
        "response": response,
        "body": {"message": KEY},
        "completion": SimpleNamespace(usage=None),
        "unsent_messages": [KEY],
        "symbol": KEY,
    }
    wanted = inspect.signature(kind.__init__).parameters.keys() & values.keys()
    return kind(**{name: values[name] for name in wanted})


@pytest.mark.parametrize("kind", sorted(set(_classes(openai.OpenAIError)), key=str))
def test_every_exception_of_the_sdk_has_its_place_in_our_tree(kind: type[Exception]) -> None:
    provider = OpenAIProvider(SPACE, Endpoint(api_key=Secret(KEY)))
    ours = provider._translated(_made(kind))
    assert isinstance(ours, (RequestFailed, ProviderRefused))
    assert KEY not in str(ours)


def test_the_sdk_has_no_exception_outside_its_tree_that_an_embedding_could_raise() -> None:
    kinds = [vars(openai._exceptions)[name] for name in openai._exceptions.__all__]
    public = {kind.__name__ for kind in kinds if not issubclass(kind, openai.OpenAIError)}
    assert public == {"InvalidWebhookSignatureError"}


# ---- the key


def _reachable(error: BaseException | None) -> Iterator[object]:
    """Everything that an exception shows or leads to, save the frames that it passed."""
    while error is not None:
        yield from (str(error), repr(error), error.args, vars(error))
        assert not (error.__cause__ and error.__context__ not in (None, error.__cause__))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503])
def test_an_endpoint_that_repeats_the_key_does_not_get_it_into_messages_chains_or_logs(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bodies: list[object] = [
        {"error": {"message": f"Incorrect API key {KEY}", "code": KEY, "type": KEY, "param": KEY}},
        {"error": KEY},
        {"detail": [KEY]},
        f"<html>{KEY}",
        answer([[KEY]]),
        answer([[1, 0, 0, 0]], [KEY]),
    ]
    headers = {"www-authenticate": KEY, "retry-after": KEY, "location": f"/{KEY}"}
    with canned(*(says(status, body, **headers) for body in bodies)) as server:
        errors = _all_fail(server.url, len(bodies))
    assert KEY not in repr([list(_reachable(error)) for error in errors])
    assert "request" in caplog.text.lower()
    assert KEY not in caplog.text


def test_a_key_that_the_endpoint_half_masks_is_not_even_half_shown() -> None:
    with MeteredEndpoint(key="another", count="characters") as endpoint:
        error = _fails(endpoint.url)
    assert type(error) is ProviderRefused
    assert "refuses the key (401)" in str(error)
    assert not any(part in repr(list(_reachable(error))) for part in (KEY[:8], KEY[-4:]))


def test_an_unanswered_request_leads_to_no_key_either() -> None:
    with canned(sends(b"")) as server:
        for error in (_fails(server.url), _fails(f"http://127.0.0.1:{free_port()}/v1")):
            assert error.__cause__ is error.__context__ is None
            assert KEY not in repr(list(_reachable(error)))
