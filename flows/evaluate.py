"""The evaluate flow: how well a table answers questions whose answers are known, and whether it drifts."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from infra.config import StoreConfig
from infra.evaluate_form import EvaluateConfig
from infra.evaluating import evaluated
from infra.settings import config_beside
from pipeline.errors import GateFailed
from tasks.artifacts import scores_artifact
from tasks.events import tell_of
from tasks.naming import name_of_run


@flow(
    name="evaluate",
    description="Measure how well a table answers questions whose answers are known.",
    flow_run_name=name_of_run("evaluate", lambda values: values["evaluation"].table),
    persist_result=False,
)
def evaluate(evaluation: EvaluateConfig, store: StoreConfig) -> dict[str, Any]:
    """Measure how well a table answers questions whose answers are known.

    Args:
        evaluation: Which tables are asked which questions, and what they may have drifted from; one that is
            not as good as asked, or has drifted, fails the run and tells who listens.
        store: Where tables, vectors and runs are kept.

    """
    table = evaluation.table.partition("@")[0]
    run: dict[str, Any] = {}

    def told(found: dict[str, Any]) -> None:
        run["run_id"] = found["run_id"]
        scores_artifact(evaluation.table, found)
        if found.get("drift", {}).get("alarm"):
            said = {name: found["drift"][name] for name in ("before", "after", "reasons")}
            tell_of("drift", table, store.uri, {**run, **said})

    step = task(name="evaluate", cache_policy=NO_CACHE, persist_result=False)(evaluated)
    try:
        return step(evaluation, config_beside(store), told)
    except GateFailed as error:
        tell_of("failed", table, store.uri, {**run, "kind": "evaluate", "message": str(error)})
        raise
