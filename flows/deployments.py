"""What vecmill.toml names, as deployments of a Prefect server: registered alike, and removed alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema

from flows.backfill import backfill
from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.maintain import maintain
from flows.rerun import rerun
from infra.config import Config, EvaluationConfig, PipelineConfig, ScheduleConfig
from infra.form import Form
from pipeline import ids
from pipeline.errors import InputError
from pipeline.objects import is_remote, resolved
from tasks.alone import tag_of_store, tags_of

TAG = "vecmill"
"""What all our deployments, and their runs, are tagged with."""

# Intervals count from one moment, so that to register once more changes none.
_ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
_STRATEGIES = {"wait": ConcurrencyLimitStrategy.ENQUEUE, "skip": ConcurrencyLimitStrategy.CANCEL_NEW}
_GRACE_SECONDS = 60  # in which a run that was let through has to begin


@dataclass(frozen=True, slots=True)
class Pool:
    """Who runs what is registered."""

    name: str  # of the work pool
    variables: dict[str, Any] = field(default_factory=dict)  # of its jobs, such as an image


@dataclass(frozen=True, slots=True)
class Deployment:
    """A flow with its parameters, as it is to be registered."""

    flow: Flow[..., Any]
    name: str
    parameters: dict[str, Any]
    tags: list[str]
    schedule: ScheduleConfig | None = None
    overlap: str | None = None  # "wait" or "skip": at most one run at a time

    @property
    def full_name(self) -> str:
        """As Prefect has it: the flow's name and the deployment's."""
        return f"{self.flow.name}/{self.name}"

    def payload(self, pool: Pool) -> dict[str, Any]:
        """What is sent to the server; its `version` tells one payload from another."""
        values: dict[str, Any] = {
            "name": self.name,
            "work_pool_name": pool.name,
            "job_variables": pool.variables,
            "schedules": [_scheduled(self.schedule)] if self.schedule else [],
            "concurrency_limit": 1 if self.overlap else None,
            "concurrency_options": ConcurrencyOptions(
                collision_strategy=_STRATEGIES[self.overlap], grace_period_seconds=_GRACE_SECONDS
            )
            if self.overlap
            else None,
            "parameters": self.parameters,
            "description": self.flow.description,
            "tags": self.tags,
            "entrypoint": f"{self.flow.fn.__module__}.{self.flow.fn.__name__}",
            "pull_steps": [],
            "parameter_openapi_schema": _titled(parameter_schema(self.flow).model_dump(exclude_unset=True)),
            "enforce_parameter_schema": True,
        }
        return {**values, "version": ids.fingerprint(_plain(values))}


@dataclass(frozen=True, slots=True)
class Changes:
    """What registering came to: full names of deployments."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def deployments(config: Config) -> list[Deployment]:
    """All that a configuration names: one for each pipeline and evaluation, and one of each other flow.

    Raises InputError where an evaluation has the name that the store's own deployment has.
    """
    store = config.store.model_copy(update={"uri": resolved(config.store.uri)})
    given = {"store": _values(store)}
    tags = [TAG, tag_of_store(store.uri)]
    name = store.uri.partition("?")[0].rstrip("/").rpartition("/")[2]
    if name in config.evaluations:
        raise InputError(f"an evaluation is called {name!r}, as the store is; call it otherwise")
    schedule = config.retention.schedule
    retention = config.retention.model_copy(update={"schedule": None})
    return [
        *(_ingest(name, pipeline, config, given) for name, pipeline in config.pipelines.items()),
        *(_evaluate(name, form, given) for name, form in config.evaluations.items()),
        Deployment(rerun, name, given, tags),
        Deployment(backfill, name, given, tags),
        Deployment(evaluate, name, given, tags),
        Deployment(maintain, name, {**given, "retention": _values(retention)}, tags, schedule, "skip"),
    ]


