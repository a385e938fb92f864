"""The backfill flow: a table in another space, or cut otherwise, beside the live generation."""

from typing import Any

from prefect import flow

from infra.again import make_backfill
from infra.backfill_form import AfterwardsConfig, BackfillConfig
from infra.comparing import check_table_canaries, compared
from infra.config import StoreConfig
from infra.settings import config_beside
from infra.wiring import make_engines
from pipeline.backfill import backfill as fill
from pipeline.backfill import brought_live
from tasks.artifacts import comparison_artifact
from tasks.naming import name_of_run
from tasks.watch import watched

_NOTHING_MORE = AfterwardsConfig()


@flow(
    name="backfill",
    description="Bring a table into another space, or cut it otherwise, beside the version that people read.",
    flow_run_name=name_of_run("backfill", lambda values: values["backfill"].table),
    persist_result=False,
)
def backfill(
    backfill: BackfillConfig, store: StoreConfig, afterwards: AfterwardsConfig = _NOTHING_MORE
) -> dict[str, Any]:
    """Bring a table into another space, or cut it otherwise, beside the version that people read.

    Args:
        backfill: Which table, and into what.
        store: Where tables, vectors and runs are kept.
        afterwards: Whether it is compared with the live generation, and takes its place; else
            vecmill backfill TABLE --compare and --switch do that.

    """
    job, config = make_backfill(backfill, store.uri), config_beside(store)
    engines = make_engines(backfill.engine, job, backfill.workers)
    with watched(job, lambda _: None) as watch:
        filling = fill(job, engines, watch.run, watch.progress, part=backfill.part)
        version, published = filling.level_with, False
        if afterwards.compares:
            found = watch.run(
                compared,
                config,
                job,
                afterwards.queries,
                afterwards.qrels,
                top_k=afterwards.top_k,
                sample=afterwards.sample,
                progress=watch.progress,
            )
            comparison_artifact(found.record())
            found.check(afterwards.conditions)
        if afterwards.switch or afterwards.conditions:
            watch.run(check_table_canaries, config, job)
            filling, entry = brought_live(job, filling, engines, watch.run, watch.progress)
            version, published = entry.version, True
        return watch.done({**filling.record(), "version": version, "published": published})
