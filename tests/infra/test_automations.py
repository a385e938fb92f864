"""The automations that we show: Prefect takes them, and they wait for events that there are."""

from pathlib import Path

import pytest
import yaml
from prefect.events import AutomationCore
from prefect.events.schemas.automations import EventTrigger

from tasks.automations import vanished
from tasks.events import EVENTS

_FILES = sorted((Path(__file__).parents[2] / "infra" / "automations").glob("*.yaml"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_an_example_is_an_automation_that_waits_for_events_that_there_are(file: Path) -> None:
    automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
    trigger = automation.trigger
    assert isinstance(trigger, EventTrigger)
    assert trigger.expect <= {f"vecmill.{event}" for event in EVENTS}
    assert len(automation.actions) == 1


def test_there_is_one_for_a_webhook_and_one_for_mail() -> None:
    assert [file.stem for file in _FILES] == ["email", "webhook"]


def test_a_run_that_says_nothing_is_crashed_within_two_minutes_and_only_ours_are() -> None:
    trigger = vanished().trigger
    assert isinstance(trigger, EventTrigger)
    assert trigger.within.total_seconds() <= 100
    assert "prefect.tag.vecmill" in str(trigger.match_related)
