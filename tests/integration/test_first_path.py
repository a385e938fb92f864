"""The whole path on a few pages, in this process."""

from pathlib import Path

from tests.support import job_for, rows, run, write_pages


def test_a_second_run_over_unchanged_documents_embeds_and_publishes_nothing(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(
        tmp_path / "docs", {"a.md": "# A\n\nRivers carry water.", "b.md": "# 山\n\n山は高い。"}
    )
    first, second = run(job_for(folder, store)), run(job_for(folder, store))
    assert (first.published, first.documents.new, first.embedding["texts"]) == (True, 2, 2)
    assert (second.published, second.documents.unchanged, second.embedding["requests"]) == (False, 2, 0)
    assert second.version == first.version == 1
    assert set(rows(store)["doc_id"].to_pylist()) == {"a.md", "b.md"}
