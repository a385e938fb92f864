"""Runs into a store that is full, or damaged."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import StoreRefused
from pipeline.job import Endpoint
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.support import job_for, rows, run, write_pages


def _versions(store: str) -> list[int]:
    return [entry.version for entry in Log(Objects(store), "docs").entries()]


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "batch", "behind"),
    [
        (8_000, 150, "chunks/"),
        (70_000, 400, "spool/"),
        (80_000, 150, "cache/"),
        (140_000, 150, "tables/docs"),
    ],
)
def test_a_store_that_is_full_refuses_with_exit_code_7_and_the_live_version_stays(
    tmp_path: Path, store: str, size: int, batch: int, behind: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "First."})
    run(job_for(folder, store))
    before = rows(store)
    write_pages(folder, {"b.md": "\n\n".join(f"# Part {n}\n\nText of part {n}." for n in range(400))})
    job = job_for(folder, store, endpoint=Endpoint(batch_inputs=batch))
    with _files_of_at_most(size), pytest.raises(StoreRefused, match=behind) as refused:
        run(job)
    assert refused.value.exit_code == 7
    assert _versions(store) == [1]
    assert rows(store).equals(before)
    assert run(job_for(folder, store)).version == 2
    assert len(rows(store)) == 401


def test_a_store_whose_folder_became_a_file_refuses_with_exit_code_7(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "First."})
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "Second."})
    [cache] = Path(store, "cache").iterdir()
    for path in (cache / "data").iterdir():
        path.unlink()
    (cache / "data").rmdir()
    (cache / "data").write_text("in the way", "utf-8")
    with pytest.raises(StoreRefused, match="cache") as refused:
        run(job_for(folder, store))
    assert refused.value.exit_code == 7
    assert rows(store)["text"].to_pylist() == ["First."]
