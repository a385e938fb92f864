"""A run on the dashboard, from its plan to its report: what each flow puts around the work."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger

from infra.telemetry import measured
from pipeline.errors import InputError, OverBudget, StoreRefused, VecmillError
from pipeline.job import Job
from pipeline.ledger import Ledger
from pipeline.model import Plan
from pipeline.objects import Objects
from pipeline.ports import Advance, Progress, Runner
from tasks.artifacts import ProgressBoard, failure_artifact, plan_artifact, report_artifact
from tasks.events import tell
from tasks.markdown import Failure
from tasks.naming import label
from tasks.progress import telling
from tasks.stages import run_as_task, title_of
from tasks.throughput import Throughput

P = ParamSpec("P")
T = TypeVar("T")


class Watch:
    """Shows a job's plan, progress and report; a Runner, and a Progress."""

    def __init__(
        self,
        job: Job,
        title: str,
        approve: Callable[[Plan], None],
        runner: Runner,
        count: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._job = job
        self._runner = runner
        self._count = count
        self._title = title
        self._approve = approve
        self._seen = Throughput()
        self._tell = telling(ProgressBoard(title))
        self._planned = False
        self.stage: str | None = None  # the latest that has begun

    def run(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage as a task. A plan is shown, and approved if it has to be, before it is paid."""
        self.stage = title_of(stage)
        result = self._runner(stage, *args, **kwargs)
        if isinstance(result, Plan):
            if result.texts or not self._planned:
                plan_artifact(self._title, result.record())
            self._planned = True
            if not result.over_budget:
                self._approve(result)
        return result

    @property
    def progress(self) -> Progress:
        """What hears how far the run has come."""

        def hear(advance: Advance, /) -> None:
            self._seen.see(advance)
            self._tell(advance)

        return hear

    def done(self, report: dict[str, Any]) -> dict[str, Any]:
        """Show what the run did, tell who listens, and give the report."""
        self._count(report)
        letters = self._record().get("dead_letters", [])
        report_artifact(report, letters, self._seen)
        said = {name: report[name] for name in ("run_id", "version", "documents", "chunks", "cost_usd")}
        if report["published"]:
            tell("published", self._job, said)
        else:
            get_run_logger().info("nothing changed: nothing was embedded, nothing was published")
        if letters:
            tell("dead-letters", self._job, {"run_id": report["run_id"], "count": len(letters)})
        return report

    def failed(self, error: BaseException) -> None:
        """Show why the run ended early, and tell who listens."""
        record = self._record()
        message = record.get("error") or (
            str(error) if isinstance(error, VecmillError) else type(error).__name__
        )
        stopped = not isinstance(error, Exception)
        failure = Failure(
            kind="it was told to stop" if stopped else type(error).__name__,
            message="It was told to stop; what is paid is kept." if stopped else message,
            stage=self.stage,
            spent=record.get("spent"),
            letters=record.get("dead_letters", ()),
        )
        failure_artifact(self._title, self._job.run_id, failure)
        event = "over-budget" if isinstance(error, OverBudget) else "stopped" if stopped else "failed"
        tell(event, self._job, {"run_id": self._job.run_id, "stage": self.stage, "error": failure.message})

    def _record(self) -> Mapping[str, Any]:
        try:
            return Ledger(Objects(self._job.store)).run(self._job.run_id)
        except (InputError, StoreRefused):  # a run that failed before it was recorded
            return {}


@contextmanager
def watched(job: Job, approve: Callable[[Plan], None]) -> Iterator[Watch]:
    """Watch a job: whatever ends it early is shown with what is kept, and how to go on."""
    label(job)
    with measured(job, run_as_task) as (runner, count):
        watch = Watch(job, f"{job.kind} of {job.table}", approve, runner, count)
        try:
            yield watch
        except BaseException as error:
            watch.failed(error)
            raise
