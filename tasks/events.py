"""Events of runs, which Prefect's automations can act on."""

from collections.abc import Mapping
from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event

from pipeline.ids import digest
from pipeline.model import Job


def tell(event: str, job: Job, payload: Mapping[str, Any]) -> None:
    """Tell that something has happened to a job's table: the event `vecmill.<event>`.

    Events are published, failed, stopped, over-budget, dead-letters.
    """
    tell_of(event, job.table, job.store, {"kind": job.kind, "pipeline": job.pipeline, **payload})


def tell_of(event: str, table: str, store: str, payload: Mapping[str, Any]) -> None:
    """Tell that something has happened to a table of a store."""
    resource = {
        "prefect.resource.id": f"vecmill.table.{digest(store)[:8]}.{table}",
        "prefect.resource.name": table,
        "vecmill.table": table,
    }
    try:
        emit_event(f"vecmill.{event}", resource, payload={"table": table, **payload})
    except Exception as error:  # whoever is not told can still read it
        get_run_logger().warning("the event %s cannot be sent: %s", event, type(error).__name__)
