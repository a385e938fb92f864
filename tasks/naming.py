"""What runs are called on the dashboard: the table, and what started them."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelled

from pipeline.errors import InputError
from pipeline.job import Job

RUN_LABEL = "vecmill.run"
"""The label of a run on the dashboard that has its id here."""

_PAGE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def name_of_run(kind: str, what: Callable[[Mapping[str, Any]], str]) -> Callable[[], str]:
    """The name of a flow's runs: what it does, to which table, and why."""

    def name() -> str:
        values = flow_run.parameters
        return f"{kind} {what(values)}, {cause()}"

    return name


def cause() -> str:
    """What started the run that is under way."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return "by command"
    return "by schedule" if run.auto_scheduled else "by hand" if run.deployment_id else "by command"


def label(job: Job) -> None:
    """Let the flow run that is under way be found by its id here, and be named by its table."""
    if not flow_run.id:
        return
    name, page = f"{job.kind} {job.table}, {cause()}", UUID(flow_run.id)
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(page, {RUN_LABEL: job.run_id})
        if flow_run.name != name:  # a rerun's table is known once its run is read
            client.update_flow_run(page, name=name)


def run_meant(named: str) -> str:
    """The id of a run that a person names by it, or by its page on the dashboard, or that page's id."""
    found = _PAGE.search(named)
    if found is None:
        return named.strip()
    try:
        with get_client(sync_client=True) as client:
            labels = client.read_flow_run(UUID(found[0])).labels
    except ObjectNotFound:
        raise InputError(f"there is no run with the page {named}; vecmill runs lists runs") from None
    if RUN_LABEL not in labels:
        raise InputError(f"the run with the page {named} ended before it began any work; start it anew")
    return str(labels[RUN_LABEL])


def skipped(reason: Exception) -> State[Any]:
    """The state of a run that found another one at work."""
    get_run_logger().info("skipped: %s", reason)
    return Cancelled(name="Skipped", message=str(reason))
