"""What differs between two versions, against what their rows say."""

from pathlib import Path
from typing import Any

import lance
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.difference import difference
from pipeline.store.history import rollback
from pipeline.store.log import Log
from pipeline.store.table import generation_uri
from pipeline.store.versions import entry_at
from tests.support import job_for, rows, run, write_pages

_TEXTS = st.sampled_from(
    ["", "Rivers.", "山は高い。", "# A\n\nOne.\n\n# B\n\nTwo.", "# A\n\nOne.\n\n# C\n\n三。"]
)
_PAGES = st.dictionaries(st.sampled_from(["a.md", "い.md", "it's.md"]), _TEXTS, max_size=3)


def _publish(folder: Path, store: str, pages: dict[str, str], **changes: Any) -> int | None:
    """Ingest a folder of just these pages, and one that is always there."""
    for old in folder.glob("*.md"):
        old.unlink()
    return run(job_for(write_pages(folder, {**pages, "z.md": "Always."}), store, **changes)).version


def _of(store: str, before: int, after: int) -> dict[str, Any]:
    objects = Objects(store)
    ends = (entry_at(objects, "docs", at) for at in (before, after))
    return difference(objects, "docs", *ends).record()


def _naive(store: str, before: int, after: int) -> dict[str, Any]:
    """The same from all rows at once."""
    old, new = (rows(store, version=version).to_pylist() for version in (before, after))
    hashes = [{row["doc_id"]: row["doc_hash"] for row in side} for side in (old, new)]
    chunks = [{row["chunk_id"] for row in side} for side in (old, new)]
    both = hashes[0].keys() & hashes[1].keys()
    return {
        "documents": {
            "added": sorted(hashes[1].keys() - both),
            "removed": sorted(hashes[0].keys() - both),
            "changed": sorted(name for name in both if hashes[0][name] != hashes[1][name]),
        },
        "chunks": {"added": len(chunks[1] - chunks[0]), "removed": len(chunks[0] - chunks[1])},
    }


@given(histories=st.lists(_PAGES, min_size=2, max_size=4))
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
def test_any_two_versions_differ_as_their_rows_do(
    tmp_path_factory: pytest.TempPathFactory, histories: list[dict[str, str]]
) -> None:
    home = tmp_path_factory.mktemp("history")
    store = str(home / "store")
    for pages in histories:
        last = _publish(home / "docs", store, pages) or 0
    for before in range(1, last + 1):
        for after in range(1, last + 1):
            assert _of(store, before, after) == _naive(store, before, after)


def test_documents_are_listed_in_order_and_chunks_counted(tmp_path: Path, store: str) -> None:
    _publish(
        tmp_path / "docs", store, {"a.md": "# A\n\nOne.\n\n# B\n\nTwo.", "川.md": "川", "old.md": "Old."}
    )
    _publish(
        tmp_path / "docs",
        store,
        {"a.md": "# A\n\nOne.\n\n# C\n\n三。", "川.md": "川", "新.md": "新", "n.md": "N"},
    )
    assert _of(store, 1, 2) == {
        "documents": {"added": ["n.md", "新.md"], "removed": ["old.md"], "changed": ["a.md"]},
        "chunks": {"added": 3, "removed": 2},
    }
    assert _of(store, 2, 1)["documents"] == {
        "added": ["old.md"],
        "removed": ["n.md", "新.md"],
        "changed": ["a.md"],
    }
    rollback(Objects(store), "docs", 1)
    assert _of(store, 1, 3)["chunks"] == {"added": 0, "removed": 0}


def test_a_compaction_is_no_difference(tmp_path: Path, store: str) -> None:
    for number in range(3):
        _publish(tmp_path / "docs", store, {f"{n}.md": f"Page {n}." for n in range(number + 1)})
    live = Log(Objects(store), "docs").live()
    lance.dataset(generation_uri(Objects(store), "docs", live.generation)).optimize.compact_files()
    _publish(tmp_path / "docs", store, {f"{n}.md": f"Page {n}." for n in range(4)})
    assert _of(store, 1, 4) == _naive(store, 1, 4)
    assert _of(store, 3, 4)["documents"] == {"added": ["3.md"], "removed": [], "changed": []}


@pytest.mark.parametrize(
    ("changes", "chunks"),
    [
        ({"space": Space("local", "wordllama", 128)}, 0),
        ({"splitter": SplitterSpec(kind="recursive", max_tokens=64)}, 2),
    ],
)
def test_versions_of_two_generations_compare_by_content(
    tmp_path: Path, store: str, changes: dict[str, Any], chunks: int
) -> None:
    """Another space embeds the same chunks; another splitter makes other ones of the same documents."""
    _publish(tmp_path / "docs", store, {"a.md": "Rivers."})
    _publish(tmp_path / "docs", str(tmp_path / "other"), {"a.md": "Rivers."}, **changes)
    objects = Objects(store)
    [made] = (tmp_path / "other" / "tables" / "docs").glob("*.lance")
    made.rename(tmp_path / "store" / "tables" / "docs" / made.name)
    entry = Log(Objects(str(tmp_path / "other")), "docs").live()
    found = difference(objects, "docs", Log(objects, "docs").live(), entry).record()
    assert found["documents"] == {"added": [], "removed": [], "changed": []}
    assert found["chunks"] == {"added": chunks, "removed": chunks}


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads are counted by Linux")
def test_what_both_versions_have_in_the_same_files_is_not_read(tmp_path: Path, store: str) -> None:
    many = {f"{number}.md": f"# {number}\n\nPage {number}." for number in range(2000)}
    _publish(tmp_path / "docs", store, many)
    run(job_for(write_pages(tmp_path / "more", {"new.md": "New."}), store, delete_missing=False))

    def cost(before: int, after: int) -> int:
        _of(store, before, after)
        at = _read_bytes()
        _of(store, before, after)
        return _read_bytes() - at

    run(job_for(write_pages(tmp_path / "docs", {"0.md": "# 0\n\nAnother."}), store, delete_missing=False))
    assert _of(store, 1, 2)["documents"]["added"] == ["new.md"]
    assert cost(1, 2) < cost(2, 3) / 2  # a document of the large fragment has changed: it is read, twice


def _read_bytes() -> int:
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])
