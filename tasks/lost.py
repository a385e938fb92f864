"""Runs that a machine that runs everything itself has lost: their processes ended with the worker."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed, Scheduled

_WHY = "The worker that ran it was stopped. What was paid is kept; retry it, or wait for the schedule."


def give_back(client: SyncPrefectClient, pool: str) -> int:
    """End the runs of a pool that look alive, before its only worker starts; gives how many.

    A run that was only about to start is due again.
    """
    alive = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
        )
    )
    ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    count = 0
    while found := client.read_flow_runs(flow_run_filter=alive, work_pool_filter=ours):
        for run in found:
            client.set_flow_run_state(run.id, _ended(run), force=True)
        count += len(found)
    return count


def _ended(run: FlowRun) -> State[Any]:
    if run.state_type == StateType.PENDING:
        return Scheduled(scheduled_time=run.expected_start_time)
    return Cancelled() if run.state_type == StateType.CANCELLING else Crashed(message=_WHY)
