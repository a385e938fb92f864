"""Requests are packed by three bounds, in order, from token counts alone."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedding.packing import Text, pack
from pipeline.model import Endpoint
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
    most = limits.tokens if endpoint.tpm is None else min(limits.tokens, max(1, endpoint.tpm // 6))
    return min(limits.inputs, endpoint.batch_inputs or limits.batch), most


@given(SIZES, LIMITS, ENDPOINTS)
def test_nothing_is_lost_doubled_or_moved(sizes: list[int], limits: Limits, endpoint: Endpoint) -> None:
    requests = list(pack(_texts(sizes), limits, endpoint))
    sent = [pair for request in requests for pair in zip(request.hashes, request.texts, strict=True)]
    assert sent == [(text.text_hash, text.text) for text in _texts(sizes)]
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
def test_every_request_is_filled_as_far_as_the_next_text_allows(
    sizes: list[int], limits: Limits, endpoint: Endpoint
) -> None:
    inputs, most = _bounds(limits, endpoint)
    requests, place = list(pack(_texts(sizes), limits, endpoint)), 0
    for request in requests[:-1]:
        place += len(request.texts)
        assert len(request.texts) == inputs or request.tokens + sizes[place] > most


@given(SIZES, LIMITS, ENDPOINTS)
def test_a_plan_that_has_only_the_token_counts_counts_the_same_requests(
    sizes: list[int], limits: Limits, endpoint: Endpoint
) -> None:
    blind = pack((Text("", size, "") for size in sizes), limits, endpoint)
    full = pack(_texts(sizes), limits, endpoint)
    assert [(one.tokens, len(one.texts)) for one in blind] == [(one.tokens, len(one.texts)) for one in full]


def test_packing_is_lazy_so_that_texts_are_read_as_they_are_sent() -> None:
    read = []

    def texts() -> Iterator[Text]:
        for text in _texts([1] * 9):
            read.append(text)
            yield text

    requests = pack(texts(), Limits(2, 100, 50, 2), Endpoint())
    assert next(requests).hashes == ("hash 0", "hash 1")
    assert len(read) == 3


def test_a_request_does_not_take_more_than_the_tokens_of_ten_seconds_of_quota() -> None:
    requests = pack(_texts([10] * 6), Limits(100, 10_000, 50, 100), Endpoint(tpm=120))
    assert [request.tokens for request in requests] == [20, 20, 20]
