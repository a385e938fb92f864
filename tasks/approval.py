"""Approval: a run whose plan costs more than an amount waits until a person says yes or no."""

from collections.abc import Callable
from typing import Literal

from prefect import get_run_logger
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import ConfigDict, Field

from infra.config import ApprovalConfig
from pipeline.errors import OverBudget
from pipeline.model import Plan
from tasks import markdown


class Answer(RunInput):
    """What a person says to a plan."""

    model_config = ConfigDict(extra="forbid", title="Approval")

    decision: Literal["approve", "end the run"] = Field(
        "approve", title="Decision", description="Nothing has been paid yet"
    )
    why: str = Field("", title="Why", description="For those who come after; may be left empty")


class Approval:
    """Asks for a plan's approval where it is above an amount, and does not ask for the same amount twice."""

    def __init__(
        self, form: ApprovalConfig | None, title: str, ask: Callable[[str, int], Answer] | None = None
    ) -> None:
        self._form = form
        self._title = title
        self._ask = ask or _ask
        self._approved = 0  # tokens

    def __call__(self, plan: Plan) -> None:
        """Wait for a person where a plan needs one; raise OverBudget where it is not approved."""
        form = self._form
        if form is None or plan.tokens <= self._approved or not _above(form, plan):
            return
        asked = f"{markdown.plan(self._title, plan.record())}\n\nThis is above {form.amount()}."
        try:
            answer = self._ask(asked, round(form.hours * 3600))
        except FlowPauseTimeout:
            raise OverBudget(
                f"nobody approved within {form.hours:g} h of a plan above {form.amount()}; nothing was paid. "
                "Run it again, and approve it, or raise the pipeline's `approval`"
            ) from None
        why = f": {answer.why}" if answer.why else ""
        if answer.decision != "approve":
            raise OverBudget(f"a plan above {form.amount()} was not approved{why}; nothing was paid")
        self._approved = plan.tokens


def _above(form: ApprovalConfig, plan: Plan) -> bool:
    dear = form.usd is not None and (plan.cost_usd is None or plan.cost_usd > form.usd)
    return bool(plan.texts) and (dear or (form.tokens is not None and plan.tokens > form.tokens))


def _ask(asked: str, seconds: int) -> Answer:
    form = Answer.with_initial_data(description=asked)
    answer = pause_flow_run(wait_for_input=form, timeout=seconds, poll_interval=2)
    get_run_logger().info("the plan was answered by: %s. %s", answer.decision, answer.why)
    return answer
