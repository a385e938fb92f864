"""The maintain flow: compaction, indexes, retention and orphans, for the tables of a store."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.maintain_command import upkeep
from infra.config import RetentionConfig, StoreConfig
from tasks.artifacts import upkeep_artifact
from tasks.naming import name_of_run

_USUAL = RetentionConfig()


@flow(
    name="maintain",
    description="Make tables quick to read, and give back what nothing needs any more.",
    flow_run_name=name_of_run("maintain", lambda values: ", ".join(values["tables"]) or "all tables"),
    persist_result=False,
)
def maintain(
    store: StoreConfig,
    tables: tuple[str, ...] = (),
    retention: RetentionConfig = _USUAL,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Make tables quick to read, and give back what nothing needs any more.

    Args:
        store: Where tables, vectors and runs are kept.
        tables: Which tables; all of them where none is named.
        retention: Which versions stay readable.
        dry_run: Say what would be done, and do nothing.

    """
    step = task(name="maintain", cache_policy=NO_CACHE, persist_result=False)(upkeep)
    done = step(store.uri, retention, tables, dry_run=dry_run)
    upkeep_artifact(done)
    return done
