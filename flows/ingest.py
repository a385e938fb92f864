"""The ingest flow: documents to a published version, on the dashboard stage by stage."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from infra.config import PipelineConfig, StoreConfig
from infra.wiring import make_engines, make_job
from pipeline.run import ingest as run_ingest
from tasks.alone import Skipped, alone
from tasks.approval import Approval
from tasks.naming import name_of_run, skipped
from tasks.watch import watched


@flow(
    name="ingest",
    description="Embed what is new in a pipeline's source, and publish it as one version of its table.",
    flow_run_name=name_of_run("ingest", lambda values: values["pipeline"].table),
    persist_result=False,
)
def ingest(pipeline: PipelineConfig, store: StoreConfig) -> dict[str, Any] | State[Any]:
    """Embed what is new in a pipeline's source, and publish it as one version of its table.

    Args:
        pipeline: From a source to a table, as vecmill.toml has it.
        store: Where tables, vectors and runs are kept.

    """
    try:
        with alone(pipeline.table, store.uri, pipeline.overlap):
            job = make_job(pipeline, store.uri)
            engines = make_engines(pipeline.engine, job, pipeline.workers)
            approval = Approval(pipeline.approval, f"ingest of {job.table}")
            with watched(job, approval) as watch:
                return watch.done(run_ingest(job, engines, watch.run, watch.progress).record())
    except Skipped as reason:
        return skipped(reason)
