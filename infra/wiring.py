"""Settings to objects: from a pipeline's form to a job and to the engine that does it."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.backfill_form import BackfillConfig
from infra.config import PipelineConfig
from infra.embedding_form import DEFAULT_SPACE, EmbeddingConfig
from infra.settings import quota_folder, read_environment, read_secret
from infra.splitter_form import SplitterConfig
from pipeline import ids
from pipeline.adapters import adapter_of
from pipeline.address import checked_address
from pipeline.batch.orders import Orders
from pipeline.embedding import limits
from pipeline.engine import InlineEngine
from pipeline.errors import InputError
from pipeline.job import Budget, Endpoint, Gate, Job, Price, SourceSpec
from pipeline.local_models import identified
from pipeline.objects import Objects, resolved
from pipeline.ports import Engine, EngineFactory
from pipeline.quota.machine import MachineQuota, quota_name
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log

if TYPE_CHECKING:
    pass

# From this many texts on, the embedded model on many cores repays the seconds that Ray takes to start.
_LARGE = 200_000
_MANY_CORES = 4


def make_job(pipeline: PipelineConfig, store: str, *, pays: bool = True) -> Job:
    """The job of a pipeline: what the form leaves open is taken from the table, or from the defaults.

    Raises InputError where a job that `pays` has no key to pay with.
    """
    live = _live(store, pipeline.table)
    usual = SplitterConfig(kind="recursive" if pipeline.source.kind == "rows" else "markdown")
    own = live.specs() if live else None
    named = pipeline.embedding.space()
    space = identified(named) if named else own[0] if own else DEFAULT_SPACE
    if space.adapter:
        adapter_of(Objects(store), space)  # that it is there is known before anything is paid
    splitter = own[1] if own and not pipeline.splitter else cut_of(pipeline.splitter or usual, space)
    return Job(
        run_id=ids.new_run_id(),
        store=resolved(store),
        table=pipeline.table,
        source=SourceSpec(**pipeline.source.model_dump(), markup=splitter.kind == "html"),
        splitter=splitter,
        space=space,
        endpoint=make_endpoint(pipeline.embedding, space, pays=pays),
        budget=Budget(**pipeline.budget.model_dump(), seconds=pipeline.time_limit),
        delete_missing=pipeline.delete_missing,
        gate=Gate(**pipeline.gate.model_dump()),
        priority=pipeline.priority,
        pipeline=pipeline.name,
        price=own_price(pipeline, space),
    )


def cut_of(form: SplitterConfig, space: Space) -> SplitterSpec:
    """How documents are cut where nobody named a bound: no larger than the model takes."""
    spec, longest = form.spec(), limits(space).tokens_an_input
    open_bound = form.max_tokens is None and form.max_characters is None
    return replace(spec, max_tokens=longest) if open_bound and longest < spec.max_tokens else spec


def own_price(pipeline: PipelineConfig | BackfillConfig, space: Space) -> Price | None:
    """The user's own price of a space's model: the run's, else vecmill.toml's."""
    if pipeline.embedding.price is not None:
        return Price(pipeline.embedding.price, "given with the run")
    listed = pipeline.prices.get(f"{space.provider}/{space.model}")
    return None if listed is None else Price(listed, "vecmill.toml")


def make_endpoint(embedding: EmbeddingConfig, space: Space, *, pays: bool = True) -> Endpoint:
    """How a space's provider is reached; the key comes from the environment and goes nowhere else."""
    remote = space.remote
    named = embedding.base_url or read_environment().openai_base_url
    key = read_secret(embedding.api_key_env) if remote else None
    cores = os.cpu_count() or 1
    if remote and pays and key is None and named is None:
        raise InputError(
            f"{space.name} needs an API key, and {embedding.api_key_env} is not set; "
            "set it, or name another variable with --api-key-env"
        )
    return Endpoint(
        base_url=checked_address(named) if remote and named else None,
        api_key=key,
        rpm=embedding.rpm,
        tpm=embedding.tpm,
        max_in_flight=embedding.max_in_flight if remote else min(embedding.max_in_flight or cores, cores),
        batch_inputs=embedding.batch_inputs,
        timeout=embedding.timeout,
        patience=embedding.patience,
        lane=embedding.lane,
        deadline=embedding.deadline,
        enqueued_tokens=embedding.enqueued_tokens,
    )


def make_engines(kind: str, job: Job, workers: int | None) -> EngineFactory:
    """What opens the engine once it is known how many texts there are to embed."""
    address = read_environment().ray_address

    def open_engine(texts: int) -> AbstractContextManager[Engine]:
        ordinary = open_ordinary(texts)
        by_batch = job.endpoint.lane != "ordinary" or _open_orders(job)
        return _with_batches(ordinary) if by_batch else ordinary

    def open_ordinary(texts: int) -> AbstractContextManager[Engine]:
        # Models in folders use all cores of this machine in one process.
        one_core = job.space.provider == "local"
        large = one_core and texts >= _LARGE and (os.cpu_count() or 1) >= _MANY_CORES
        if kind == "ray" or (kind == "auto" and texts and (address or large)):
            from infra.ray_cluster import open_ray

            return open_ray(address, workers)
        return _inline()

    return open_engine


@contextmanager
def _inline() -> Iterator[Engine]:
    yield InlineEngine(lambda job: MachineQuota(quota_folder(), quota_name(job.space, job.endpoint)))


def _open_orders(job: Job) -> bool:
    """Whether texts of the job's space are in batches that nobody has collected yet."""
    return job.space.remote and bool(Orders(Objects(job.store), job.space, job.endpoint.base_url).open())


@contextmanager
def _with_batches(ordinary: AbstractContextManager[Engine]) -> Iterator[Engine]:
    from pipeline.batch.lane import BatchLane  # the SDK beneath takes most of a second to import

    with ordinary as engine:
        yield BatchLane(engine)


def _live(store: str, table: str) -> Entry | None:
    try:
        return Log(Objects(store), table).last()
    except InputError:
        return None
