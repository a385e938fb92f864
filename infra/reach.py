"""How a version's space is reached, as its pipeline says or its run did; and two versions compared so."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from infra.config import Config
from infra.embedding_form import EmbeddingConfig
from infra.wiring import make_endpoint
from pipeline.analysis.labelled import Labelled
from pipeline.analysis.questions import read_questions
from pipeline.canaries import check_canaries
from pipeline.comparison import Asked, Comparison, Reached, compare
from pipeline.errors import InputError
from pipeline.local_models import identified
from pipeline.model import Canary, Job, Price, Space
from pipeline.objects import Objects
from pipeline.ports import Progress, silent
from pipeline.staging import RECORD, Staging
from pipeline.store.log import Entry, Log

_LOOKED_AT = 50  # versions, for a run that says how their space was reached


def reach(config: Config, store: Objects, table: str, entry: Entry) -> Reached:
    """How questions to a version of a table are embedded, and at which price."""
    space = entry.specs()[0]
    form = access(config, store, table, entry)
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
        asked = Asked.of(Labelled.read(file, Path(qrels))) if qrels else Asked(read_questions(file))
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


def access(config: Config, store: Objects, table: str, entry: Entry) -> EmbeddingConfig:
    """The form by which a version's space is reached: its pipeline's, else as its own runs did."""
    space = entry.specs()[0]
    for pipeline in config.pipelines.values():
        named = pipeline.embedding.space()
        if pipeline.table == table and (named is None or _same(named, space)):
            return pipeline.embedding
    known = EmbeddingConfig.model_fields.keys()
    for job in _jobs(store, table, entry):
        if Space(**job["space"]) == space:
            told = {name: one for name, one in job["endpoint"].items() if name in known and one is not None}
            return EmbeddingConfig(**told)
    return EmbeddingConfig()


def _same(named: Space, space: Space) -> bool:
    """Whether a form's name, which can be a folder's path, is that of a space."""
    return (named.provider, named.dimensions) == (space.provider, space.dimensions) and named.model.rstrip(
        "/"
    ).endswith(space.model)


def _jobs(store: Objects, table: str, entry: Entry) -> Iterator[dict[str, Any]]:
    """The jobs that made a version, and those before it; the latest first."""
    log = Log(store, table)
    before = (log.at(number) for number in reversed(log.numbers()) if number < entry.version)
    for one in (entry, *islice(before, _LOOKED_AT)):
        record = Staging(store, one.run_id).read_json(RECORD)
        if record and record.get("job"):
            yield record["job"]
