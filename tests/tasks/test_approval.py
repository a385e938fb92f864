"""When a plan waits for a person, and what the answer does."""

import pytest
from prefect.exceptions import FlowPauseTimeout

from infra.config import ApprovalConfig
from pipeline.errors import OverBudget
from pipeline.model import ChunkCounts, DocumentCounts, Plan
from tasks.approval import Answer, Approval


class Person:
    """Answers, and remembers what was asked."""

    def __init__(self, decision: str = "approve", why: str = "") -> None:
        self.asked: list[tuple[str, int]] = []
        self._answer = Answer.model_validate({"decision": decision, "why": why})

    def __call__(self, said: str, seconds: int) -> Answer:
        """Take a question."""
        self.asked.append((said, seconds))
        return self._answer


def _plan(tokens: int, usd: float | None = 0.0) -> Plan:
    return Plan(
        DocumentCounts(new=3), ChunkCounts(inserted=3), bool(tokens) * 3, tokens, 1, 0, usd, None, False
    )


def _asks(form: ApprovalConfig | None, *plans: Plan) -> int:
    person = Person()
    approval = Approval(form, "ingest of docs", person)
    for plan in plans:
        approval(plan)
    return len(person.asked)


def test_only_what_is_above_the_amount_is_asked() -> None:
    assert _asks(None, _plan(10**9, 1e6)) == 0
    assert _asks(ApprovalConfig(tokens=100), _plan(100)) == 0
    assert _asks(ApprovalConfig(tokens=100), _plan(101)) == 1
    assert _asks(ApprovalConfig(usd=1.0), _plan(5, 1.0)) == 0
    assert _asks(ApprovalConfig(usd=1.0), _plan(5, 1.01)) == 1
    assert _asks(ApprovalConfig(usd=1.0), _plan(5, None)) == 1
    assert _asks(ApprovalConfig(tokens=0), _plan(0)) == 0


def test_what_was_approved_is_not_asked_again_unless_it_grows() -> None:
    assert _asks(ApprovalConfig(tokens=10), _plan(50), _plan(50), _plan(20)) == 1
    assert _asks(ApprovalConfig(tokens=10), _plan(50), _plan(51)) == 2


def test_the_question_shows_the_plan_and_how_long_it_waits() -> None:
    person = Person()
    Approval(ApprovalConfig(tokens=10, hours=0.5), "ingest of docs", person)(_plan(5000))
    [(said, seconds)] = person.asked
    assert "Plan of ingest of docs" in said
    assert "5,000 tokens" in said
    assert "This is above 10 tokens." in said
    assert seconds == 1800


def test_a_no_ends_the_run_with_its_reason_and_nothing_paid() -> None:
    approval = Approval(ApprovalConfig(usd=2.0), "ingest of docs", Person("end the run", "too dear"))
    with pytest.raises(OverBudget, match="above 2 USD was not approved: too dear; nothing was paid"):
        approval(_plan(5, 3.0))


def test_nobody_who_answers_ends_it_too() -> None:
    def away(said: str, seconds: int) -> Answer:
        raise FlowPauseTimeout("timed out")

    approval = Approval(ApprovalConfig(tokens=1, hours=2), "ingest of docs", away)
    with pytest.raises(OverBudget, match="nobody approved within 2 h"):
        approval(_plan(5))


def test_an_approval_without_an_amount_is_no_form() -> None:
    with pytest.raises(ValueError, match="approval needs an amount"):
        ApprovalConfig()
