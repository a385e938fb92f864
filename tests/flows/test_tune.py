"""vecmill tune: from examples to a table in the space of the adapter, with nothing paid again."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters import adapter_of
from pipeline.objects import Objects
from pipeline.space import Space
from tests.endpoint import MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.models import DIMENSIONS, torch_folder
from tests.support import rows, write_pages

Captured = pytest.CaptureFixture[str]

_PAGES = {f"{n}.md": f"Page {n} says what number {n} is. 第{n}頁の話。" for n in range(30)}


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    lines = [
        json.dumps({"anchor": f"number {n}", "positive": text}) for n, text in enumerate(_PAGES.values())
    ]
    (tmp_path / "examples.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path / "examples.jsonl"


def test_a_table_goes_over_to_the_space_of_an_adapter_without_paying(
    tmp_path: Path, store: str, examples: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    folder = write_pages(tmp_path / "docs", _PAGES)
    with MeteredEndpoint() as endpoint:
        reach = ("--store", store, "--base-url", endpoint.url)
        base = "openai/text-embedding-3-small@64"
        words = ("ingest", str(folder), "--table", "docs", "--embedding", base, *reach, "--json")
        assert vecmill_here(capsys, *words).code == 0
        ran = vecmill_here(capsys, "tune", "docs", str(examples), "--anyway", *reach, "--json")
        assert ran.code == 0, ran.err
        tuned = ran.json
        assert (tuned["kind"], tuned["learned"] + tuned["held_out"] <= 30) == ("pairs", True)
        assert tuned["space"] == f"{base}+{tuned['adapter']}"
        paid = endpoint.ledger.texts_billed
        words = ("ingest", str(folder), "--table", "tuned", "--embedding", tuned["space"], *reach, "--json")
        again = vecmill_here(capsys, *words)
        assert again.code == 0, again.err
        assert again.json["embedding"]["texts"] == 0
        assert endpoint.ledger.texts_billed == paid
        hits = vecmill_here(
            capsys, "search", _PAGES["7.md"], "--table", "tuned", "--mode", "vector", *reach, "--json"
        )
        assert hits.code == 0, hits.err
        assert hits.json[0]["doc_id"] == "7.md"
        assert hits.json[0]["score"] == pytest.approx(1, abs=1e-3)
    adapter = adapter_of(Objects(store), Space.parse(tuned["space"]))
    assert adapter is not None
    plain, made = (
        np.stack(rows(store, table).sort_by("doc_id")["vector"].to_numpy()) for table in ("docs", "tuned")
    )
    assert np.allclose(adapter(plain), made, atol=1e-5)
    assert not np.allclose(plain, made, atol=1e-3)


def test_an_adapter_that_is_not_there_is_said_before_anything_is_paid(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    folder = str(write_pages(tmp_path / "docs", _PAGES))
    vecmill_here(
        capsys, "ingest", folder, "--table", "docs", "--embedding", "local/wordllama@64", "--store", store
    )
    words = (
        "plan",
        folder,
        "--table",
        "t",
        "--embedding",
        "local/wordllama@64+0123456789ab",
        "--store",
        store,
    )
    ran = vecmill_here(capsys, *words)
    assert (ran.code, "this store has no adapter 0123456789ab" in ran.err) == (3, True)


def test_people_are_told_what_to_do_next(
    tmp_path: Path, store: str, examples: Path, capsys: Captured
) -> None:
    folder = str(write_pages(tmp_path / "docs", _PAGES))
    vecmill_here(
        capsys, "ingest", folder, "--table", "docs", "--embedding", "local/wordllama@64", "--store", store
    )
    ran = vecmill_here(capsys, "tune", "docs", str(examples), "--anyway", "--store", store)
    assert "measured on 4 others" in ran.out
    assert "vecmill backfill docs --embedding local/wordllama@64+" in ran.out


@pytest.mark.filterwarnings("ignore")  # torch and transformers warn of their own doings
def test_a_model_itself_is_tuned_into_a_folder_that_is_a_space(
    tmp_path: Path, store: str, examples: Path, capsys: Captured
) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra sentence-transformers")
    torch.set_num_threads(1)
    folder = str(write_pages(tmp_path / "docs", _PAGES))
    base = f"sentence-transformers/{torch_folder(tmp_path / 'small')}@{DIMENSIONS}"
    made = vecmill_here(capsys, "ingest", folder, "--table", "docs", "--embedding", base, "--store", store)
    assert made.code == 0, made.err
    into = str(tmp_path / "mine")
    words = ("tune", "docs", str(examples), "--into", into, "--rate", "5e-3", "--anyway", "--store", store)
    tuned = vecmill_here(capsys, *words, "--json")
    assert tuned.code == 0, tuned.err
    assert (tuned.json["loss"], tuned.json["space"]) == (
        "ranking",
        f"sentence-transformers/{into}@{DIMENSIONS}",
    )
    assert tuned.json["losses"]["learned"][-1] < tuned.json["losses"]["learned"][0]
    assert "round 1: loss" in tuned.err
    again = vecmill_here(capsys, *words)
    assert (again.code, "is there already" in again.err) == (3, True)
    onto = ("ingest", folder, "--table", "tuned", "--embedding", tuned.json["space"], "--store", store)
    assert vecmill_here(capsys, *onto, "--json").json["embedding"]["texts"] == 30
    plain, moved = (
        np.stack(rows(store, one).sort_by("doc_id")["vector"].to_numpy()) for one in ("docs", "tuned")
    )
    assert not np.allclose(plain, moved, atol=1e-2)


def test_a_model_that_cannot_be_tuned_is_said_before_it_is_tried(
    tmp_path: Path, store: str, examples: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(write_pages(tmp_path / "docs", _PAGES))
    vecmill_here(
        capsys, "ingest", folder, "--table", "docs", "--embedding", "local/wordllama@64", "--store", store
    )
    words = ("tune", "docs", str(examples), "--store", store)
    refused = vecmill_here(capsys, *words, "--into", str(tmp_path / "mine"))
    assert (refused.code, "no model of sentence-transformers" in refused.err) == (3, True)
    refused = vecmill_here(capsys, *words, "--loss", "triplet")
    assert (refused.code, "say --into FOLDER" in refused.err) == (2, True)
    monkeypatch.setattr("pipeline.local_models.identity.importlib.util.find_spec", lambda name: None)
    model = ("--model", f"sentence-transformers/{tmp_path}@16")
    refused = vecmill_here(capsys, *words, "--into", str(tmp_path / "mine"), *model)
    assert refused.code == 3
    assert "uv sync --extra sentence-transformers" in refused.err
    assert not (tmp_path / "mine").exists()
