"""Requests and tokens a minute are held to exactly, and a refusal says when to come back."""

import openai
import pytest

from tests.endpoint import Fault, Faults, MeteredEndpoint
from tests.endpoint.limits import duration
from tests.endpoint.probe import MODEL, Clock, post, sdk


def test_the_request_bucket_refills_continuously_and_a_429_says_when_to_come_back() -> None:
    clock = Clock()
    with MeteredEndpoint(rpm=120, burst_seconds=1, clock=clock, count="characters") as endpoint:
        first, _, third = (post(endpoint.url, "x") for _ in range(3))
        clock.now += 0.5
        statuses = [post(endpoint.url, "x").status for _ in range(2)]
    told = {name: value for name, value in first.headers.items() if name.startswith("x-ratelimit")}
    kinds = ("limit", "remaining", "reset")
    assert told == dict(
        zip((f"x-ratelimit-{kind}-requests" for kind in kinds), ("120", "1", "500ms"), strict=True)
    )
    assert (third.status, third.error["type"], third.error["code"]) == (
        429,
        "requests",
        "rate_limit_exceeded",
    )
    assert (third.headers["retry-after"], third.headers["retry-after-ms"]) == ("1", "500")
    assert (statuses, endpoint.ledger.rejected_429) == ([200, 429], 2)


def test_the_token_bucket_counts_tokens_and_a_refused_request_takes_nothing() -> None:
    clock = Clock()
    with MeteredEndpoint(tpm=600, burst_seconds=1, clock=clock, count="characters") as endpoint:
        replies = [post(endpoint.url, text) for text in ("x" * 8, "x" * 4, "x" * 11)]
        clock.now += 0.2
        replies.append(post(endpoint.url, "x" * 4))
    assert [reply.status for reply in replies] == [200, 429, 429, 200]
    assert [reply.headers["x-ratelimit-remaining-tokens"] for reply in replies] == ["2", "2", "2", "0"]
    assert [reply.headers["x-ratelimit-reset-tokens"] for reply in replies] == [
        "800ms",
        "800ms",
        "800ms",
        "1s",
    ]
    # Eleven tokens never fit a bucket of ten, so that 429 names no time.
    assert [reply.headers.get("retry-after-ms") for reply in replies] == [None, "200", None, None]


def test_a_full_bucket_holds_a_minute_by_default_and_the_sdk_sees_a_rate_limit_error() -> None:
    with MeteredEndpoint(rpm=3, clock=Clock(), count="characters") as endpoint, sdk(endpoint) as client:
        for _ in range(3):
            client.embeddings.create(model=MODEL, input="x")
        with pytest.raises(openai.RateLimitError) as caught:
            client.embeddings.create(model=MODEL, input="x")
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "20")


def test_the_limit_headers_are_on_every_answer_and_absent_without_limits() -> None:
    with MeteredEndpoint(rpm=9, tpm=9, key="k", faults=Faults(["server_error", "garbage"])) as endpoint:
        replies = [
            post(endpoint.url, text, key) for text, key in (("x", None), ("", "k"), ("x", "k"), ("x", "k"))
        ]
    assert [reply.status for reply in replies] == [401, 400, 500, 200]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["9", "9", "8", "7"]
    with MeteredEndpoint() as endpoint:
        assert not [name for name in post(endpoint.url, "x").headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.006, "6ms"),
        (0.0051, "6ms"),
        (1, "1s"),
        (1.2, "1.2s"),
        (63, "1m3s"),
        (7200.5, "2h0m0.5s"),
    ],
)
def test_a_duration_is_written_as_the_service_writes_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("known", [Faults(insufficient_quota=True), Faults([Fault.INSUFFICIENT_QUOTA])])
def test_a_quota_that_is_gone_never_heals(known: Faults) -> None:
    clock = Clock()
    with MeteredEndpoint(rpm=1, clock=clock, faults=known, count="characters") as endpoint:
        for _ in range(3):
            reply = post(endpoint.url, "x")
            assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
            assert "retry-after" not in reply.headers
            clock.now += 3600
    assert (endpoint.ledger.requests, endpoint.ledger.rejected_429) == (0, 3)
