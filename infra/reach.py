"""How the space of a table is reached: as its pipeline says, or as the runs did that embedded it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from infra.config import Config
from infra.embedding_form import EmbeddingConfig
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.store.log import Log, under_way

_LOOKED_AT = 50  # versions, for a run that says how their space was reached
_OF_A_SPACE = ("provider", "model", "dimensions")


def access(
    config: Config, store: Objects, table: str, space: Space, jobs: Sequence[Mapping[str, Any]] = ()
) -> EmbeddingConfig:
    """The form by which a space of a table is reached; `jobs` are looked at before those of the table."""
    live = Log(store, table).last()
    own = live is not None and live.specs()[0] == space
    for pipeline in config.pipelines.values():
        named = pipeline.embedding.space()
        if pipeline.table == table and (_same(named, space) if named else own):
            return pipeline.embedding
    same = (job for job in chain(jobs, _jobs(store, table)) if Space(**job["space"]) == space)
    return next(map(told_by, same), EmbeddingConfig())


def told_by(job: Mapping[str, Any]) -> EmbeddingConfig:
    """The form by which a recorded job has reached its space; the key's variable is not kept."""
    known = EmbeddingConfig.model_fields.keys() - _OF_A_SPACE
    told = {name: one for name, one in job["endpoint"].items() if name in known and one is not None}
    return EmbeddingConfig(**told)


def _same(named: Space, space: Space) -> bool:
    """Whether the space of a form, whose model can be a folder's path, is that of a table."""
    alike = (named.provider, named.dimensions) == (space.provider, space.dimensions)
    return alike and (named.model == space.model or named.model.rstrip("/").endswith(f"/{space.model}"))


def _jobs(store: Objects, table: str) -> Iterator[Mapping[str, Any]]:
    """The jobs that made a table's versions and its generations under way; the latest first."""
    from pipeline.staging import RECORD, Staging

    log = Log(store, table)
    beside = (one.live() for one in under_way(store, table))
    versions = (log.at(number) for number in islice(reversed(log.numbers()), _LOOKED_AT))
    for entry in chain(beside, versions):
        record = Staging(store, entry.run_id).read_json(RECORD)
        if record and record.get("job"):
            yield record["job"]
