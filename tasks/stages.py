"""The stages as Prefect tasks: each shows up on the dashboard with its time, state and result."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, ParamSpec, TypeVar, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pipeline.sharding import Sharded, Work

P = ParamSpec("P")
T = TypeVar("T")


def title_of(stage: Callable[..., Any]) -> str:
    """What a stage is called on the dashboard."""
    return stage.__name__.removesuffix("_documents").replace("_", " ")


def run_as_task(stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a stage as a Prefect task, in the thread of its flow; a large one's shards are a task each.

    Arguments stay in this process: Prefect would otherwise walk through them, and record them. Tries
    are the worker's business: a stage that failed here would fail again.
    """
    if isinstance(stage, Sharded):
        with closing(stage.begin(*args, **kwargs)) as work:
            _shard_by_shard(title_of(stage), stage.__doc__, work)
            return cast(T, work.result)

    def step() -> T:
        result = stage(*args, **kwargs)
        get_run_logger().info("%s: %s", title_of(stage), result)
        return result

    return _as_task(title_of(stage), stage.__doc__, step)


def _shard_by_shard(title: str, says: str | None, work: Work[Any]) -> None:
    def step() -> bool:
        last = work.do_next()
        if last:
            get_run_logger().info("%s: %s", title, work.result)
        return last

    number, last = 0, False
    while not last:
        number += 1
        name = title if work.shards == 1 else f"{title} {number} of {work.shards}"
        last = _as_task(name, says, step)


def _as_task(name: str, says: str | None, step: Callable[[], T]) -> T:
    step.__doc__ = says
    return task(name=name, cache_policy=NO_CACHE, persist_result=False)(step)()
