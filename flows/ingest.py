"""The ingest flow: documents to a published version, on the dashboard stage by stage."""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from infra.config import PipelineConfig, StoreConfig
from infra.wiring import make_engines, make_job
from pipeline.run import ingest as run_ingest
from tasks.artifacts import ProgressBoard, report_artifact
from tasks.progress import telling
from tasks.stages import run_as_task


def _name() -> str:
    return f"ingest {flow_run.parameters['pipeline'].table}"


@flow(name="ingest", flow_run_name=_name, persist_result=False)
def ingest(pipeline: PipelineConfig, store: StoreConfig) -> dict[str, Any]:
    """Embed what is new in a pipeline's source, and publish it as one version; gives the report."""
    job = make_job(pipeline, store.uri)
    engines = make_engines(pipeline.engine, job, pipeline.workers)
    board = ProgressBoard(f"{job.table}: run {job.run_id}")
    report = run_ingest(job, engines, run_as_task, telling(board)).record()
    report_artifact(report)
    return report
