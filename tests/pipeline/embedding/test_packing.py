"""Requests are packed by three bounds, and from token counts alone."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedding.packing import Text, pack
from pipeline.job import Endpoint
from pipeline.ports import Limits

SIZES = st.lists(st.integers(1, 50), max_size=60)
LIMITS = st.builds(
    Limits,
    inputs=st.integers(1, 12),
    tokens=st.integers(1, 120),
    tokens_an_input=st.just(50),
    batch=st.integers(1, 20),
)
ENDPOINTS = st.builds(
    Endpoint,
    batch_inputs=st.none() | st.integers(1, 20),
    tpm=st.none() | st.integers(1, 1000),
    rpm=st.none() | st.integers(1, 9),
    max_in_flight=st.integers(1, 9),
)


def _texts(sizes: list[int]) -> list[Text]:
    return [Text(f"hash {place}", size, f"文 {place}") for place, size in enumerate(sizes)]


def _bounds(limits: Limits, endpoint: Endpoint) -> tuple[int, int]:
    most = limits.tokens
    if endpoint.tpm is not None:
        enough = math.ceil(endpoint.tpm / endpoint.rpm) if endpoint.rpm else 1
        most = min(most, max(enough, endpoint.tpm // 300))
    return min(limits.inputs, endpoint.batch_inputs or limits.batch), most


@given(SIZES, LIMITS, ENDPOINTS)
def test_nothing_is_lost_or_doubled(sizes: list[int], limits: Limits, endpoint: Endpoint) -> None:
    requests = list(pack(_texts(sizes), limits, endpoint))
    sent = [pair for request in requests for pair in zip(request.hashes, request.texts, strict=True)]
    assert sorted(sent) == sorted((text.text_hash, text.text) for text in _texts(sizes))
    assert [request.number for request in requests] == list(range(len(requests)))
    assert sum(request.tokens for request in requests) == sum(sizes)


@given(SIZES, LIMITS, ENDPOINTS)
def test_no_request_is_beyond_a_bound_unless_it_is_a_single_text(
    sizes: list[int], limits: Limits, endpoint: Endpoint
) -> None:
    inputs, most = _bounds(limits, endpoint)
    for request in pack(_texts(sizes), limits, endpoint):
        assert 1 <= len(request.texts) <= inputs
        assert request.tokens <= most or len(request.texts) == 1


@given(SIZES, LIMITS, ENDPOINTS)
def test_no_text_of_a_later_request_would_have_fitted_into_an_earlier_one_where_tokens_bound_them(
    sizes: list[int], limits: Limits, endpoint: Endpoint
) -> None:
    inputs, most = _bounds(limits, endpoint)
    requests = list(pack(_texts(sizes), limits, endpoint))
    if sum(sizes) * inputs > len(sizes) * most:
        tokens = dict(zip((text.text_hash for text in _texts(sizes)), sizes, strict=True))
        for number, request in enumerate(requests):
            left = [tokens[name] for later in requests[number + 1 :] for name in later.hashes]
            assert len(request.texts) == inputs or request.tokens + min(left, default=most) >= most


def test_where_only_their_number_bounds_them_texts_stay_in_order() -> None:
    requests = pack(_texts([1, 5, 2, 9, 3]), Limits(2, 1000, 50, 2), Endpoint())
    assert [request.hashes for request in requests] == [
        ("hash 0", "hash 1"),
        ("hash 2", "hash 3"),
        ("hash 4",),
    ]


def test_what_long_texts_leave_free_is_filled_with_short_ones() -> None:
    sizes = [7, 3, 6, 4, 8, 2, 9, 1, 5, 5]
    requests = list(pack(_texts(sizes), Limits(9, 10, 10, 9), Endpoint()))
    assert [request.tokens for request in requests] == [10] * 5


@pytest.mark.parametrize("number", [4095, 4096, 4097, 9000])
def test_only_the_last_request_of_many_is_not_full(number: int) -> None:
    requests = list(pack(_texts([1] * number), Limits(100, 1000, 50, 100), Endpoint()))
    assert [len(request.texts) for request in requests[:-1]] == [100] * ((number - 1) // 100)
    assert sum(len(request.texts) for request in requests) == number


@given(SIZES, LIMITS, ENDPOINTS)
def test_a_plan_that_has_only_the_token_counts_counts_the_same_requests(
    sizes: list[int], limits: Limits, endpoint: Endpoint
) -> None:
    blind = pack((Text("", size, "") for size in sizes), limits, endpoint)
    full = pack(_texts(sizes), limits, endpoint)
    assert [(one.tokens, len(one.texts)) for one in blind] == [(one.tokens, len(one.texts)) for one in full]


def test_packing_is_lazy_so_that_texts_are_read_as_they_are_sent() -> None:
    read = 0

    def texts() -> Iterator[Text]:
        nonlocal read
        for text in _texts([1] * 20_000):
            read += 1
            yield text

    requests = pack(texts(), Limits(2, 100, 50, 2), Endpoint())
    assert next(requests).hashes == ("hash 0", "hash 1")
    assert read < 5000


@pytest.mark.parametrize(
    ("rpm", "tpm", "most"), [(None, 30_000, 100), (3000, 600_000, 2000), (3, 40_000, 13_334), (10, 5, 1)]
)
def test_a_request_takes_few_of_a_minutes_tokens_but_enough_that_its_requests_suffice(
    rpm: int | None, tpm: int, most: int
) -> None:
    requests = list(pack(_texts([1] * most * 2), Limits(10**6, 10**6, 50, 10**6), Endpoint(rpm=rpm, tpm=tpm)))
    assert [request.tokens for request in requests] == [most, most]
