"""One loop repeats what may succeed later, as long as patience lasts and no longer than that."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.embedding.retry import Attempted, Retrier
from pipeline.errors import ProviderRefused, Rejected, Retryable, Throttled, Unreachable
from pipeline.ports import Embedded
from tests.endpoint.probe import Clock

ANSWER = Embedded(np.eye(1, dtype=np.float32), 7)
Script = Sequence[BaseException | None]


@dataclass
class Patient:
    """A retrier whose time passes only in what it waits for, and what it has waited."""

    patience: float = 180.0
    an_attempt: float = 0.0  # seconds
    a_turn: float = 0.0  # seconds
    clock: Clock = field(default_factory=Clock)
    slept: list[float] = field(default_factory=list)
    attempts: int = 0
    turns: int = 0

    def __post_init__(self) -> None:
        self.retrier = Retrier(self.patience, self._sleep, self.clock)

    def run(self, script: Script) -> Attempted[Embedded]:
        """One request whose attempts end as the script says; its last entry stays."""
        left = list(script)

        async def attempt() -> Embedded:
            self.attempts += 1
            self.clock.now += self.an_attempt
            error = left.pop(0) if len(left) > 1 else left[0]
            if error:
                raise error
            return ANSWER

        async def turn() -> None:
            assert self.turns == self.attempts
            self.turns += 1
            self.clock.now += self.a_turn

        return asyncio.run(self.retrier.run(attempt, turn))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the test began."""
        return self.clock.now - Clock().now


def test_what_succeeds_at_once_is_neither_repeated_nor_waited_for() -> None:
    patient = Patient()
    assert patient.run([None]) == Attempted(ANSWER, retries=0, perhaps_billed=0)
    assert (patient.attempts, patient.turns, patient.slept) == (1, 1, [])


def test_an_answer_tells_the_retries_and_which_of_them_may_have_been_billed() -> None:
    patient = Patient()
    script = [Throttled("429"), Retryable("NaN", perhaps_billed=True), Unreachable("down"), None]
    assert patient.run(script) == Attempted(ANSWER, retries=3, perhaps_billed=1)
    assert patient.turns == patient.attempts == 4


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(0, 5), min_size=1, max_size=8))
def test_each_wait_is_what_the_endpoint_asked_for_and_a_jitter_that_doubles_up_to_twenty_seconds(
    asked: list[float | None],
) -> None:
    patient = Patient()
    patient.run([*(Throttled("429", retry_after=seconds) for seconds in asked), None])
    for retry, (slept, seconds) in enumerate(zip(patient.slept, asked, strict=True)):
        assert 0 <= slept - (seconds or 0.0) <= min(20, 0.5 * 2**retry) + 1e-9


@pytest.mark.parametrize("asked", [None, 7.0])
def test_waits_differ_so_that_workers_do_not_come_back_all_at_once(asked: float | None) -> None:
    waits = set()
    for _ in range(20):
        patient = Patient()
        patient.run([Retryable("503", retry_after=asked), None])
        waits.add(patient.slept[0])
    assert len(waits) == 20


@pytest.mark.parametrize("patience", [0.1, 10.0, 180.0])
def test_patience_ends_in_a_refusal_that_tells_the_last_reason(patience: float) -> None:
    patient, last = Patient(patience), Retryable("http://host answers 503")
    with pytest.raises(
        ProviderRefused, match=r"attempt \d+, after \d+ s: http://host answers 503\. What"
    ) as caught:
        patient.run([last])
    assert caught.value.__cause__ is last
    assert max(0, patience - 20) <= patient.elapsed <= patience


def test_the_time_of_the_attempts_themselves_counts() -> None:
    patient = Patient(100.0, an_attempt=60.0)
    with pytest.raises(ProviderRefused, match=r"attempt 2, after 12[01] s"):
        patient.run([Retryable("no answer")])


def test_nobody_waits_longer_than_patience_because_the_endpoint_asks_for_it() -> None:
    patient = Patient(180.0)
    with pytest.raises(ProviderRefused, match="attempt 1, after 0 s: 429"):
        patient.run([Throttled("429", retry_after=3600)])
    assert patient.slept == []


def test_waiting_for_ones_own_quota_tries_nobodys_patience() -> None:
    patient = Patient(1.0, a_turn=3600.0)
    assert patient.run([Retryable("500", retry_after=0.0), None]).retries == 1


def test_an_endpoint_that_never_answered_is_given_up_after_fifteen_seconds() -> None:
    patient = Patient(180.0)
    with pytest.raises(ProviderRefused, match="nobody there"):
        patient.run([Unreachable("nobody there")])
    assert patient.elapsed <= 15
    assert patient.attempts > 2


@pytest.mark.parametrize("contact", [None, Rejected("400"), Throttled("429")])
def test_one_that_answered_anybody_before_is_waited_for_as_long_as_patience_lasts(
    contact: Exception | None,
) -> None:
    patient = Patient(180.0)
    with suppress(Rejected):
        patient.run([contact, None])
    before = patient.elapsed
    with pytest.raises(ProviderRefused, match="down"):
        patient.run([Unreachable("down")])
    assert 150 < patient.elapsed - before <= 180


@pytest.mark.parametrize(
    "error", [Rejected("400"), ProviderRefused("401"), ValueError("a defect"), asyncio.CancelledError()]
)
def test_what_will_not_heal_is_raised_as_it_is_and_at_once(error: BaseException) -> None:
    patient = Patient()
    with pytest.raises(type(error)) as caught:
        patient.run([error])
    assert caught.value is error
    assert (patient.attempts, patient.slept) == (1, [])
