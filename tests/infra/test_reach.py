"""How the space of a table is reached."""

from pathlib import Path

import pytest

from infra.config import Config, PipelineConfig
from infra.reach import access
from pipeline.job import Endpoint
from pipeline.objects import Objects
from pipeline.space import Space
from tests.backfills import fill, filling_job
from tests.endpoint import MeteredEndpoint
from tests.support import LOCAL, OPENAI, job_for, metered, run, write_pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", {"a.md": "# A\n\nRivers.", "b.md": "# 山\n\n山は高い。"})


def _config(**embedding: object) -> Config:
    pipeline = {"table": "docs", "source": {"uri": "docs"}, "embedding": embedding}
    return Config(pipelines={"handbook": PipelineConfig.model_validate(pipeline)})


def test_a_pipeline_that_names_the_space_knows_first(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(job_for(folder, store, **metered(endpoint.url)))
        named = {"provider": "openai", "model": OPENAI.model, "dimensions": 64}
        config = _config(**named, base_url="http://127.0.0.1:1/v1")
        assert access(config, Objects(store), "docs", OPENAI).base_url == "http://127.0.0.1:1/v1"
        assert access(Config(), Objects(store), "docs", OPENAI).base_url == endpoint.url


def test_a_pipeline_without_a_space_knows_the_live_one_only(folder: Path, store: str) -> None:
    config = _config(base_url="http://127.0.0.1:1/v1")
    run(job_for(folder, store))
    assert access(config, Objects(store), "docs", LOCAL).base_url == "http://127.0.0.1:1/v1"
    with MeteredEndpoint(key="sk-test") as endpoint:
        fill(filling_job(store, **metered(endpoint.url)))
        assert access(config, Objects(store), "docs", OPENAI).base_url == endpoint.url


def test_a_space_that_nobody_has_reached_is_reached_as_usual(folder: Path, store: str) -> None:
    run(job_for(folder, store, endpoint=Endpoint()))
    found = access(Config(), Objects(store), "docs", Space("openai", "text-embedding-3-large", 8))
    assert (found.base_url, found.api_key_env) == (None, "OPENAI_API_KEY")


@pytest.mark.parametrize(("model", "found"), [("models/small", True), ("small", True), ("too-small", False)])
def test_a_model_that_is_named_by_its_folder_is_known_by_its_last_name(
    folder: Path, store: str, model: str, found: bool
) -> None:
    run(job_for(folder, store))
    config = _config(provider="onnx", model=model, dimensions=4, rpm=7)
    form = access(config, Objects(store), "docs", Space("onnx", "small", 4))
    assert (form.rpm == 7) == found
