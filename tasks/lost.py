"""What a machine that runs everything itself has missed and lost while it was down."""

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed, Scheduled
from prefect.types._datetime import now

_WHY = "The worker that ran it was stopped. What was paid is kept; retry it, or wait for the schedule."
_PAGE = 200


def give_back(client: SyncPrefectClient, pool: str) -> int:
    """End the runs of a pool that look alive, before its only worker starts; gives how many.

    A run that was only about to start is due again. One that a person has suspended needs no process.
    """
    alive = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED)
    lost = [run for run in _runs(client, pool, _in(*alive)) if run.state_name != "Suspended"]
    for run in lost:
        client.set_flow_run_state(run.id, _ended(run), force=True)
    return len(lost)


def catch_up_once(client: SyncPrefectClient, pool: str) -> int:
    """Leave of the runs that schedules have missed the last one of each; gives how many are ended.

    Otherwise all of them would ask for a slot at once, and go on asking until the first has begun.
    """
    late = _in(StateType.SCHEDULED)
    late.expected_start_time = FlowRunFilterExpectedStartTime(before_=now("UTC"))
    found: dict[Any, list[FlowRun]] = {}
    for run in _runs(client, pool, late):
        if run.auto_scheduled:
            found.setdefault(run.deployment_id, []).append(run)
    missed = [run for runs in found.values() for run in runs[:-1]]
    for run in missed:
        client.set_flow_run_state(run.id, caught_up("a later run"), force=True)
    return len(missed)


def caught_up(by: str) -> State[Any]:
    """The state of a run whose work another does."""
    return Cancelled(name="CaughtUp", message=f"{by} does its work.")


def _in(*states: StateType) -> FlowRunFilter:
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))))


def _runs(client: SyncPrefectClient, pool: str, wanted: FlowRunFilter) -> Iterator[FlowRun]:
    """The runs of a pool, in the order in which they were due; all are read before any is given."""
    ours, found = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])), list[FlowRun]()
    while page := client.read_flow_runs(
        flow_run_filter=wanted,
        work_pool_filter=ours,
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=_PAGE,
        offset=len(found),
    ):
        found += page
    return iter(found)


def _ended(run: FlowRun) -> State[Any]:
    if run.state_type == StateType.PENDING:
        return Scheduled(scheduled_time=run.expected_start_time)
    return Cancelled() if run.state_type == StateType.CANCELLING else Crashed(message=_WHY)
