"""One run of a table at a time, over all that the server knows: a second one waits, or is skipped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.types._datetime import now

from pipeline.ids import digest
from pipeline.objects import resolved
from tasks.lost import caught_up

_POLL_SECONDS = 3.0
_SINCE = "vecmill.since"  # the label that gives a run its place in the order


class Skipped(Exception):
    """Another run of the same table goes on."""


def tags_of(table: str, store: str) -> list[str]:
    """The tags by which runs of a table are found."""
    return [f"table:{table}", tag_of_store(store)]


def tag_of_store(store: str) -> str:
    """The tag by which runs of a store are found, wherever its address is written from."""
    return f"store:{digest(resolved(store))[:8]}"


@contextmanager
def alone(
    table: str, store: str, overlap: Literal["wait", "skip"], sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold a table for the flow run that is under way, after the runs that hold it already.

    Runs go in the order in which they came here. Nothing is locked: a run that has ended, or was seen as
    crashed, stands in nobody's way. Raises Skipped where another run goes on, and `overlap` says so.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        yield
        return
    with get_client(sync_client=True) as client:
        tags = tags_of(table, store)
        client.update_flow_run(run.id, tags=sorted({*run.tags, *tags}))
        place = (now("UTC").isoformat(), str(run.id))
        client.update_flow_run_labels(run.id, {_SINCE: place[0]})
        _catch_up(client, run)
        said = False
        while before := _before(client, place, tags):
            if overlap == "skip":
                raise Skipped(f"{before.name!r} of the same table goes on")
            if not said:
                get_run_logger().info("waits for %r, which is of the same table", before.name)
                said = True
            sleep(_POLL_SECONDS)
    yield


def _before(client: SyncPrefectClient, place: tuple[str, str], tags: list[str]) -> FlowRun | None:
    """A run of the same table that goes on, and came before this one."""
    going = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING])
    )
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=tags), state=going)
    )
    # One that a person has suspended comes back as if it were new.
    held = [one for one in found if _SINCE in one.labels and one.state_name != "Suspended"]
    placed = [(str(one.labels[_SINCE]), str(one.id), one) for one in held]
    return next(
        (one for since, run_id, one in sorted(placed, key=lambda at: at[:2]) if (since, run_id) < place), None
    )


def _catch_up(client: SyncPrefectClient, run: FlowRun) -> None:
    """End the deployment's other runs whose time has passed: this one does what they were to do."""
    if run.deployment_id is None:
        return
    late = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=now("UTC")),
    )
    while missed := [one for one in client.read_flow_runs(flow_run_filter=late) if one.auto_scheduled]:
        for one in missed:
            try:
                client.set_flow_run_state(one.id, caught_up(repr(run.name)), force=True)
            except PrefectException:  # it has begun in the meantime, and waits its turn
                return
        get_run_logger().info("%s missed runs of the schedule are caught up by this one", f"{len(missed):,}")
