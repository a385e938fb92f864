"""What is sent by batch comes back whole, at half the price, once, whatever happens on the way."""

import logging
from collections.abc import Generator
from itertools import islice, pairwise
from typing import Any, cast

import pytest

from pipeline.batch.files import Bounds
from pipeline.batch.tickets import NOBODY
from pipeline.errors import InputError, ProviderRefused
from pipeline.model import WAITING, Outcome
from tests.endpoint import Calls, Faults
from tests.pipeline.batch.service import Service, request, right, service, some


def _totals(outcomes: list[Outcome]) -> tuple[int, int, int]:
    """Texts, tokens, and tokens by batch."""
    return (
        sum(outcome.texts for outcome in outcomes),
        sum(outcome.tokens for outcome in outcomes),
        sum(outcome.batch_tokens for outcome in outcomes),
    )


# ---- all goes well


def test_each_request_has_one_outcome_and_each_text_its_vector_at_half_the_price(store: str) -> None:
    requests = some(5)
    with service(store) as made:
        outcomes = made.embed(requests)
        bill = made.endpoint.ledger
        assert right(made.vectors(), requests)
        assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2, 3, 4]
        assert _totals(outcomes) == (10, bill.tokens_billed, bill.batch_tokens_billed)
        assert bill.tokens_billed == bill.batch_tokens_billed == sum(one.tokens for one in requests)
        assert (len(made.endpoint.batches.made), made.orders()) == (1, [])
        [batch] = made.endpoint.batches.made.values()
        assert batch.file_id not in made.endpoint.batches.files.kept  # the texts do not stay there


def test_polls_are_frequent_at_first_and_then_a_minute_apart(store: str) -> None:
    polls = list[float]()
    with service(store, seconds=20_000.0) as made:
        made.endpoint.batch_rules.calls.hook = lambda which, when: (
            polls.append(made.time.now) if (which, when) == ("get", "before") else None
        )
        made.embed(some(1))
    between = [later - sooner for sooner, later in pairwise(polls)]
    assert between[:5] == [1.0, 1.5, 2.25, 3.375, 5.0625]
    assert between[-1] == max(between) == 60.0
    assert 20_000 <= sum(between) < 20_060
    assert max(made.time.slept) == 5.0  # in between, whoever waits for an outcome can look at the clock


def test_files_keep_the_bound_of_inputs_and_all_are_submitted_at_once(store: str) -> None:
    requests = some(7, texts=3)
    with service(store, Bounds(inputs=8, size=10**6), inputs=8) as made:
        made.embed(requests)
        batches = list(made.endpoint.batches.made.values())
        assert [len(batch.lines) for batch in batches] == [2, 2, 2, 1]
        assert len({batch.created for batch in batches}) == 1
        assert right(made.vectors(), requests)


def test_the_enqueued_tokens_are_never_passed_and_the_next_goes_when_an_earlier_one_has_ended(
    store: str,
) -> None:
    requests = some(8)
    most = 2 * max(one.tokens for one in requests)
    with service(store, enqueued_tokens=most) as made:
        made.embed(requests, enqueued_tokens=most)
        batches = list(made.endpoint.batches.made.values())
        assert [batch.status for batch in batches] == ["completed"] * 4
        assert all(b.created >= a.created + 100 for a, b in pairwise(batches))
        assert right(made.vectors(), requests)
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_an_unknown_bound_of_the_queue_is_found_and_nothing_is_billed_twice(store: str) -> None:
    requests = some(8)
    with service(store, enqueued_tokens=3 * requests[0].tokens) as made:
        lane, left, rounds = made.lane(), requests, 0
        while left:
            found = [one for one in lane.embed(made.job(), left) if one is not WAITING]
            left = [requests[one.number] for one in found if one.undone]
            rounds += 1
        assert right(made.vectors(), requests)
        assert 2 <= rounds <= 4
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_a_queue_without_room_for_one_request_says_so(store: str) -> None:
    with service(store, enqueued_tokens=3) as made:
        with pytest.raises(ProviderRefused, match=r"no room for a batch .* Enqueued token limit reached"):
            made.embed(some(1))
        assert made.orders() == []


# ---- some of it goes wrong


