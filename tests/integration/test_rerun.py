"""Reruns from end to end: what is missing of a run, or all of it, and never a known text paid for again."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.again import make_rerun
from infra.config import Config, StoreConfig
from infra.embedding_form import EmbeddingConfig
from infra.rerun_form import RerunConfig
from infra.splitter_form import SplitterConfig
from pipeline.errors import InputError, OverBudget, ProviderRefused
from pipeline.job import Budget
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.rerun import rerun
from pipeline.staging import RECORD, Staging
from tests.backfills import engines, fill, filling_job, live, switched
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import job_for, metered, rows, run, write_pages

_PAGES = {f"{n:02}.md": f"# Page {n}\n\nWords of page {n}.\n\n## 川{n}\n\n水は{n}。" for n in range(8)}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", _PAGES)


def _again(store: str, run_id: str, scope: str = "failed", **changes: Any) -> dict[str, Any]:
    """Rerun a run; gives its report."""
    form = RerunConfig(run_id=run_id, scope=scope, **changes)
    return rerun(make_rerun(form, Config(store=StoreConfig(uri=store))), engines)


def test_a_failed_run_is_taken_up_and_only_what_is_missing_is_paid(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults([None, None, "insufficient_quota"])) as endpoint:
        job = job_for(folder, store, **metered(endpoint.url, batch_inputs=2, max_in_flight=1))
        with pytest.raises(ProviderRefused):
            run(job)
        paid = endpoint.ledger.texts_billed
        assert paid > 0
        endpoint.faults = Faults()
        report = _again(store, job.run_id)
        assert (report["version"], report["published"], report["documents"]["new"]) == (1, True, 8)
        assert report["embedding"]["texts"] == endpoint.ledger.texts_billed - paid
        assert endpoint.ledger.billed_more_than_once() == {}
    record = Ledger(Objects(store)).run(report["run_id"])
    assert (record["kind"], record["job"]["rerun_of"], record["job"]["priority"]) == (
        "rerun",
        job.run_id,
        "rerun",
    )


def test_of_a_finished_run_the_open_dead_letters_are_what_is_missing(folder: Path, store: str) -> None:
    write_pages(folder, {"bad.md": "# Bad\n\nA bad egg.", "worse.md": "# Worse\n\nAnother bad egg."})
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        job = job_for(folder, store, budget=Budget(failures=0.5), **metered(endpoint.url))
        run(job)
        billed = endpoint.ledger.texts_billed
        endpoint.faults = Faults(poison_marker="Another bad egg")
        write_pages(folder, {"00.md": "# Changed, but not failed"})
        report = _again(store, job.run_id)
        assert report["documents"]["failed"] + report["chunks"]["inserted"] == 1
        assert endpoint.ledger.texts_billed == billed + 1
        assert "bad.md" in rows(store)["doc_id"].to_pylist()
        assert "# Changed" not in "".join(rows(store)["text"].to_pylist())


def test_a_run_that_lacks_nothing_changes_nothing(folder: Path, store: str) -> None:
    report = run(job_for(folder, store))
    write_pages(folder, {"new.md": "# New"})
    again = _again(store, report.run_id)
    assert (again["published"], again["version"], again["documents"]["new"]) == (False, 1, 0)


def test_all_of_a_run_reads_every_document_and_pays_for_nothing(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, **metered(endpoint.url))
        run(job)
        page = folder / "03.md"
        times = page.stat()
        page.write_text(page.read_text("utf-8").replace("Words", "words"), "utf-8")
        os.utime(page, ns=(times.st_atime_ns, times.st_mtime_ns))  # as its token tells, nothing has changed
        assert run(job_for(folder, store, **metered(endpoint.url))).published is False
        billed = endpoint.ledger.texts_billed
        report = _again(store, job.run_id, "all")
        assert (report["version"], report["documents"]["changed"]) == (2, 8)
        assert (report["chunks"]["inserted"], report["chunks"]["deleted"]) == (1, 1)
        assert endpoint.ledger.texts_billed == billed + 1
        assert _again(store, report["run_id"], "all")["published"] is False


def test_all_of_a_run_with_another_splitter_brings_the_whole_table_over(
    folder: Path, store: str, tmp_path: Path
) -> None:
    first = run(job_for(folder, store))
    other = write_pages(tmp_path / "more", {"more.md": "# More\n\nFrom another folder."})
    run(job_for(other, store))
    cut = SplitterConfig(kind="recursive", max_tokens=16)
    report = _again(store, first.run_id, "all", splitter=cut)
    assert (report["version"], report["published"]) == (3, True)
    assert set(run(job_for(folder, str(tmp_path / "x"))).record()) <= set(report)
    assert live(store).kind == "switch"
    fresh = str(tmp_path / "fresh")
    for source in (folder, other):
        run(job_for(source, fresh, splitter=cut.spec()))
    assert rows(store).equals(rows(fresh))


def test_another_splitter_pays_only_for_texts_that_are_new(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, **metered(endpoint.url))
        run(job)
        _again(store, job.run_id, "all", splitter=SplitterConfig(kind="recursive", max_tokens=8))
        assert endpoint.ledger.billed_more_than_once() == {}
        billed = endpoint.ledger.texts_billed
        _again(store, job.run_id, "all", splitter=SplitterConfig.of(job.splitter))  # and back
        assert endpoint.ledger.texts_billed == billed
        assert live(store).specs()[1] == job.splitter


def test_what_is_not_named_is_as_the_table_has_it_now(folder: Path, store: str) -> None:
    first = run(job_for(folder, store))
    wider = filling_job(store)
    switched(wider, fill(wider))
    write_pages(folder, {"new.md": "# New\n\nWords."})
    report = _again(store, first.run_id, "all")
    assert (report["embedding"]["space"], report["documents"]["new"]) == ("local/wordllama@128", 1)
    assert (live(store).version, live(store).kind) == (3, "ingest")
    _again(store, first.run_id, "all", splitter=SplitterConfig(max_tokens=16))
    assert live(store).specs() == (wider.space, SplitterConfig(max_tokens=16).spec())


def test_letters_of_documents_are_replayed_in_the_space_that_the_table_has_now(
    folder: Path, store: str
) -> None:
    (folder / "bad.md").write_bytes(b"\0\1")
    first = run(job_for(folder, store, budget=Budget(failures=1.0)))
    wider = filling_job(store)
    switched(wider, fill(wider))
    write_pages(folder, {"bad.md": "# Mended\n\nWords."})
    report = _again(store, first.run_id)
    assert (report["version"], report["documents"]["new"]) == (3, 1)
    assert "bad.md" in rows(store)["doc_id"].to_pylist()


def test_all_of_a_run_goes_into_another_table_as_it_is_now(folder: Path, store: str) -> None:
    first = run(job_for(folder, store))
    report = _again(store, first.run_id, "all", table="other", splitter=SplitterConfig(max_tokens=16))
    assert (report["table"], report["version"]) == ("other", 1)
    assert live(store).version == 1
    assert live(store, "other").specs()[1].max_tokens == 16


def test_a_backfill_that_failed_is_taken_up_as_one_and_not_switched_to(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    with MeteredEndpoint(key="sk-test", faults=Faults([None, "insufficient_quota"])) as endpoint:
        job = filling_job(store, **metered(endpoint.url, batch_inputs=4, max_in_flight=1))
        with pytest.raises(ProviderRefused):
            fill(job, part=4)
        endpoint.faults = Faults()
        report = _again(store, job.run_id)
        assert (report["published"], report["version"], report["generation"]) == (False, 1, job.generation)
        assert endpoint.ledger.billed_more_than_once() == {}
        switched(job, fill(replace(job, run_id="last")))
        assert live(store).generation == job.generation


@pytest.mark.parametrize(
    "changes",
    [
        {"splitter": SplitterConfig(max_tokens=16)},
        {"table": "other"},
        {"embedding": EmbeddingConfig(provider="local", model="wordllama", dimensions=128)},
    ],
)
def test_changes_need_all_of_a_run(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs scope all"):
        RerunConfig(run_id="1", **changes)


def test_a_run_that_is_under_way_is_left_alone(folder: Path, store: str) -> None:
    job = job_for(folder, store)
    with (
        Ledger(Objects(store, create=True)).recorded(job),
        pytest.raises(InputError, match="is under way"),
    ):
        _again(store, job.run_id)


def test_a_killed_run_is_taken_up(folder: Path, store: str) -> None:
    job = job_for(folder, store)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with Ledger(Objects(store, create=True)).recorded(job):
        staging = Staging(Objects(store), job.run_id)
        staging.write_json(RECORD, {**staging.read_json(RECORD), "pid": gone.pid})
        assert Ledger(Objects(store)).run(job.run_id)["state"] == "killed"
        assert _again(store, job.run_id)["version"] == 1


def test_a_budget_of_its_own_goes_before_the_runs(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, budget=Budget(tokens=1), **metered(endpoint.url))
        with pytest.raises(OverBudget):
            run(job)
        with pytest.raises(OverBudget):
            _again(store, job.run_id)
        assert endpoint.ledger.arrived == 0
        assert _again(store, job.run_id, budget={"tokens": 10_000})["version"] == 1


def test_unknown_runs_are_refused(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    with pytest.raises(InputError, match="there is no run"):
        _again(store, "nope")


def test_runs_without_documents_are_refused(store: str) -> None:
    record = {
        "run_id": "e",
        "kind": "evaluate",
        "state": "finished",
        "started_at": "",
        "table": "docs",
        "job": {},
    }
    Staging(Objects(store, create=True), "e").write_json(RECORD, record)
    with pytest.raises(InputError, match="is of the kind evaluate, which has no documents"):
        _again(store, "e")
