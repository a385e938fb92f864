"""The rerun flow: takes up a run that did not end well, or repeats one, from the dashboard's form."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from infra.again import make_rerun
from infra.config import StoreConfig
from infra.rerun_form import RerunConfig
from infra.settings import config_beside
from infra.wiring import make_engines
from pipeline.rerun import rerun as run_again
from tasks.alone import Skipped, alone
from tasks.approval import Approval
from tasks.naming import name_of_run, run_meant, skipped
from tasks.watch import watched


@flow(
    name="rerun",
    description="Take up a run that did not end well, or repeat one; known texts are not paid for again.",
    flow_run_name=name_of_run("rerun", lambda values: values["run"].run_id),
    persist_result=False,
)
def rerun(run: RerunConfig, store: StoreConfig) -> dict[str, Any] | State[Any]:
    """Take up a run that did not end well, or repeat one; known texts are not paid for again.

    Args:
        run: Which run, and what is to be other than it was. The run's artifacts say its id.
        store: Where tables, vectors and runs are kept.

    """
    form = run.model_copy(update={"run_id": run_meant(run.run_id)})
    config = config_beside(store)
    again = make_rerun(form, config)
    try:
        with alone(again.job.table, store.uri, "wait"):
            declared = config.pipelines.get(again.job.pipeline or "")
            approval = Approval(declared.approval if declared else None, f"rerun of {again.job.table}")
            engines = make_engines(form.engine, again.job, form.workers)
            with watched(again.job, approval) as watch:
                return watch.done(run_again(again, engines, watch.run, watch.progress))
    except Skipped as reason:
        return skipped(reason)
