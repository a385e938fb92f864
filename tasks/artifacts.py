"""What a run leaves to read on the dashboard."""

from typing import Any, cast
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from pipeline.ports import Advance
from tasks.figures import figures


def report_artifact(report: dict[str, Any]) -> None:
    """Show what a run did, as a table on its page."""
    rows = [
        ("version", f"{report['version']}{'' if report['published'] else ' (nothing changed)'}"),
        *((f"documents {name}", count) for name, count in report["documents"].items()),
        *((f"chunks {name}", count) for name, count in report["chunks"].items()),
        *((name.replace("_", " "), value) for name, value in report["embedding"].items()),
        ("cost in USD", report["cost_usd"]),
        *((f"seconds {name}", value) for name, value in report["seconds"].items()),
    ]
    create_markdown_artifact(
        _table(f"{report['table']}: run {report['run_id']}", rows),
        key="report",
        description=f"What run {report['run_id']} did",
    )


class ProgressBoard:
    """A Board on a run's page: for each stage that sends texts a bar, and a table of its figures.

    Both are made once and changed in place. A server that cannot be reached stops no run.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._made: dict[str, tuple[UUID, UUID]] = {}  # by stage: the bar, the table

    def show(self, advance: Advance) -> None:
        """Show how far a stage has come."""
        share = 100.0 * advance.done / advance.total if advance.total else 100.0
        table = _table(f"{self._title}: {advance.stage}", list(figures(advance).items()))
        try:
            if advance.stage not in self._made:
                self._made[advance.stage] = self._make(advance.stage, share, table)
                return
            bar, text = self._made[advance.stage]
            update_progress_artifact(bar, progress=share)
            with get_client(sync_client=True) as client:
                client.update_artifact(text, ArtifactUpdate(data=table))
        except (PrefectException, HTTPError) as error:
            get_run_logger().warning("the progress cannot be shown: %s", error)

    def _make(self, stage: str, share: float, table: str) -> tuple[UUID, UUID]:
        said = f"{self._title}: {stage}"
        bar = create_progress_artifact(share, key=f"progress-{stage}", description=said)
        text = create_markdown_artifact(table, key=f"figures-{stage}", description=said)
        return cast(UUID, bar), cast(UUID, text)  # Prefect says that it could be called with await, too


def _table(title: str, rows: list[tuple[str, Any]]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([f"# {title}", "", "| | |", "|---|---:|", *lines])
