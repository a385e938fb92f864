"""The rows of the table of failures (design, section 7) that whole runs have to keep, one test each.

The others are elsewhere: storms of faults, refusals, poison and the failure budget in `test_faults`, budgets
in `test_money`, the time limit in `test_time_limit`, Ctrl-C in `test_cancel`, kills in `tests/chaos`, files
that cannot be read in `test_bad_input`.
"""

from pathlib import Path
from typing import Any

import pytest

from pipeline.job import Budget, Job
from pipeline.objects import Objects
from pipeline.run import plan_only
from pipeline.splitter_spec import SplitterSpec
from pipeline.staging import Staging
from tests.endpoint import Faults, MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {f"{n:02}.md": f"# Page {n}\n\nParagraph of page {n}. 第{n}頁の段落です。" for n in range(8)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, **more: Any) -> Job:
    access = {"batch_inputs": 2, "max_in_flight": 4, **more}
    return job_for(folder, store, **metered(endpoint.url, **access))


def _whole(folder: Path, tmp_path: Path) -> Any:
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(_job(folder, str(tmp_path / "whole"), endpoint))
    return rows(str(tmp_path / "whole"))


def test_an_answer_that_never_comes_is_asked_for_again_and_paid_again(
    folder: Path, store: str, tmp_path: Path
) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults(["hang", None, "hang"])) as endpoint:
        report = run(_job(folder, store, endpoint, timeout=0.5))
    assert (report.embedding["retries"], report.embedding["paid_again"]) == (2, 4)
    assert endpoint.ledger.texts_billed == 8 + 4
    assert rows(store).equals(_whole(folder, tmp_path))


@pytest.mark.parametrize(
    ("fault", "billed"),
    [
        ("server_error", False),
        ("reset_before_billing", False),
        ("reset_after_billing", True),
        ("garbage", True),
        ("short", True),
        ("long", True),
        ("nan", True),
        ("wrong_dimensions", True),
    ],
)
def test_each_fault_that_passes_leaves_a_whole_table_and_its_bill_is_explained(
    fault: str, billed: bool, folder: Path, store: str, tmp_path: Path
) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults([fault])) as endpoint:
        job = _job(folder, store, endpoint)
        planned, report = plan_only(job), run(job)
    assert rows(store).equals(_whole(folder, tmp_path))
    assert (report.embedding["texts"], report.embedding["tokens"]) == (8, planned.tokens)
    assert (report.embedding["retries"], endpoint.ledger.texts_billed) == (1, 10 if billed else 8)
    # A reset may have been billed or not: nobody can tell, and it counts as if it was.
    perhaps = billed or fault == "reset_before_billing"
    assert report.embedding["paid_again"] == (2 if perhaps else 0)
    assert report.cost_usd is not None
    assert report.cost_usd >= endpoint.ledger.tokens_billed * 0.02 / 1e6 - 1e-12


def test_an_outage_longer_than_patience_ends_with_code_6_and_what_was_paid_is_kept(
    folder: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    config = folder.parent / "vecmill.toml"
    with MeteredEndpoint(key="sk-test", faults=Faults([None] * 2, rates={"server_error": 1})) as endpoint:
        config.write_text(
            f'[pipelines.p]\ntable = "docs"\nsource = {{ uri = "docs" }}\n[pipelines.p.embedding]\n'
            f'provider = "openai"\nmodel = "{OPENAI.model}"\ndimensions = 64\nbase_url = "{endpoint.url}"\n'
            "batch_inputs = 2\nmax_in_flight = 1\npatience = 0.2\n",
            "utf-8",
        )
        words = ("ingest", "p", "--config", str(config), "--store", store, "--json")
        refused = vecmill_here(capsys, *words)
        assert (refused.code, refused.json["error"]["kind"]) == (6, "ProviderRefused")
        assert "What was paid is kept; run the same command again" in refused.json["error"]["message"]
        assert endpoint.ledger.texts_billed == 4
        endpoint.faults = Faults()
        report = vecmill_here(capsys, *words).json
    assert (report["embedding"]["cache_hits"], report["embedding"]["texts"]) == (4, 4)
    assert endpoint.ledger.billed_more_than_once() == {}


def test_an_input_too_long_for_the_model_is_never_sent(tmp_path: Path, store: str) -> None:
    long = "雨が降る。" * 4000
    folder = write_pages(tmp_path / "docs", {"long.md": long, "short.md": "A short page."})
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(
            folder,
            store,
            splitter=SplitterSpec("fixed", max_characters=len(long), prefix_headings=False),
            budget=Budget(failures=1),
            **metered(endpoint.url),
        )
        report = run(job)
    [letter] = Staging(Objects(store), job.run_id).dead_letters()
    assert "takes at most 8191 a text" in letter["reason"]
    assert (letter["doc_id"], letter["stage"]) == ("long.md", "split")
    assert letter["excerpt"] == long[:200]
    assert [charge.text for charge in endpoint.ledger.charges] == ["A short page."]
    assert (report.chunks.inserted, report.chunks.dead) == (1, 1)


def test_a_document_that_cannot_be_read_any_more_keeps_what_the_table_holds_and_costs_nothing(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(_job(folder, store, endpoint))
        before, paid = rows(store), endpoint.ledger.tokens_billed
        (folder / "03.md").write_bytes(b"\x00\xff\x00")
        (folder / "04.md").write_text("# Page 4\n\nAnother text. 別の文。", "utf-8")
        report = run(_job(folder, store, endpoint))
    assert (report.published, report.documents.failed, report.documents.changed) == (True, 1, 1)
    assert endpoint.ledger.tokens_billed - paid == report.embedding["tokens"]
    held = {row["doc_id"]: row["text"] for row in rows(store).to_pylist()}
    assert held["03.md"] == {row["doc_id"]: row["text"] for row in before.to_pylist()}["03.md"]
