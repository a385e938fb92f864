"""Jobs that are made of what a store remembers: backfills of its tables, and reruns of its runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from infra.backfill_form import BackfillConfig
from infra.config import Config
from infra.embedding_form import EmbeddingConfig
from infra.reach import access, told_by
from infra.rerun_form import RerunConfig
from infra.wiring import cut_of, make_endpoint, own_price
from pipeline import ids
from pipeline.errors import InputError
from pipeline.job import Budget, Job, Price, SourceSpec
from pipeline.ledger import Ledger
from pipeline.local_models import identified
from pipeline.objects import Objects, resolved
from pipeline.rerun import Rerun, planned
from pipeline.space import Space
from pipeline.store.generations import generation_for
from pipeline.store.log import Log, under_way
from pipeline.store.versions import generation_beside

_OF_DOCUMENTS = ("ingest", "replay", "rerun", "backfill")
"""The kinds of runs that bring documents into a table."""


def make_backfill(form: BackfillConfig, store: str, *, pays: bool = True) -> Job:
    """The job of a backfill: what the form leaves open is as the live generation has it.

    A form that names neither a space nor a splitter means the generation that is under way. Raises InputError
    where there is nothing to fill, or where a job that `pays` has no key to pay with.
    """
    objects = Objects(store)
    own, cut = Log(objects, form.table).live().specs()
    named = form.embedding.space()
    if named or form.splitter:
        space = identified(named) if named else own
        splitter = cut_of(form.splitter, space) if form.splitter else cut
    else:
        space, splitter = generation_beside(objects, form.table).live().specs()
    return Job(
        run_id=ids.new_run_id(),
        store=resolved(store),
        table=form.table,
        source=SourceSpec("table", form.table, where=form.where),
        splitter=splitter,
        space=space,
        endpoint=make_endpoint(form.embedding, space, pays=pays),
        budget=Budget(**form.budget.model_dump(), seconds=form.time_limit),
        priority=form.priority,
        price=own_price(form, space),
        generation=generation_for(objects, form.table, space, splitter),
    )


def make_rerun(form: RerunConfig, config: Config) -> Rerun:
    """What a rerun does. A run that did not end well is taken up as it was.

    Of one that is repeated, what the form leaves open is as its table has it now.
    """
    objects = Objects(config.store.uri)
    run = Ledger(objects).run(form.run_id)
    job = replace(job_of(run), store=resolved(config.store.uri))
    job = replace(job, table=form.table or job.table)
    if form.scope == "all" or run["state"] == "finished":
        job = as_now(job, objects)
    named = form.embedding.space() if form.embedding else None
    space = identified(named) if named else job.space
    allowed: dict[str, Any] = form.budget.model_dump(exclude_unset=True) if form.budget else {}
    if form.time_limit:
        allowed["seconds"] = form.time_limit
    given = form.embedding.model_dump(exclude_unset=True) if form.embedding else {}
    job = replace(
        job,
        space=space,
        splitter=cut_of(form.splitter, space) if form.splitter else job.splitter,
        budget=replace(job.budget, **allowed),
        priority=form.priority,
        price=_price(job, given, run["job"]),
    )
    return planned(objects, run, with_access(job, config, run["job"], given), form.scope)


def job_of(run: Mapping[str, Any]) -> Job:
    """The job of a run of the ledger; raises InputError for a run of another kind."""
    if run["kind"] not in _OF_DOCUMENTS:
        raise InputError(
            f"run {run['run_id']} is of the kind {run['kind']}, which has no documents to do again"
        )
    return Job.of(run["job"])


def as_now(job: Job, objects: Objects) -> Job:
    """A job in the space and by the splitter that its table has now, unless it fills another generation."""
    live = Log(objects, job.table).last()
    if live is None or job.generation in {log.generation for log in under_way(objects, job.table)}:
        return job
    space, splitter = live.specs()
    return replace(job, space=space, splitter=splitter, generation=None)


def with_access(job: Job, config: Config, record: Mapping[str, Any], given: Mapping[str, Any]) -> Job:
    """A job of a run of its own, its space reached as is known by now, but for what is `given`."""
    in_place = not job.pipeline and Space(**record["space"]) == job.space
    store = Objects(job.store)
    form = told_by(record) if in_place else access(config, store, job.table, job.space, [record])
    told = {name: value for name, value in given.items() if value is not None}
    reached = EmbeddingConfig(**{**form.model_dump(), **told})
    return replace(job, run_id=ids.new_run_id(), endpoint=make_endpoint(reached, job.space))


def _price(job: Job, given: Mapping[str, Any], record: Mapping[str, Any]) -> Price | None:
    """The price of a rerun: another model's is not the one that the run was told."""
    if given.get("price") is not None:
        return Price(given["price"], "given with the run")
    before = (record["space"]["provider"], record["space"]["model"])
    return job.price if before == (job.space.provider, job.space.model) else None
