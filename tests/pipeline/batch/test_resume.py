"""What one run has ordered by batch, the next collects: nothing is ordered twice, and nothing is lost."""

import logging
from collections.abc import Generator
from typing import Any, cast

import pytest

from pipeline.batch.orders import Orders
from pipeline.batch.tickets import NOBODY
from pipeline.embedding.batch import BatchProvider
from pipeline.model import WAITING, Outcome
from pipeline.spool import Spool
from tests.endpoint import Faults
from tests.pipeline.batch.service import Service, request, right, service, some, totals


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
            assert totals(outcomes)[0] == 8
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
        assert totals(outcomes)[1:] == (bill.tokens_billed, bill.tokens_billed)
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
        assert totals(second)[0] == 4


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
        assert totals(outcomes)[1:] == (bill.tokens_billed, bill.batch_tokens_billed)
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
        assert totals(outcomes)[1:] == (made.endpoint.ledger.tokens_billed,) * 2
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
        assert totals(made.embed(requests, run_id="next"))[0] == 4