def test_lines_with_errors_are_undone_and_what_may_have_been_billed_is_said(store: str) -> None:
    requests = some(6, texts=1)
    faults = ["server_error", "garbage", "nan", "reset_after_billing", "wrong_dimensions"]
    with service(store, lines=Faults(faults)) as made:
        outcomes = {outcome.number: outcome for outcome in made.embed(requests)}
        assert right(made.vectors(), requests[5:])
        assert all(outcomes[n].undone == requests[n].hashes for n in range(5))
        assert [outcomes[n].unanswered for n in range(6)] == [
            0,
            *(requests[n].tokens for n in range(1, 5)),
            0,
        ]
        assert "answers 500 in a batch" in outcomes[0].reason
        assert "not finite" in outcomes[2].reason
        assert made.orders() == []
        again = made.embed(requests[:5])
        assert _totals(again)[0] == 5
        assert right(made.vectors(), requests)
    # The three that were spoiled, and the one that was lost.
    assert len(made.endpoint.ledger.billed_more_than_once()) == 4


def test_what_expires_is_undone_and_what_was_done_is_kept_and_paid_once(store: str) -> None:
    requests = some(4)
    with service(store, seconds=200.0, window=100.0) as made:
        outcomes = {outcome.number: outcome for outcome in made.embed(requests)}
        assert [bool(outcomes[n].undone) for n in range(4)] == [False, False, True, True]
        assert "completion window expired" in outcomes[3].reason
        assert outcomes[3].unanswered == 0
        assert right(made.vectors(), requests[:2])
        made.endpoint.batch_rules.seconds = 90.0
        made.embed(requests[2:])
        assert right(made.vectors(), requests)
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_a_poisonous_text_is_found_over_the_ordinary_lane_and_the_rest_of_its_request_goes_through(
    store: str,
) -> None:
    requests = [*some(2), request(2, ["a bad egg", "毒のない文", "fine"])]
    poison = Faults(poison_marker="bad egg")
    with service(store, lines=poison, faults=poison) as made:
        outcomes = {outcome.number: outcome for outcome in made.embed(requests)}
        [(guilty, reason)] = outcomes[2].rejected
        assert (guilty, outcomes[2].texts) == (requests[2].hashes[0], 2)
        assert "rejects the input (400)" in reason
        bill = made.endpoint.ledger
        assert _totals(list(outcomes.values())) == (6, bill.tokens_billed, bill.batch_tokens_billed)
        assert 0 < bill.batch_tokens_billed < bill.tokens_billed
        innocent = [*requests[:2], request(2, requests[2].texts[1:])]
        assert right(made.vectors(), innocent)
    assert bill.billed_more_than_once() == {}


def test_a_batch_whose_requests_are_all_rejected_is_no_matter_of_texts(store: str) -> None:
    with service(store, lines=Faults(poison_marker="text")) as made:
        with pytest.raises(ProviderRefused, match=r"all its requests were rejected; the last: .*400"):
            made.embed(some(9))
        assert made.endpoint.ledger.arrived == 0
        assert made.orders() == []


def test_a_quota_that_is_gone_ends_the_run_and_keeps_what_was_done(store: str) -> None:
    requests = some(3)
    with service(store, lines=Faults([None, "insufficient_quota"])) as made:
        with pytest.raises(ProviderRefused, match="exceeded your current quota"):
            made.embed(requests)
        assert right(made.vectors(), requests[:1])
        assert made.orders() == []


def test_a_batch_that_fails_its_validation_says_why_and_is_forgotten(store: str) -> None:
    with service(store, inputs=3) as made:
        with pytest.raises(ProviderRefused, match="at most 3 embedding inputs"):
            made.embed(some(2))
        assert (made.orders(), made.endpoint.ledger.texts_billed) == ([], 0)


def test_a_batch_that_somebody_cancels_is_not_ordered_again_by_itself(store: str) -> None:
    requests = some(4)
    with service(store) as made:
        outcomes: list[Outcome] = []
        running = made.lane().embed(made.job(), requests)
        outcomes += islice(running, 6)  # polls
        [batch] = made.endpoint.batches.made.values()
        batch.become("cancelling", made.time.now)
        with pytest.raises(ProviderRefused, match="was cancelled at the provider"):
            outcomes += running
        assert len(made.endpoint.batches.made) == 1
        assert made.orders() == []


# ---- the API itself fails