def _ingest(name: str, pipeline: PipelineConfig, config: Config, given: Mapping[str, Any]) -> Deployment:
    source = pipeline.source.model_copy(update={"uri": _absolute(pipeline.source.uri)})
    prices = {**config.prices, **pipeline.prices}
    form = pipeline.model_copy(update={"name": name, "source": source, "prices": prices, "schedule": None})
    return Deployment(
        ingest,
        name,
        {"pipeline": _values(form), **given},
        [TAG, *tags_of(pipeline.table, given["store"]["uri"])],
        pipeline.schedule,
        pipeline.overlap,
    )


def _evaluate(name: str, evaluation: EvaluationConfig, given: Mapping[str, Any]) -> Deployment:
    files = {file: getattr(evaluation, file) for file in ("queries", "qrels", "pairs")}
    found = {file: str(Path(at).absolute()) for file, at in files.items() if at}
    form = evaluation.model_copy(update={**found, "schedule": None})
    tags = [TAG, *tags_of(evaluation.table.partition("@")[0], given["store"]["uri"])]
    return Deployment(
        evaluate, name, {"evaluation": _values(form), **given}, tags, evaluation.schedule, "skip"
    )


def register(client: SyncPrefectClient, wanted: Sequence[Deployment], pool: Pool) -> Changes:
    """Register deployments, and remove those of the same store that are not among them.

    What is registered already as it is wanted stays as it is, with its runs that wait, and with what a
    person has changed on the dashboard. Raises InputError where a name is another store's.
    """
    changes = Changes()
    found = {one.full_name: one for one in _registered(client, wanted)}
    for deployment in wanted:
        full_name, payload = deployment.full_name, deployment.payload(pool)
        before = found.pop(full_name, None)
        if before and before.version == payload["version"]:
            changes.unchanged.append(full_name)
            continue
        if before is None:
            _check_free(client, deployment)
        client.create_deployment(client.create_flow_from_name(deployment.flow.name), **payload)
        (changes.changed if before else changes.created).append(full_name)
    for full_name, left in found.items():
        client.delete_deployment(left.id)
        changes.removed.append(full_name)
    return changes


@dataclass(frozen=True, slots=True)
class _Known:
    """A deployment that the server has."""

    id: Any
    full_name: str
    version: str | None


def _registered(client: SyncPrefectClient, wanted: Sequence[Deployment]) -> list[_Known]:
    """The deployments of the same store that the server has."""
    [store] = {tag for one in wanted for tag in one.tags if tag.startswith("store:")}
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG, store]))
    found: list[DeploymentResponse] = []
    while batch := client.read_deployments(deployment_filter=ours, limit=100, offset=len(found)):
        found += batch
    return [_Known(one.id, f"{client.read_flow(one.flow_id).name}/{one.name}", one.version) for one in found]


def _check_free(client: SyncPrefectClient, deployment: Deployment) -> None:
    try:
        other = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return
    raise InputError(
        f"the server has a deployment {deployment.full_name} already, which is not of this store (its tags "
        f"are {', '.join(other.tags) or 'none'}); rename the pipeline, or delete that deployment"
    )


def _titled(schema: dict[str, Any]) -> dict[str, Any]:
    """A form whose groups are headed like its fields; Prefect would head them with a parameter's name."""
    for name, group in schema["properties"].items():
        group["title"] = name.replace("_", " ").capitalize()
    return schema


def _scheduled(form: ScheduleConfig) -> DeploymentScheduleCreate:
    schedule: CronSchedule | IntervalSchedule
    if form.cron is not None:
        schedule = CronSchedule(cron=form.cron, timezone=form.timezone)
    else:
        interval = timedelta(seconds=form.interval or 0)
        schedule = IntervalSchedule(interval=interval, anchor_date=_ANCHOR, timezone=form.timezone)
    return DeploymentScheduleCreate(schedule=schedule, active=True)


def _values(form: Form) -> dict[str, Any]:
    return form.model_dump(mode="json", exclude_none=True)


def _plain(value: Any) -> Any:
    """A payload as JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _absolute(uri: str) -> str:
    """A place as a run finds it from whatever folder it is started in."""
    return uri if is_remote(uri) else str(Path(uri).absolute())
