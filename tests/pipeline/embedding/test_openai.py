"""The openai provider sends what it is given and uses an answer only where all of it is right."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError, Rejected, Retryable
from pipeline.job import Secret
from pipeline.space import Space
from tests.endpoint import Fault, Faults, MeteredEndpoint
from tests.pipeline.embedding.calls import KEY, SPACE, embed, expected, failures
from tests.pipeline.embedding.canned import answer, canned, dribbles, packed, says

TEXTS = ["Rivers carry water.", "川は水を運ぶ。", "a", "🗻"]
UNIT = packed(1, 0, 0, 0)
GOOD = [UNIT, packed(0, 1, 0, 0)]

# ---- what is sent


def test_texts_go_out_unaltered_in_one_request_for_base64_and_the_dimensions_of_the_space() -> None:
    space = replace(SPACE, document_prefix="passage: ", query_prefix="query: ")
    with canned(says(200, answer(GOOD))) as server:
        embed(server.url, ["passage: 川", " b "], space)
    [exchange] = server.exchanges
    assert exchange.fields == {
        "model": "text-embedding-3-small",
        "input": ["passage: 川", " b "],
        "encoding_format": "base64",
        "dimensions": 4,
    }
    assert exchange.headers["authorization"] == f"Bearer {KEY}"


def test_the_native_dimensions_of_a_model_are_not_asked_for_since_some_models_refuse_the_parameter() -> None:
    space = Space("openai", "text-embedding-ada-002", 1536)
    with canned(says(200, answer([packed(*[1] * 1536)]))) as server:
        found = embed(server.url, ["a"], space)
    assert found.vectors.shape == (1, 1536)
    assert "dimensions" not in server.exchanges[0].fields


@pytest.mark.parametrize("key", [None, Secret("")])
def test_a_server_of_ones_own_needs_no_key(key: Secret | None) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        assert embed(endpoint.url, ["a"], api_key=key).tokens == 1


def test_the_base_url_is_never_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.embedding.openai import OpenAIProvider
    from pipeline.job import Endpoint

    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.invalid/v1")
    provider = OpenAIProvider(SPACE, Endpoint(api_key=Secret(KEY)))
    assert str(provider._client.base_url) == "https://api.openai.com/v1/"


# ---- what cannot be sent


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "8000",
        "http://",
        "http://:80/v1",
        "ftp://host/v1",
        "http://[::1",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://host\n/v1",
        " http://host/v1",
        "http://two words/v1",
        "http://a..b/v1",
    ],
)
def test_a_base_url_where_no_request_can_go_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InputError, match="is no endpoint; write --base-url"):
        embed(url, ["a"])


def test_a_password_in_the_base_url_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError, match="'host/v1' is no endpoint") as caught:
        embed("http://me:hunter2@host/v1", ["a"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-test\n", "sk-\r\nX-Evil: 1", "sk-鍵", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InputError, match="the API key has") as caught:
        embed("http://127.0.0.1:1/v1", ["a"], api_key=Secret(key))
    assert key not in str(caught.value)


def test_a_space_of_more_dimensions_than_the_model_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 1536 dimensions; .*@1537 asks for more"):
        embed("http://127.0.0.1:1/v1", ["a"], replace(SPACE, dimensions=1537))


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(InputError, match="needs an API key"):
        embed(None, ["a"], api_key=None)


@pytest.mark.parametrize("text", ["\udcff", "川\ud800"])
def test_a_text_with_a_lone_surrogate_is_rejected_unsent(text: str) -> None:
    with MeteredEndpoint(count="characters") as endpoint, pytest.raises(Rejected, match="lone surrogates"):
        embed(endpoint.url, ["a", text])
    assert endpoint.ledger.arrived == 0


# ---- right answers


@pytest.mark.parametrize("fault", [None, "float_only", "shuffled"])
def test_either_form_and_any_order_of_an_answer_give_the_same_vectors_in_the_order_of_the_texts(
    fault: str | None,
) -> None:
    with MeteredEndpoint(faults=Faults([fault]), count="characters") as endpoint:
        found = embed(endpoint.url, TEXTS)
    assert found.vectors.dtype == np.float32
    assert found.vectors == pytest.approx(expected(TEXTS), abs=1e-7)
    assert found.tokens == endpoint.ledger.tokens_billed == sum(map(len, TEXTS))


def test_vectors_of_any_length_are_scaled_to_length_one() -> None:
    with canned(says(200, answer([packed(3, 4, 0, 0), [0, 0, -1e-30, 0]]))) as server:
        found = embed(server.url, ["a", "b"])
    assert found.vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8), 0, 0], [0, 0, -1, 0]]


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}, {"prompt_tokens": 2}])
def test_an_answer_that_does_not_tell_its_usage_is_one_that_bills_nothing(usage: Any) -> None:
    with canned(says(200, answer(GOOD, usage=usage))) as server:
        assert embed(server.url, ["a", "b"]).tokens == 0


def test_numbers_that_equal_an_index_are_one() -> None:
    with canned(says(200, answer(GOOD, [1.0, False]))) as server:
        assert embed(server.url, ["a", "b"]).vectors.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


# ---- wrong answers


@pytest.mark.parametrize(
    "fault", ["garbage", "short", "long", "nan", "wrong_dimensions", "ignore_dimensions"]
)
@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS])
def test_an_answer_that_is_wrong_anywhere_is_not_used_at_all(fault: str, texts: list[str]) -> None:
    with MeteredEndpoint(faults=Faults([fault]), count="characters") as endpoint:
        with pytest.raises(Retryable, match=r"the answer (is unusable|has)") as caught:
            embed(endpoint.url, texts)
        assert caught.value.perhaps_billed
        assert embed(endpoint.url, texts).vectors == pytest.approx(expected(texts), abs=1e-7)


CROOKED: list[object] = [
    b"",
    b"<html>",
    b"[" * 100_000,
    b"\xff\xfe",
    3,
    [],
    {},
    {"data": None},
    {"data": {"a": 1}},
    {"data": ["a", "b"]},
    {"data": [{"index": 0}, {"index": 1}]},
    {"error": {"message": "slow down"}},
    answer(GOOD, [0, 0]),
    answer([*GOOD, UNIT], [0, 1, 1]),
    answer(GOOD, [1, 2]),
    answer(GOOD, [0, -1]),
    answer(GOOD, ["0", "1"]),
    answer(GOOD, [0, None]),
    answer(GOOD, [0, [1]]),
    answer(GOOD, usage=[1]),
    answer(GOOD, usage={"total_tokens": "many"}),
    answer([UNIT, 0.5]),
    answer([0.5, 0.5]),
    answer([[1, 0, 0, 0], [0.5]]),
    answer([[1, 0, 0, 0], None]),
    answer([[1, 0, 0, 0], [1, None, 0, 0]]),
    answer([[1, 0, 0, 0], [[1, 0, 0, 0]]]),
    answer([[[1, 0, 0, 0]], [[1, 0, 0, 0]]]),
    answer([[1, 0, 0, 0], ["x", 0, 0, 0]]),
    answer([UNIT, ""]),
    answer(["", ""]),
    answer([UNIT, "!!!!"]),
    answer([UNIT, "AAAAA"]),
    answer([UNIT, "AAAA"]),
    answer([UNIT, packed(0, 0, 0, 0)]),
    answer([UNIT, packed(float("inf"), 0, 0, 0)]),
    answer([UNIT, [1e39, 0, 0, 0]]),
]


def test_a_crooked_answer_is_retried_and_never_stretched_into_shape() -> None:
    with canned(*(says(200, body) for body in CROOKED)) as server:
        results = failures(server.url, ["a", "b"], len(CROOKED))
    taken = [body for body, found in zip(CROOKED, results, strict=True) if type(found) is not Retryable]
    assert taken == []
    assert all(found.perhaps_billed for found in results if isinstance(found, Retryable))


@pytest.mark.parametrize("body", [b"", b"x" * 20])
def test_a_body_that_cannot_be_unpacked_is_retried(body: bytes) -> None:
    with canned(says(200, body, Content_Encoding="gzip")) as server, pytest.raises(Retryable):
        embed(server.url, ["a"])


# ---- no answer


@pytest.mark.timeout(20)
def test_an_endpoint_that_hangs_is_left_after_the_timeout_and_may_have_billed() -> None:
    with (
        MeteredEndpoint(faults=Faults(["hang"]), count="characters") as endpoint,
        pytest.raises(Retryable, match=r"did not answer in 0.2 s") as caught,
    ):
        embed(endpoint.url, ["a"], timeout=0.2)
    assert caught.value.perhaps_billed


@pytest.mark.timeout(20)
def test_an_answer_that_trickles_in_does_not_outlast_the_timeout() -> None:
    with canned(dribbles) as server, pytest.raises(Retryable, match=r"did not answer in 0.3 s"):
        embed(server.url, ["a"], timeout=0.3)


@pytest.mark.parametrize(
    ("fault", "perhaps"),
    [("server_error", False), ("reset_before_billing", True), ("reset_after_billing", True)],
)
def test_a_failure_that_the_provider_may_charge_for_is_told_from_one_that_it_may_not(
    fault: str, perhaps: bool
) -> None:
    with MeteredEndpoint(faults=Faults([fault]), count="characters") as endpoint:
        with pytest.raises(Retryable) as caught:
            embed(endpoint.url, ["a"])
        assert caught.value.perhaps_billed is perhaps >= Fault(fault).bills
        assert endpoint.ledger.arrived == 1  # the SDK's own retries are off