@pytest.mark.parametrize("operation", ["list", "upload", "create", "get", "content", "delete"])
@pytest.mark.parametrize("fault", ["server_error", "reset", "lost"])
def test_a_call_that_fails_is_repeated_and_a_batch_is_never_created_twice(
    store: str, operation: str, fault: str
) -> None:
    requests = some(3)
    with service(store, calls=Calls(**{operation: [fault] * 2})) as made:
        made.embed(requests)
        assert right(made.vectors(), requests)
        assert len(made.endpoint.batches.made) == 1
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_an_outage_of_half_an_hour_ends_no_run(store: str) -> None:
    requests = some(3)
    with service(store, calls=Calls(get=["server_error"] * 100)) as made:
        made.embed(requests)
        assert right(made.vectors(), requests)


def test_an_endpoint_without_batches_is_a_matter_of_the_configuration(store: str) -> None:
    with service(store, served=False) as made:
        with pytest.raises(InputError, match=r"has no batches .* leave --lane batch out"):
            made.embed(some(1))
        assert made.orders() == []


def test_the_key_is_in_no_message_and_in_no_file_of_the_store(store: str, tmp_path: Any) -> None:
    with service(store) as made:
        made.endpoint.key = made.endpoint.batches._key = "another"
        with pytest.raises(ProviderRefused, match="refuses the key") as caught:
            made.embed(some(1))
        assert "sk-test" not in str(caught.value)
        made.endpoint.batches._key = "sk-test"
        made.interrupted(some(1))
        assert len(made.orders()) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"sk-test" in path.read_bytes()]


# ---- a run ends, and the next one goes on


class _Killed(BaseException):
    """The process is gone."""


