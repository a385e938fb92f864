"""Events of runs, which Prefect's automations can act on."""

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event
from prefect.logging import get_logger

from pipeline.ids import digest
from pipeline.job import Job

EVENTS = ("published", "failed", "stopped", "over-budget", "dead-letters", "drift")
"""What can have happened to a table."""


def tell(event: str, job: Job, payload: Mapping[str, Any]) -> None:
    """Tell that something has happened to a job's table: `vecmill.<event>`, one of EVENTS."""
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
        get_logger("vecmill").warning("the event %s cannot be sent: %s", event, type(error).__name__)
