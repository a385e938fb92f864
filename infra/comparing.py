"""A generation beside the live one, compared with it: by whom questions are embedded, and what is asked."""

from pathlib import Path

from infra.config import Config
from infra.reach import access
from infra.wiring import make_endpoint
from pipeline.analysis.labelled import Labelled, read_queries
from pipeline.canaries import check_canaries
from pipeline.comparison import Asked, Comparison, Reached, compare
from pipeline.errors import InputError
from pipeline.job import Canary, Job, Price
from pipeline.local_models import identified
from pipeline.objects import Objects
from pipeline.ports import Progress, silent
from pipeline.store.log import Entry, Log


def reach(config: Config, store: Objects, table: str, entry: Entry) -> Reached:
    """How questions to a version of a table are embedded, and at which price."""
    space = entry.specs()[0]
    form = access(config, store, table, space)
    listed = config.prices.get(f"{space.provider}/{space.model}")
    price = form.price if form.price is not None else listed
    named = form.space()
    return Reached(
        make_endpoint(form, space),
        None if price is None else Price(price, "vecmill.toml"),
        identified(named) if named and not space.remote else None,
    )


def compared(
    config: Config,
    job: Job,
    queries: str | None = None,
    qrels: str | None = None,
    *,
    top_k: int = 10,
    sample: int = 100,
    progress: Progress = silent,
) -> Comparison:
    """The live generation and the one that a job fills, side by side.

    `queries` is a file of questions, and `qrels` one of what answers them; without either, sentences of the
    table are asked. Raises InputError where the files cannot be used.
    """
    store, asked = Objects(job.store), None
    if qrels and not queries:
        raise InputError("what answers the questions is given, and the questions are not; give both")
    if queries:
        file = Path(queries)
        asked = (
            Asked.of(Labelled.read(file, Path(qrels))) if qrels else Asked(list(read_queries(file).values()))
        )
    live = reach(config, store, job.table, Log(store, job.table).live())
    new = Reached(job.endpoint, job.price, job.space)
    return compare(
        store, job.table, job.generation, (live, new), asked, top_k=top_k, sample=sample, progress=progress
    )


def check_table_canaries(config: Config, job: Job) -> None:
    """Ask the canaries of a table's pipelines in the generation that a job fills; raises GateFailed."""
    found = [form.gate for form in config.pipelines.values() if form.table == job.table]
    canaries = [Canary(**canary.model_dump()) for gate in found for canary in gate.canaries]
    reached = Reached(job.endpoint, job.price, job.space)
    check_canaries(Objects(job.store), job.table, job.generation, reached, canaries)