def _killed_at(made: Service, requests: Any, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests in a run that dies when it calls a method of some class."""
    kind, name, times = method
    left = [times]
    original = getattr(kind, name)

    def die(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise _Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, die)
        with pytest.raises(_Killed):
            made.embed(requests, run_id="killed")


def _moments() -> list[tuple[Any, str, int]]:
    from pipeline.batch.orders import Orders
    from pipeline.embedding.batch import BatchProvider
    from pipeline.spool import Spool

    return [
        (Orders, "write", 0),
        (BatchProvider, "upload", 0),  # the intent is kept
        (Orders, "save", 1),  # the file is uploaded
        (BatchProvider, "create", 0),  # between the intent to create and creating
        (Orders, "save", 2),  # between creating and keeping what was created
        (BatchProvider, "poll", 0),
        (BatchProvider, "poll", 3),
        (BatchProvider, "fetch", 0),
        (Spool, "put", 2),  # while collecting
        (Orders, "close", 0),  # all is collected
        (BatchProvider, "discard", 0),
    ]


@pytest.mark.parametrize("moment", _moments(), ids=lambda one: f"{one[0].__name__}.{one[1]} {one[2]}")
def test_a_run_killed_at_any_moment_is_gone_on_with_by_another_and_nothing_is_billed_twice(
    store: str, moment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = some(4)
    with service(store) as made:
        _killed_at(made, requests, moment, monkeypatch)
        if moment[1:] == ("discard", 0):  # then nothing is left to be done
            assert right(made.vectors(), requests)
        else:
            outcomes = made.embed(requests, run_id="next")
            assert _totals(outcomes)[0] == 8
            assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2, 3]
        assert right(made.vectors(), requests)
        assert made.orders() == []
        assert made.endpoint.ledger.billed_more_than_once() == {}
        assert sum(batch.status == "completed" for batch in made.endpoint.batches.made.values()) == 1


def test_a_run_that_needs_other_texts_too_orders_only_those_and_waits_for_both(store: str) -> None:
    old, new = some(4), [request(7, ["新しい文", "text 1 0 文章1の0"]), request(8, ["another"])]
    with service(store) as made:
        made.interrupted(old)
        outcomes = made.embed([old[0], *new], run_id="next")
        bill = made.endpoint.ledger
        assert {one.number: one.texts for one in outcomes} == {0: 2, 7: 2, 8: 1, NOBODY: 0}
        # What the first run has ordered is billed to the one that collects it, needed or not.
        assert _totals(outcomes)[1:] == (bill.tokens_billed, bill.tokens_billed)
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_what_an_adopted_batch_did_not_do_is_undone_for_the_request_that_needs_it(store: str) -> None:
    old = some(3)
    with service(store, lines=Faults(["server_error"])) as made:
        made.interrupted(old)
        regrouped = [request(5, [*old[0].texts[:1], *old[1].texts]), request(6, ["new"])]
        outcomes = {one.number: one for one in made.embed(regrouped, run_id="next")}
        assert outcomes[5].undone == old[0].hashes[:1]
        assert (outcomes[5].texts, outcomes[6].texts) == (2, 1)


def test_a_run_that_is_ended_says_that_its_batches_go_on(store: str, caplog: Any) -> None:
    with service(store) as made:
        with caplog.at_level(logging.WARNING):
            made.interrupted(some(2))
        assert "under way with the provider: 1" in caplog.text
        assert [batch.status for batch in made.endpoint.batches.made.values()] == ["validating"]


def test_an_order_of_another_endpoint_is_left_alone(store: str) -> None:
    with service(store) as first:
        first.interrupted(some(2))
    with service(store) as second:
        second.embed(some(2))
        assert (len(second.endpoint.batches.made), second.orders()) == (1, [])


def test_a_batch_that_the_endpoint_does_not_know_is_not_waited_for(store: str) -> None:
    requests = some(2)
    with service(store) as made:
        made.interrupted(requests)
        made.endpoint.batches.made.clear()
        lane = made.lane()
        first = [one for one in lane.embed(made.job("next"), requests) if one is not WAITING]
        assert all(one.undone for one in first)
        second = [one for one in lane.embed(made.job("next"), requests) if one is not WAITING]
        assert _totals(second)[0] == 4


def test_the_ordinary_lane_collects_batches_that_have_ended_and_waits_for_none(store: str) -> None:
    ended, going, fresh = some(6)[:2], some(6)[2:4], some(6)[4:]
    with service(store) as made:
        made.interrupted(ended)
        made.interrupted(going, "second")
        [*_, last] = made.endpoint.batches.made.values()
        last.created += 1000.0  # it goes more slowly than the first
        made.time.now += 100
        outcomes = made.embed([ended[1], going[0], *fresh], "third", lane="ordinary")
        assert {one.number: one.texts for one in outcomes} == {NOBODY: 0, 1: 2, 2: 2, 4: 2, 5: 2}
        bill = made.endpoint.ledger
        assert _totals(outcomes)[1:] == (bill.tokens_billed, bill.batch_tokens_billed)
        assert bill.billed_more_than_once() == {}  # what is under way is not billed yet
        assert [order.batch_id for order in made.orders()] == ["batch_000002"]
        assert right(made.vectors(), [*ended, going[0], *fresh])


def test_two_runs_at_once_share_a_batch_and_each_gets_its_texts(store: str) -> None:
    requests = some(3)
    with service(store) as made:
        first = made.lane().embed(made.job("first"), requests)
        assert next(first) is WAITING
        second = made.lane().embed(made.job("second"), [*requests[1:], request(9, ["new"])])
        assert next(second) is WAITING
        both = [[one for one in running if one is not WAITING] for running in (first, second)]
        assert [sum(one.texts for one in outcomes) for outcomes in both] == [6, 5]
    assert made.endpoint.ledger.billed_more_than_once() == {}


def test_a_run_stopped_while_it_collects_and_the_next_one_report_what_was_billed_together(
    store: str,
) -> None:
    requests = some(4)
    with service(store) as made:
        running = cast("Generator[Outcome, None, None]", made.lane().embed(made.job("first"), requests))
        outcomes = [next(one for one in running if one is not WAITING)]
        running.close()
        outcomes += made.embed(requests, run_id="next")
        assert sum(one.texts for one in outcomes) == 8 + 2
        assert _totals(outcomes)[1:] == (made.endpoint.ledger.tokens_billed,) * 2
    assert made.endpoint.ledger.billed_more_than_once() == {}


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_batch_of_an_earlier_run_that_came_to_nothing_is_ordered_anew(store: str, end: str) -> None:
    requests = some(2)
    with service(store) as made:
        made.interrupted(requests)
        [batch] = made.endpoint.batches.made.values()
        batch.become(end, made.time.now)
        undone = made.embed(requests, run_id="next")
        assert all(one.undone for one in undone)
        assert _totals(made.embed(requests, run_id="next"))[0] == 4
