"""What vecmill.toml comes to as deployments, before any server hears of it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from flows.deployments import Deployment, Pool, deployments
from infra.config import Config
from pipeline.errors import InputError

POOL = Pool("here", {"env": {"DO_NOT_TRACK": "1"}})


def _config(**pipelines: Any) -> Config:
    source = {"uri": "docs"}
    named = {name: {"table": name, "source": source, **values} for name, values in pipelines.items()}
    return Config.model_validate({"store": {"uri": "kept"}, "pipelines": named})


def _named(config: Config) -> dict[str, Deployment]:
    return {one.full_name: one for one in deployments(config)}


def test_each_pipeline_has_an_ingest_and_the_store_one_of_each_other_flow() -> None:
    names = list(_named(_config(a={}, b={})))
    assert names == ["ingest/a", "ingest/b", "rerun/kept", "backfill/kept", "evaluate/kept", "maintain/kept"]


def test_what_is_registered_finds_its_files_from_any_folder_and_can_be_found_by_its_table() -> None:
    payload = _named(_config(a={}))["ingest/a"].payload(POOL)
    assert payload["parameters"]["pipeline"]["source"]["uri"] == str(Path("docs").absolute())
    assert payload["parameters"]["store"]["uri"] == str(Path("kept").absolute())
    assert payload["parameters"]["pipeline"]["name"] == "a"
    assert {"vecmill", "table:a"} < set(payload["tags"])
    assert payload["entrypoint"] == "flows.ingest.ingest"


def test_schedules_keep_their_time_zone_and_intervals_their_anchor() -> None:
    made = _named(
        _config(
            cron={"schedule": {"cron": "0 3 * * *", "timezone": "Asia/Tokyo"}},
            interval={"schedule": {"interval": "1h30m"}},
            none={},
        )
    )
    [cron] = made["ingest/cron"].payload(POOL)["schedules"]
    assert cron.schedule == CronSchedule(cron="0 3 * * *", timezone="Asia/Tokyo")
    [interval] = made["ingest/interval"].payload(POOL)["schedules"]
    assert isinstance(interval.schedule, IntervalSchedule)
    assert interval.schedule.interval == timedelta(hours=1, minutes=30)
    assert made["ingest/none"].payload(POOL)["schedules"] == []


def test_an_evaluation_has_a_deployment_with_its_schedule_and_finds_its_files() -> None:
    form = {
        "table": "docs",
        "queries": "q.jsonl",
        "qrels": "r.jsonl",
        "drift": {"days": 3},
        "schedule": {"cron": "0 6 * * *"},
    }
    made = _named(Config.model_validate({"store": {"uri": "kept"}, "evaluations": {"nightly": form}}))
    payload = made["evaluate/nightly"].payload(POOL)
    [schedule] = payload["schedules"]
    assert schedule.schedule == CronSchedule(cron="0 6 * * *", timezone="UTC")
    told = payload["parameters"]["evaluation"]
    assert (told["queries"], told["drift"]["days"]) == (str(Path("q.jsonl").absolute()), 3.0)
    assert "schedule" not in told
    assert {"vecmill", "table:docs"} < set(payload["tags"])
    assert "evaluate/kept" in made


def test_an_evaluation_cannot_have_the_name_of_the_stores_own() -> None:
    config = {"store": {"uri": "kept"}, "evaluations": {"kept": {"table": "docs", "drift": {}}}}
    with pytest.raises(InputError, match="called 'kept', as the store is"):
        deployments(Config.model_validate(config))


@pytest.mark.parametrize(("overlap", "strategy"), [("wait", "ENQUEUE"), ("skip", "CANCEL_NEW")])
def test_one_run_at_a_time_and_the_second_does_as_the_pipeline_says(overlap: str, strategy: str) -> None:
    payload = _named(_config(a={"overlap": overlap}))["ingest/a"].payload(POOL)
    assert payload["concurrency_limit"] == 1
    assert payload["concurrency_options"].collision_strategy.value == strategy


def test_the_version_tells_payloads_apart_and_only_those() -> None:
    def version(**changes: Any) -> str:
        return str(_named(_config(a=changes))["ingest/a"].payload(POOL)["version"])

    assert version() == version()
    assert version() != version(overlap="skip")
    assert version(schedule={"interval": 60}) == version(schedule={"interval": "1m"})
    other = Pool("here", {"image": "vecmill:2"})
    assert _named(_config(a={}))["ingest/a"].payload(other)["version"] != version()


def test_forms_have_titles_descriptions_choices_and_defaults() -> None:
    for deployment in deployments(_config(a={})):
        schema = deployment.payload(POOL)["parameter_openapi_schema"]
        for name, group in schema["properties"].items():
            assert group["title"][0].isupper(), name
            assert group["description"], f"{deployment.full_name}: {name}"
        for form, definition in schema["definitions"].items():
            assert "Config" not in definition["title"], form
            for field, values in definition["properties"].items():
                assert "title" in values or "$ref" in values or "anyOf" in values, f"{form}.{field}"
    rerun = _named(_config())["rerun/kept"].payload(POOL)["parameter_openapi_schema"]["definitions"]
    scope = next(one for one in rerun.values() if one["title"] == "Rerun")["properties"]["scope"]
    assert (scope["enum"], scope["default"], scope["title"]) == (["failed", "all"], "failed", "Scope")
