"""The gate asks what is staged the owner's own questions, and lets through what answers them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import GateFailed
from pipeline.job import Canary, Gate, Job, Quality
from pipeline.objects import Objects
from pipeline.run import Report
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import job_for, metered, run, write_pages

_PAGES = {
    "mountains.md": "Mountains are high, and their tops are covered with snow.",
    "rivers.md": "A river carries water from its source to the sea.",
    "星空.md": "夜空の星を望遠鏡で観察する。",
    "料理.md": "味噌汁の作り方。出汁をとり、豆腐とわかめを入れる。",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", _PAGES)


def _run(folder: Path, store: str, *canaries: Canary, **more: Any) -> Report:
    return run(job_for(folder, store, gate=Gate(canaries), **more))


def _versions(store: str) -> int:
    return len(Log(Objects(store), "docs").numbers())


def test_questions_in_either_language_that_find_their_documents_let_a_run_through(
    folder: Path, store: str
) -> None:
    report = _run(
        folder,
        store,
        Canary("snow on a mountain", ("mountains.md",), 1),
        Canary("望遠鏡で星を見る", ("星空.md",), 1),
        Canary("water", ("rivers.md", "料理.md"), 4),
    )
    assert report.published


def test_one_that_does_not_find_its_document_publishes_nothing_and_says_what_it_found_instead(
    folder: Path, store: str
) -> None:
    _run(folder, store)
    write_pages(folder, {"mountains.md": "This page has moved."})
    with pytest.raises(
        GateFailed, match=r"'snow on a mountain' does not find mountains\.md .* it finds"
    ) as failed:
        _run(folder, store, Canary("snow on a mountain", ("mountains.md",), 1))
    assert failed.value.exit_code == 5
    assert _versions(store) == 1
    assert _run(folder, store).published  # and what was staged can be published without it


def test_documents_that_stay_as_they_are_answer_too_and_those_that_go_do_not(
    folder: Path, store: str
) -> None:
    _run(folder, store)
    write_pages(folder, {"new.md": "Something else entirely."})
    assert _run(folder, store, Canary("snow on a mountain", ("mountains.md",), 1)).published
    (folder / "mountains.md").unlink()
    with pytest.raises(GateFailed, match="does not find"):
        _run(folder, store, Canary("snow on a mountain", ("mountains.md",), 3))
    assert _versions(store) == 2


def _metered(folder: Path, store: str, endpoint: MeteredEndpoint, **changes: Any) -> Job:
    return job_for(folder, store, **metered(endpoint.url), **changes)


def test_a_canary_s_query_is_paid_for_once_and_stands_in_the_bill(folder: Path, store: str) -> None:
    gate = Gate((Canary("観察", ("星空.md",), 4),))
    with MeteredEndpoint(key="sk-test") as endpoint:
        first = run(_metered(folder, store, endpoint, gate=gate))
        assert (first.embedding["texts"], endpoint.ledger.texts_billed) == (5, 5)
        write_pages(folder, {"more.md": "One more."})
        run(_metered(folder, store, endpoint, gate=gate))
        assert endpoint.ledger.billed_more_than_once() == {}
        assert endpoint.ledger.texts_billed == 6


def test_a_sample_that_comes_back_alike_lets_a_run_through_and_stands_in_the_bill(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        report = run(_metered(folder, store, endpoint, gate=Gate(sample=3)))
        assert report.published
        assert endpoint.ledger.texts_billed == 4 + 3
        assert report.embedding["tokens"] == endpoint.ledger.tokens_billed


def test_another_model_behind_the_same_name_is_found_by_a_sample(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.endpoint import answers

    with MeteredEndpoint(key="sk-test") as endpoint:
        run(_metered(folder, store, endpoint, table="before"))
        original = answers.vector
        monkeypatch.setattr(answers, "vector", lambda model, text, size: original(model, text[::-1], size))
        with pytest.raises(GateFailed, match="another model behind the same name"):
            run(_metered(folder, store, endpoint, gate=Gate(sample=2)))
    assert Log(Objects(store), "docs").numbers() == []


def test_a_query_that_the_endpoint_rejects_fails_the_gate(folder: Path, store: str) -> None:
    gate = Gate((Canary("poison", ("rivers.md",)),))
    with (
        MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="poison")) as endpoint,
        pytest.raises(GateFailed, match=r"query cannot be embedded.*400"),
    ):
        run(_metered(folder, store, endpoint, gate=gate))


def test_a_gate_goes_through_the_run_s_record(folder: Path, store: str) -> None:
    gate = Gate((Canary("星", ("星空.md",), 3),), 2, Quality("queries.jsonl", "qrels.jsonl", 0.5))
    job = job_for(folder, store, gate=gate)
    assert Job.of(job.record()).gate == gate


def _quality(home: Path, at_least: float) -> Gate:
    """Two questions that the pages answer."""
    asked = {"snow on a mountain": "mountains.md", "望遠鏡で星を見る": "星空.md"}
    queries, qrels = home / "queries.csv", home / "qrels.csv"
    lines = [f"q{number},{text}" for number, text in enumerate(asked)]
    queries.write_text("\n".join(["query_id,text", *lines]), "utf-8")
    lines = [f"q{number},{doc_id},1" for number, doc_id in enumerate(asked.values())]
    qrels.write_text("\n".join(["query_id,doc_id,relevance", *lines]), "utf-8")
    return Gate(quality=Quality(str(queries), str(qrels), at_least))


def test_a_table_that_ranks_well_enough_is_published_whichever_of_its_documents_are_new(
    folder: Path, tmp_path: Path, store: str
) -> None:
    gate = _quality(tmp_path, 0.95)
    assert run(job_for(folder, store, gate=gate)).published
    write_pages(folder, {"星空.md": "夜空の星を望遠鏡で観察する。月も見る。"})
    assert run(job_for(folder, store, gate=gate)).published


def test_a_table_that_ranks_worse_than_is_asked_for_is_not_published(
    folder: Path, tmp_path: Path, store: str
) -> None:
    gate = _quality(tmp_path, 0.95)
    run(job_for(folder, store, gate=gate))
    write_pages(folder, {"星空.md": "お知らせ。", "more.md": "夜空の星を望遠鏡で見る会。"})
    with pytest.raises(GateFailed, match=r"nDCG@10 is 0\.\d+ \(.*over 2 questions of .*0\.95 is asked for"):
        run(job_for(folder, store, gate=gate))
    assert _versions(store) == 1
    (folder / "mountains.md").unlink()
    with pytest.raises(GateFailed, match="nDCG@10 is"):
        run(job_for(folder, store, gate=gate))
