"""A table that grew by edits equals one that was made afresh, and no text is embedded twice."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline import ids
from pipeline.splitter_spec import SplitterSpec
from tests.endpoint import MeteredEndpoint
from tests.support import job_for, metered, rows, run, write_pages

_BLOCKS = (
    "Rivers carry water to the sea.",
    "川は海へ水を運ぶ。\n\n山は高い。",
    "# Heading\n\nA paragraph of its own.",
    "# 見出し\n\n- 一つ目\n- 二つ目",
    "```python\nprint('a fence')\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
)
_NAMES = ("a.md", "b.md", "日本/c.md")

Pages = dict[str, list[str]]
Edit = tuple[str, str, str, int]  # what to do, to which page, with which other page, with which block


def _put(pages: Pages, page: str, other: str, block: int) -> None:
    pages.setdefault(page, []).insert(0, _BLOCKS[block])


def _append(pages: Pages, page: str, other: str, block: int) -> None:
    pages.setdefault(page, []).append(_BLOCKS[block])


def _drop(pages: Pages, page: str, other: str, block: int) -> None:
    pages[page] = pages.get(page, [])[1:]


def _double(pages: Pages, page: str, other: str, block: int) -> None:
    pages[page] = pages.get(page, []) * 2


def _move(pages: Pages, page: str, other: str, block: int) -> None:
    held = pages.get(page, [])
    pages[page], moved = held[1:], held[:1]
    pages.setdefault(other, []).extend(moved)


def _reverse(pages: Pages, page: str, other: str, block: int) -> None:
    pages[page] = pages.get(page, [])[::-1]


def _empty(pages: Pages, page: str, other: str, block: int) -> None:
    pages[page] = []


def _delete(pages: Pages, page: str, other: str, block: int) -> None:
    pages.pop(page, None)


_EDITS: dict[str, Callable[[Pages, str, str, int], None]] = {
    "put": _put,
    "append": _append,
    "drop": _drop,
    "double": _double,
    "move": _move,
    "reverse": _reverse,
    "empty": _empty,
    "delete": _delete,
}
_edit = st.tuples(
    st.sampled_from(list(_EDITS)),
    st.sampled_from(_NAMES),
    st.sampled_from(_NAMES),
    st.integers(0, len(_BLOCKS) - 1),
)
_rounds = st.lists(st.lists(_edit, max_size=6), min_size=2, max_size=4)


def _write(folder: Path, pages: Pages) -> None:
    """Make a folder hold these pages; a file's time follows its content, as its change token would."""
    for path in folder.rglob("*.md"):
        path.unlink()
    texts = {"anchor.md": "Always here.", **{name: "\n\n".join(blocks) for name, blocks in pages.items()}}
    write_pages(folder, texts)
    for name, text in texts.items():
        time = int(ids.digest(text)[:12], 16)
        os.utime(folder / name, ns=(time, time))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rounds=_rounds, kind=st.sampled_from(["markdown", "recursive"]))
@example(
    rounds=[
        [("put", "a.md", "b.md", 2), ("double", "a.md", "b.md", 0), ("append", "b.md", "a.md", 1)],
        [("move", "a.md", "b.md", 0), ("put", "a.md", "b.md", 1), ("empty", "b.md", "a.md", 0)],
        [("delete", "a.md", "b.md", 0), ("put", "b.md", "a.md", 2)],
    ],
    kind="markdown",
)
def test_after_any_edits_the_table_equals_a_fresh_one_and_each_text_was_embedded_once(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[Edit]], kind: str
) -> None:
    base = tmp_path_factory.mktemp("edits")
    store, fresh, folder = str(base / "store"), str(base / "fresh"), base / "docs"
    splitter = SplitterSpec(kind, max_tokens=24, prefix_headings=kind == "markdown")
    pages: Pages = {}
    embedded: set[str] = set()
    version = 0
    before = None
    for edits in rounds:
        for what, page, other, block in edits:
            _EDITS[what](pages, page, other, block)
        _write(folder, pages)
        report = run(job_for(folder, store, splitter=splitter))
        held = rows(store)
        texts = set(held["text_hash"].to_pylist())
        assert report.embedding["texts"] == len(texts - embedded)
        embedded |= texts
        assert report.published == (before is None or not held.equals(before))
        version += report.published
        assert report.version == version
        assert report.chunks.inserted + report.chunks.unchanged + report.chunks.deleted > 0 or (
            not report.published
        )
        before = held
    run(job_for(folder, fresh, splitter=splitter))
    assert rows(store).equals(rows(fresh))


def test_a_changed_documents_kept_chunks_cost_nothing_and_equal_texts_are_sent_once(
    tmp_path: Path, store: str
) -> None:
    shared = "# 共通\n\nどのページにもある段落。"
    pages = {f"{n}.md": f"# Page {n}\n\nText of page {n}.\n\n{shared}" for n in range(10)}
    folder = write_pages(tmp_path / "docs", pages)
    with MeteredEndpoint(key="sk-test") as endpoint:
        first = run(job_for(folder, store, **metered(endpoint.url)))
        assert (first.chunks.inserted, first.embedding["texts"]) == (20, 11)
        assert endpoint.ledger.billed(shared) == 1
        write_pages(folder, {"3.md": f"# Added\n\n追加。\n\n{pages['3.md']}", "10.md": shared})
        second = run(job_for(folder, store, **metered(endpoint.url)))
        billed = [charge.text for charge in endpoint.ledger.charges[11:]]
        assert billed == ["# Added\n\n追加。"]
        assert (second.chunks.inserted, second.chunks.unchanged, second.chunks.deleted) == (2, 2, 0)
        other = run(job_for(folder, store, table="copy", **metered(endpoint.url)))
        assert (other.chunks.inserted, other.embedding["texts"], other.cost_usd) == (22, 0, 0.0)
        assert endpoint.ledger.billed_more_than_once() == {}
