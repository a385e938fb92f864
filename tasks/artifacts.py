"""What a run leaves to read on the dashboard: before it pays, while it goes on, and after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from pipeline.ports import Advance
from tasks import markdown
from tasks.comparison_page import in_markdown
from tasks.figures import figures
from tasks.throughput import Throughput

_LETTERS = 200  # of many, in a table to read


def plan_artifact(title: str, plan: Mapping[str, Any]) -> None:
    """Show what a run is going to do, and cost."""
    with _or_not("plan"):
        create_markdown_artifact(
            markdown.plan(title, plan), key="plan", description=f"What {title} is going to do"
        )


def report_artifact(
    report: Mapping[str, Any], letters: Sequence[Mapping[str, Any]], seen: Throughput
) -> None:
    """Show what a run did, and what it could not do."""
    text = markdown.report(report, len(letters), seen)
    with _or_not("report"):
        create_markdown_artifact(
            text, key="report", description=f"What run {report['run_id']} did to {report['table']}"
        )
    letters_artifact(report["run_id"], letters)


def failure_artifact(title: str, run_id: str, failure: markdown.Failure) -> None:
    """Show why a run ended early, what is kept, and how to go on."""
    with _or_not("failure"):
        create_markdown_artifact(
            markdown.failed(title, run_id, failure), key="failure", description=f"Why {title} ended early"
        )
    letters_artifact(run_id, failure.letters)


def letters_artifact(run_id: str, letters: Sequence[Mapping[str, Any]]) -> None:
    """Show dead letters with their reasons, where there are any."""
    if not letters:
        return
    rows = [
        {
            "document": one["doc_id"] or one["uri"],
            **{name: one[name] for name in ("stage", "reason", "excerpt")},
        }
        for one in letters[:_LETTERS]
    ]
    more = f"; the first {_LETTERS} of them" if len(letters) > _LETTERS else ""
    with _or_not("dead letters"):
        create_table_artifact(
            rows,
            key="dead-letters",
            description=f"Dead letters of run {run_id}: {len(letters):,}{more}",
        )


def comparison_artifact(values: Mapping[str, Any]) -> None:
    """Show two generations of a table side by side."""
    with _or_not("comparison"):
        create_markdown_artifact(
            in_markdown(values),
            key="comparison",
            description=f"What the next generation of {values['table']} finds, beside the live one",
        )


def upkeep_artifact(done: Mapping[str, Any]) -> None:
    """Show what maintenance did."""
    with _or_not("report"):
        create_markdown_artifact(markdown.upkeep(done), key="report", description="What was maintained")


def scores_artifact(table: str, found: Mapping[str, Any]) -> None:
    """Show how well a table answers."""
    with _or_not("scores"):
        create_markdown_artifact(
            markdown.scores(table, found), key="report", description=f"How well {table} answers"
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
        table = markdown.table(f"{self._title}: {advance.stage}", list(figures(advance).items()))
        with _or_not("progress"):
            if advance.stage not in self._made:
                self._made[advance.stage] = self._make(advance.stage, share, table)
                return
            bar, text = self._made[advance.stage]
            update_progress_artifact(bar, progress=share)
            with get_client(sync_client=True) as client:
                client.update_artifact(text, ArtifactUpdate(data=table))

    def _make(self, stage: str, share: float, table: str) -> tuple[UUID, UUID]:
        said = f"{self._title}: {stage}"
        bar = create_progress_artifact(share, key=f"progress-{stage}", description=said)
        text = create_markdown_artifact(table, key=f"figures-{stage}", description=said)
        return cast(UUID, bar), cast(UUID, text)  # Prefect says that it could be called with await, too


@contextmanager
def _or_not(what: str) -> Iterator[None]:
    """A server that cannot be reached stops no run."""
    try:
        yield
    except (PrefectException, HTTPError) as error:
        get_run_logger().warning("the %s cannot be shown: %s", what, error)
