"""The evaluate flow: how well a table answers questions whose answers are known."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from infra.config import StoreConfig
from infra.evaluating import EvaluateConfig, evaluated
from infra.settings import config_beside
from tasks.artifacts import scores_artifact
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
        evaluation: Which tables are asked which questions; one not as good as asked fails the run.
        store: Where tables, vectors and runs are kept.

    """
    step = task(name="evaluate", cache_policy=NO_CACHE, persist_result=False)(evaluated)
    found = step(evaluation, config_beside(store))
    scores_artifact(evaluation.table, found)
    return found
