"""The backfill flow: a table in another space, or cut otherwise, beside the live generation."""

from typing import Any

from prefect import flow

from infra.again import make_backfill
from infra.backfill_form import BackfillConfig
from infra.config import StoreConfig
from infra.wiring import make_engines
from pipeline.backfill import backfill as fill
from pipeline.backfill import brought_live
from tasks.naming import name_of_run
from tasks.watch import watched


@flow(
    name="backfill",
    description="Bring a table into another space, or cut it otherwise, beside the version that people read.",
    flow_run_name=name_of_run("backfill", lambda values: values["backfill"].table),
    persist_result=False,
)
def backfill(backfill: BackfillConfig, store: StoreConfig, switch: bool = False) -> dict[str, Any]:
    """Bring a table into another space, or cut it otherwise, beside the version that people read.

    Args:
        backfill: Which table, and into what.
        store: Where tables, vectors and runs are kept.
        switch: Make the new generation the live one at the end; else vecmill backfill TABLE --switch does.

    """
    job = make_backfill(backfill, store.uri)
    engines = make_engines(backfill.engine, job, backfill.workers)
    with watched(job, lambda _: None) as watch:
        filling = fill(job, engines, watch.run, watch.progress, part=backfill.part)
        version, published = filling.level_with, False
        if switch:
            filling, entry = brought_live(job, filling, engines, watch.run, watch.progress)
            version, published = entry.version, True
        return watch.done({**filling.record(), "version": version, "published": published})
