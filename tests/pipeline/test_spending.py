"""The bill of a run: no request goes that could pass its budget, whatever the endpoint bills."""

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ids import digest
from pipeline.job import Budget, Price, SourceSpec
from pipeline.model import Outcome, Request
from pipeline.space import Space
from pipeline.spending import Spending
from tests.support import job_for

SPACE = Space("openai", "text-embedding-3-small", 8)


def _spending(**budget: float) -> Spending:
    return Spending.of(job_for(SourceSpec("files", "docs"), "store", space=SPACE, budget=Budget(**budget)))  # type: ignore[arg-type]


def _request(number: int, *texts: str, tokens: int | None = None) -> Request:
    size = sum(len(text.split()) for text in texts) if tokens is None else tokens
    return Request(number, texts, tuple(map(digest, texts)), size)


def _answer(request: Request, tokens: int | None = None) -> Outcome:
    billed = request.tokens if tokens is None else tokens
    return Outcome(request.number, texts=len(request.texts), tokens=billed, requests=1)


def test_without_a_budget_everything_goes_as_it_is() -> None:
    spending = _spending()
    requests = [_request(number, "some words") for number in range(3)]
    assert [spending.grant(one) for one in requests] == requests
    assert spending.flying == 3


def test_with_room_to_spare_a_request_has_attempts_for_its_retries() -> None:
    spending = _spending(tokens=1_000_000)
    granted = spending.grant(_request(0, "some words"))
    assert granted is not None
    assert granted.attempts is not None
    assert granted.attempts > 1


def test_near_its_end_a_budget_lets_requests_go_one_at_a_time_to_the_last_token() -> None:
    spending = _spending(tokens=6)
    first, second, third = (_request(number, "two words") for number in range(3))
    sent = spending.grant(first)
    assert sent is not None
    assert sent.attempts == 1
    assert spending.grant(second) is None  # until it is known what the first is billed
    spending.settle(_answer(first))
    for one in (second, third):
        assert spending.grant(one) is not None
        spending.settle(_answer(one))
    assert spending.tokens == 6
    assert spending.grant(_request(3, "more")) is None


def test_an_attempt_without_an_answer_counts_as_billed() -> None:
    spending = _spending(tokens=5)
    request = _request(0, "two words")
    spending.grant(request)
    again = spending.settle(Outcome(0, unanswered=2, undone=request.hashes, reason="a reset"))
    assert again is not None
    assert (again.texts, again.tokens) == (request.texts, 2)
    assert spending.tokens == 2
    assert spending.grant(again) is not None
    spending.settle(Outcome(0, unanswered=2, undone=request.hashes))
    assert spending.grant(again) is None
    assert "4 tokens were spent, 4 of them perhaps" in str(spending.refuse(again))


def test_only_what_is_undone_of_a_request_is_sent_again() -> None:
    spending = _spending(tokens=1000)
    request = _request(0, "a", "b", "c", "d", tokens=4)
    spending.grant(request)
    again = spending.settle(Outcome(0, texts=3, tokens=3, requests=2, undone=(digest("c"),)))
    assert again is not None
    assert (again.texts, again.hashes, again.tokens) == (("c",), (digest("c"),), 1)
    assert spending.counted == 3


def test_once_a_bill_is_higher_than_the_count_no_count_is_trusted() -> None:
    spending = _spending(tokens=60)
    first, second = _request(0, "four words of text"), _request(1, "four words of text")
    spending.grant(first)
    spending.settle(_answer(first, tokens=18))
    assert spending.grant(second) is not None  # 18 characters, and what may stand around them
    spending.settle(_answer(second, tokens=18))
    assert spending.tokens == 36
    assert spending.grant(_request(2, "a text of many more characters than that", tokens=9)) is None
    assert "bills more tokens than the plan has counted" in str(spending.refuse(first))


def test_what_is_on_its_way_when_a_run_is_stopped_is_in_the_spool_or_counts_as_unanswered() -> None:
    spending = _spending()
    requests = [_request(number, f"text {number}") for number in range(3)]
    for one in requests:
        spending.grant(one)
    spooled = {requests[0].hashes: replace(_answer(requests[0]), spooled=("a file",))}
    spending.close(lambda hashes: spooled.get(tuple(hashes)), {1: 2})  # and the last was never sent
    assert (spending.total.texts, spending.total.tokens, spending.total.unanswered) == (1, 2, 2)
    assert spending.flying == 0


def test_the_record_says_what_it_cost_and_by_which_price() -> None:
    spending = _spending()
    request = _request(0, "text", tokens=500_000)
    spending.grant(request)
    spending.settle(replace(_answer(request), unanswered=500_000, retries=1, paid_again=1))
    record = spending.record()
    assert (record["tokens"], record["tokens_unanswered"]) == (500_000, 500_000)
    assert record["cost_usd"] == 0.02
    assert record["price"]["usd"] == 0.02
    unknown = Spending.of(replace(spending.job, space=Space("openai", "unheard-of", 8)))
    unknown.total = spending.total
    assert (unknown.record()["cost_usd"], unknown.record()["price"]) == (None, None)


def test_a_budget_in_dollars_is_one_in_tokens_at_the_jobs_price() -> None:
    job = job_for(SourceSpec("files", "docs"), "store", space=SPACE, price=Price(2.0, "here"))
    assert Spending.of(replace(job, budget=Budget(usd=0.001))).allowed == 500
    assert Spending.of(replace(job, budget=Budget(usd=0.001, tokens=20))).allowed == 20


_TEXTS = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4)


@given(
    st.lists(_TEXTS, min_size=1, max_size=30),
    st.integers(0, 3000),
    st.sampled_from(["counted", "characters", "bytes", "less"]),
    st.randoms(use_true_random=False),
)
def test_the_bill_never_passes_the_budget_once_no_count_is_trusted(
    batches: Sequence[Sequence[str]], budget: int, bills: str, chance: random.Random
) -> None:
    """Whatever is billed for a text, up to its bytes, and however many attempts are lost.

    The one exception is a request that is sent alone while every bill before was as counted: what it is
    billed beyond its count nobody can know.
    """
    spending, billed = _spending(tokens=budget), 0

    def bill(request: Request) -> int:
        joined = "".join(request.texts)
        return {
            "counted": request.tokens,
            "characters": len(joined),
            "bytes": len(joined.encode("utf-8", "surrogatepass")),
            "less": request.tokens // 2,
        }[bills]

    waiting = [_request(number, *texts, tokens=2 * len(texts)) for number, texts in enumerate(batches)]
    flying: list[Request] = []
    beyond, trusted = 0, True
    while waiting or flying:
        granted = spending.grant(waiting[0]) if waiting else None
        if granted is not None:
            waiting.pop(0)
            flying.append(granted)
        elif not flying:
            break
        if flying and (granted is None or chance.random() < 0.5):
            request = flying.pop(chance.randrange(len(flying)))
            alone = not flying
            lost = chance.randint(0, request.attempts or 0) if chance.random() < 0.3 else 0
            given_up = lost == request.attempts
            billed += bill(request) * (lost + (not given_up))
            if alone and trusted:
                beyond += max(0, bill(request) - request.tokens)
            trusted = trusted and (given_up or bill(request) <= request.tokens)
            spending.settle(
                Outcome(
                    request.number,
                    texts=0 if given_up else len(request.texts),
                    tokens=0 if given_up else bill(request),
                    unanswered=request.tokens * lost,
                    undone=request.hashes if given_up else (),
                )
            )
        assert billed <= budget + beyond
