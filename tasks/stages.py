"""The stages as Prefect tasks: each shows up on the dashboard with its time, state and result."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
T = TypeVar("T")


def title_of(stage: Callable[..., Any]) -> str:
    """What a stage is called on the dashboard."""
    return stage.__name__.removesuffix("_documents").replace("_", " ")


def run_as_task(stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a stage as a Prefect task, in the thread of its flow.

    Arguments stay in this process: Prefect would otherwise walk through them, and record them. Tries
    are the worker's business: a stage that failed here would fail again.
    """
    name = title_of(stage)

    def step() -> T:
        result = stage(*args, **kwargs)
        get_run_logger().info("%s: %s", name, result)
        return result

    step.__doc__ = stage.__doc__
    return task(name=name, cache_policy=NO_CACHE, persist_result=False)(step)()
