"""What is sent by batch comes back whole, at half the price, once, whatever happens on the way."""

from itertools import islice, pairwise
from typing import Any

import pytest

from pipeline.batch.files import Bounds
from pipeline.errors import InputError, ProviderRefused
from pipeline.model import WAITING, Outcome
from tests.endpoint import Calls, Faults
from tests.pipeline.batch.service import request, right, service, some, totals

# ---- all goes well


def test_each_request_has_one_outcome_and_each_text_its_vector_at_half_the_price(store: str) -> None:
    requests = some(5)
    with service(store) as made:
        outcomes = made.embed(requests)
        bill = made.endpoint.ledger
        assert right(made.vectors(), requests)
        assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2, 3, 4]
        assert totals(outcomes) == (10, bill.tokens_billed, bill.batch_tokens_billed)
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
        assert totals(again)[0] == 5
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
        assert totals(list(outcomes.values())) == (6, bill.tokens_billed, bill.batch_tokens_billed)
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
