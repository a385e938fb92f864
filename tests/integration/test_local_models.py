"""Whole runs with a model in a folder of this machine."""

import asyncio
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.ray_engine import _Actor
from pipeline.embedding.onnx import load
from pipeline.ids import digest
from pipeline.job import Budget, Endpoint
from pipeline.letters import DeadLetters
from pipeline.local_models import identified, open_model
from pipeline.model import Request
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from tests.flows.inside import vecmill_here
from tests.models import DIMENSIONS, onnx_folder
from tests.support import Ran, job_for, rows, run, write_pages

PAGES = {
    "en.md": "# Rivers\n\nRivers carry water to the sea.\n\n## Floods\n\nSnow on mountains melts in spring.",
    "ja.md": "# 川\n\n川は水を海へ運ぶ。\n\n## 洪水\n\n春になると山の雪がとける。",
}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_folder(tmp_path / "models" / "small")


@pytest.fixture
def vecmill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """The command line in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return partial(vecmill_here, capsys)


def _job(pages: Path, store: str, model: Path, **changes: Any) -> Any:
    space = identified(Space("onnx", str(model), DIMENSIONS))
    return job_for(pages, store, space=space, splitter=SplitterSpec(max_tokens=48), **changes)


def test_a_folder_is_ingested_and_found_by_its_vectors(
    pages: Path, model: Path, vecmill: Callable[..., Ran]
) -> None:
    space = f"onnx/models/small@{DIMENSIONS}"
    made = vecmill("ingest", "docs", "--table", "t", "--embedding", space, "--json")
    assert made.code == 0, made.err
    assert made.json["embedding"]["space"] == f"onnx/small@{DIMENSIONS}"
    assert made.json["embedding"]["texts"] == made.json["chunks"]["inserted"] == 4
    assert made.json["cost_usd"] == 0.0
    found = vecmill("search", "川は水を海へ運ぶ。", "--table", "t", "--mode", "vector", "--json")
    assert found.code == 0, found.err
    assert found.json[0]["doc_id"] == "ja.md"
    again = vecmill("ingest", "docs", "--table", "t", "--embedding", space, "--json")
    assert again.json["embedding"]["texts"] == 0


def test_a_model_that_has_moved_is_found_where_it_is_said_to_be_and_is_the_same_space(
    pages: Path, model: Path, tmp_path: Path, vecmill: Callable[..., Ran]
) -> None:
    vecmill("ingest", "docs", "--table", "t", "--embedding", f"onnx/models/small@{DIMENSIONS}")
    moved = f"onnx/elsewhere/small@{DIMENSIONS}"
    shutil.move(model.parent, tmp_path / "elsewhere")
    lost = vecmill("search", "snow", "--table", "t", "--mode", "vector")
    assert lost.code == 3
    assert "the model is not at" in lost.err
    assert "--embedding onnx/FOLDER@16" in lost.err
    said = ("--table", "t", "--embedding", moved)
    assert vecmill("search", "snow", *said, "--mode", "vector").code == 0
    again = vecmill("ingest", "docs", *said, "--json")
    assert (again.code, again.json["embedding"]["texts"]) == (0, 0)
    (tmp_path / "vecmill.toml").write_text(
        '[pipelines.t]\ntable = "t"\nsource = { uri = "docs" }\n'
        f'embedding = {{ provider = "onnx", model = "elsewhere/small", dimensions = {DIMENSIONS} }}\n'
    )
    found = vecmill("search", "snow", "--table", "t", "--mode", "vector")
    assert found.code == 0, found.err


def test_other_weights_under_the_same_name_are_refused_everywhere(
    pages: Path, model: Path, vecmill: Callable[..., Ran]
) -> None:
    space = f"onnx/models/small@{DIMENSIONS}"
    vecmill("ingest", "docs", "--table", "t", "--embedding", space)
    onnx_folder(model, seed=2)
    write_pages(pages, {"new.md": "# New\n\nA new page."})
    for words in (("ingest", "docs", "--table", "t"), ("search", "snow", "--table", "t", "--mode", "vector")):
        for options in ((), ("--embedding", space)):
            refused = vecmill(*words, *options)
            assert refused.code == 3, refused.err
            assert "another model" in refused.err or "weights" in refused.err


def test_a_chunk_is_no_longer_than_the_model_takes_where_nobody_says_how_long(
    tmp_path: Path, model: Path, vecmill: Callable[..., Ran]
) -> None:
    write_pages(tmp_path / "docs", {"long.md": "Rivers carry water. " * 200})
    space = f"onnx/{model}@{DIMENSIONS}"
    made = vecmill("ingest", "docs", "--table", "t", "--embedding", space, "--json")
    assert made.code == 0, made.err
    assert made.json["chunks"]["inserted"] > 10
    assert made.json["chunks"]["dead"] == 0
    asked = vecmill("plan", "docs", "--table", "u", "--embedding", space, "--max-tokens", "256")
    assert asked.code == 3
    assert "takes at most 62 tokens a text" in asked.err


def test_a_text_that_the_model_cannot_take_is_a_dead_letter(tmp_path: Path, store: str, model: Path) -> None:
    pages = write_pages(tmp_path / "docs", {**PAGES, "odd.md": "\ue000\ue001"})
    report = run(_job(pages, store, model, budget=Budget(failures=0.5)))
    assert (report.published, report.chunks.dead) == (True, 1)
    [letter] = DeadLetters(Objects(store)).all()
    assert (letter.doc_id, letter.stage) == ("odd.md", "embed")
    assert letter.reason == "the text is empty: the model's tokenizer finds nothing in it"
    assert {row["doc_id"] for row in rows(store).to_pylist()} == {"en.md", "ja.md"}


def test_a_worker_loads_its_model_once_and_uses_one_core(tmp_path: Path, store: str, model: Path) -> None:
    Objects(store, create=True)
    job = replace(_job(tmp_path, store, model), endpoint=Endpoint(threads=1))
    before = load.cache_info().misses

    async def check() -> list[int]:
        actor = _Actor(pickle.dumps(job), 2)
        texts = [f"snow {number}" for number in range(4)]
        requests = [Request(n, (text,), (digest(text),), 2) for n, text in enumerate(texts)]
        return [(await actor.embed(request)).texts for request in requests]

    assert asyncio.run(check()) == [1, 1, 1, 1]
    assert load.cache_info().misses == before + 1
    assert load(open_model(job.space), job.space.weights, job.space.pooling, 1).at_once == 1
    assert load.cache_info().misses == before + 1


def test_doctor_loads_the_model_of_a_pipeline(
    tmp_path: Path, model: Path, vecmill: Callable[..., Ran]
) -> None:
    form = f'{{ provider = "onnx", model = "models/small", dimensions = {DIMENSIONS} }}'
    config = tmp_path / "vecmill.toml"
    config.write_text(f'[pipelines.t]\ntable = "t"\nsource = {{ uri = "docs" }}\nembedding = {form}\n')
    checks = {one["check"]: one for one in vecmill("doctor", "--json").json}
    found = checks["model of t"]
    assert found["ok"], found
    assert found["found"].endswith("runs on cpu, with up to 62 tokens a text")
    config.write_text(config.read_text().replace("dimensions = 16", "dimensions = 32"))
    checks = {one["check"]: one for one in vecmill("doctor", "--json").json}
    assert "the model has 16 dimensions, so write @16" in checks["model of t"]["mend"]
