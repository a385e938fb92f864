"""Real documentation, English and Japanese, through an endpoint that counts what it bills."""

from pathlib import Path

import pytest

from pipeline.job import Job
from pipeline.splitter_spec import SplitterSpec
from tests.endpoint import MeteredEndpoint
from tests.support import corpus, job_for, metered, rows, run, write_pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = {
        f"{language}/{page['path'].replace('docs/', '', 1)}": page["text"]
        for language in ("en", "ja")
        for page in corpus(f"docs-fastapi-en-ja/{language}.parquet").to_pylist()
    }
    return write_pages(tmp_path / "docs", pages)


def _job(folder: Path, store: str, endpoint: MeteredEndpoint) -> Job:
    return job_for(folder, store, splitter=SplitterSpec(), **metered(endpoint.url))


def _edit(folder: Path) -> None:
    """Edit three pages, delete one, add one that repeats a paragraph of another."""
    pages = sorted(folder.rglob("*.md"))
    first, middle, last = pages[3], pages[len(pages) // 2], pages[-4]
    first.write_text(
        first.read_text("utf-8") + "\n\n## One more thing\n\nA paragraph nobody wrote before.\n", "utf-8"
    )
    middle.write_text("A new first line moves everything down.\n\n" + middle.read_text("utf-8"), "utf-8")
    last.write_text(last.read_text("utf-8").replace("。", "。\n", 1) + "\n\n追加の段落です。\n", "utf-8")
    pages[10].unlink()
    (folder / "ja" / "added.md").write_text("# 追加\n\n新しいページです。\n", "utf-8")


@pytest.mark.slow
def test_after_edits_only_texts_never_seen_are_sent_and_the_table_equals_a_fresh_ingest(
    folder: Path, tmp_path: Path
) -> None:
    store, fresh = str(tmp_path / "store"), str(tmp_path / "fresh")
    with MeteredEndpoint(key="sk-test") as endpoint:
        first = run(_job(folder, store, endpoint))
        known = {charge.text for charge in endpoint.ledger.charges}
        assert first.embedding["texts"] == endpoint.ledger.texts_billed == len(known)

        _edit(folder)
        second = run(_job(folder, store, endpoint))
        billed = [charge.text for charge in endpoint.ledger.charges][len(known) :]
        assert second.documents.changed == 3
        assert (second.documents.new, second.documents.deleted) == (1, 1)
        assert 3 < len(billed) == second.embedding["texts"] < 40
        assert not known.intersection(billed)
        assert endpoint.ledger.billed_more_than_once() == {}

        run(_job(folder, fresh, endpoint))
        assert rows(store).equals(rows(fresh))

        asked = endpoint.ledger.requests
        third = run(_job(folder, store, endpoint))
        assert (third.published, third.version, endpoint.ledger.requests) == (False, 2, asked)
