"""What the server does by itself: a run whose process has vanished is seen as crashed."""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, EventTrigger, Posture
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.events import ResourceSpecification

VANISHED = "vecmill: a run whose process vanished has crashed"

# Three beats: one that is late is no sign of a death.
_WITHIN = timedelta(seconds=90)


def vanished() -> AutomationCore:
    """Crashes a run of ours that has said that it lives, and says nothing any more."""
    ended = [f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")]
    beat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name=VANISHED,
        description="It would look alive for ever, and hold its slot; now it can be retried.",
        enabled=True,
        trigger=EventTrigger(
            after={beat},
            expect={beat, *ended},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.id": "prefect.tag.vecmill", "prefect.resource.role": "tag"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=_WITHIN,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="Its process has said nothing for 90 s: it was killed, or its machine is gone.",
            )
        ],
    )


def register_automations(client: SyncPrefectClient) -> None:
    """Register it, once; one that a person has changed or switched off stays as it is."""
    if not client.read_automations_by_name(VANISHED):
        client.create_automation(vanished())
