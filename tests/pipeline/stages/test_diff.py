"""list and diff: what has to be read, and what is gone; never more than the source answers for."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import SourceSpec, Window
from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.stages.diff import ADDRESSES
from pipeline.store.table import open_version
from tests.pipeline.stages.steps import compared
from tests.support import job_for, rows, run, write_pages


def _held(store: str) -> set[str]:
    return set(rows(store)["doc_id"].to_pylist())


def _lines(path: Path, texts: Mapping[str, str]) -> SourceSpec:
    """A source of JSON lines; its ids are the mapping's keys."""
    path.write_text("".join(json.dumps({"id": k, "text": v}) + "\n" for k, v in texts.items()), "utf-8")
    return SourceSpec("rows", str(path), text="text", id="id")


def test_the_first_diff_finds_everything_new_and_in_order(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"b.md": "b", "日/本.md": "本", "a.md": "a"})
    context, found = compared(job_for(folder, store))
    assert found == DocumentCounts(new=3)
    changes = context.staging.read_table("changes")
    assert changes["doc_id"].to_pylist() == ["a.md", "b.md", "日/本.md"]
    assert changes["known_hash"].null_count == changes["known_uri"].null_count == 3
    assert context.staging.read_json("listed") == {"documents": 3}


def test_new_changed_and_gone_documents_are_told_apart_and_the_rest_is_left_alone(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {f"{name}.md": name for name in ("a", "b", "c", "d")})
    run(job_for(folder, store))
    (folder / "c.md").unlink()
    write_pages(folder, {"b.md": "other", "e.md": "e"})
    context, found = compared(job_for(folder, store))
    assert found == DocumentCounts(new=1, changed=1, unchanged=2, deleted=1)
    assert context.staging.read_table("changes")["doc_id"].to_pylist() == ["b.md", "e.md"]
    assert context.staging.read_table("gone")["doc_id"].to_pylist() == ["c.md"]


def test_unchanged_documents_are_not_read(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "Kept as it is.", "b.md": "b"})
    run(job_for(folder, store))
    path = folder / "a.md"
    before = path.stat()
    path.write_bytes(b"\xff" * before.st_size)  # reading it would be a dead letter
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = run(job_for(folder, store))
    assert (report.documents, report.published) == (DocumentCounts(unchanged=2), False)


def test_two_folders_share_a_table_and_delete_only_what_is_theirs(tmp_path: Path, store: str) -> None:
    one = write_pages(tmp_path / "one", {"a.md": "a", "b.md": "b"})
    two = write_pages(tmp_path / "two", {"c.md": "c", "d.md": "d"})
    run(job_for(one, store))
    assert run(job_for(two, store)).documents == DocumentCounts(new=2)
    (one / "b.md").unlink()
    (two / "d.md").unlink()
    assert run(job_for(one, store)).documents == DocumentCounts(unchanged=1, deleted=1)
    assert _held(store) == {"a.md", "c.md", "d.md"}
    assert run(job_for(two, store)).documents == DocumentCounts(unchanged=1, deleted=1)
    assert _held(store) == {"a.md", "c.md"}


def test_a_folder_whose_name_begins_like_anothers_is_another(tmp_path: Path, store: str) -> None:
    run(job_for(write_pages(tmp_path / "docs-old", {"a.md": "a"}), store))
    run(job_for(write_pages(tmp_path / "docs", {"b.md": "b"}), store))
    assert _held(store) == {"a.md", "b.md"}


def test_a_single_file_deletes_nothing_but_itself(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b[1].md": "b"})
    run(job_for(folder, store))
    write_pages(folder, {"b[1].md": "other"})
    assert run(job_for(folder / "b[1].md", store)).documents == DocumentCounts(changed=1)
    assert _held(store) == {"a.md", "b[1].md"}


def test_a_glob_deletes_only_what_it_matches(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b.txt": "b", "c.md": "c", "in/d.md": "d"})
    run(job_for(folder, store))
    for name in ("a.md", "b.txt", "in/d.md"):
        (folder / name).unlink()
    glob = SourceSpec("files", str(folder / "*.md"))
    assert run(job_for(glob, store)).documents == DocumentCounts(unchanged=1, deleted=1)
    assert _held(store) == {"b.txt", "c.md", "in/d.md"}
    restricted = SourceSpec("files", str(folder), glob="**/*.md")
    assert run(job_for(restricted, store)).documents == DocumentCounts(unchanged=1, deleted=1)
    assert _held(store) == {"b.txt", "c.md"}


def test_a_subfolder_taken_by_itself_leaves_no_page_twice(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "ja/b.md": "b"})
    run(job_for(folder, store))
    run(job_for(folder / "ja", store))
    assert _held(store) == {"a.md", "b.md"}
    run(job_for(folder, store))
    assert _held(store) == {"a.md", "ja/b.md"}


def test_missing_documents_are_kept_where_the_job_says_so(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b.md": "b"})
    run(job_for(folder, store))
    (folder / "b.md").unlink()
    assert run(job_for(folder, store, delete_missing=False)).documents == DocumentCounts(unchanged=1)
    assert _held(store) == {"a.md", "b.md"}


def test_two_documents_of_one_id_in_two_places_are_refused_by_name(tmp_path: Path, store: str) -> None:
    one = write_pages(tmp_path / "one", {"readme.md": "the first"})
    two = write_pages(tmp_path / "two", {"readme.md": "the second", "b.md": "b"})
    run(job_for(one, store))
    with pytest.raises(InputError, match=r"already holds 'readme\.md' from .*one/readme\.md"):
        run(job_for(two, store))
    assert rows(store)["text"].to_pylist() == ["the first"]


def test_a_moved_folder_is_followed_and_pays_for_nothing(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "old", {"a.md": "a", "b.md": "b", "c #1.md": "c"})
    run(job_for(folder, store))
    (folder / "b.md").unlink()
    moved = folder.rename(tmp_path / "新しい 場所")
    report = run(job_for(moved, store))
    assert report.documents == DocumentCounts(changed=2, deleted=1)
    assert (report.embedding["texts"], report.chunks.unchanged) == (0, 2)
    fresh = str(tmp_path / "fresh")
    run(job_for(moved, fresh))
    assert rows(store).equals(rows(fresh))
    assert not run(job_for(moved, store)).published


def test_documents_that_still_stand_where_another_moved_away_are_kept(tmp_path: Path, store: str) -> None:
    one = write_pages(tmp_path / "one", {"readme.md": "r", "a.md": "a"})
    run(job_for(one, store))
    two = tmp_path / "two"
    two.mkdir()
    shutil.move(one / "readme.md", two / "readme.md")
    assert run(job_for(two, store)).documents == DocumentCounts(changed=1)
    assert _held(store) == {"readme.md", "a.md"}


def test_rows_are_deleted_where_their_file_no_longer_has_them(tmp_path: Path, store: str) -> None:
    path = tmp_path / "rows.jsonl"
    run(job_for(_lines(path, {"1": "one", "2": "二", "3": "three"}), store))
    source = _lines(path, {"1": "one", "3": "changed"})
    assert run(job_for(source, store)).documents == DocumentCounts(changed=1, unchanged=1, deleted=1)
    assert _held(store) == {"1", "3"}


@pytest.mark.parametrize("doc_id", ["7", "issue#7", "山/川", "#"])
def test_a_row_of_another_file_that_is_still_there_is_never_replaced(
    tmp_path: Path, store: str, doc_id: str
) -> None:
    run(job_for(_lines(tmp_path / "one.jsonl", {doc_id: "the first"}), store))
    with pytest.raises(InputError, match="already holds"):
        run(job_for(_lines(tmp_path / "two.jsonl", {doc_id: "the second"}), store))
    assert rows(store)["text"].to_pylist() == ["the first"]


def test_rows_of_a_renamed_file_move_with_it(tmp_path: Path, store: str) -> None:
    path = tmp_path / "one.jsonl"
    run(job_for(_lines(path, {"1": "one", "2": "two"}), store))
    path.unlink()
    source = _lines(tmp_path / "two.jsonl", {"1": "one"})
    assert run(job_for(source, store)).documents == DocumentCounts(changed=1, deleted=1)
    assert _held(store) == {"1"}


def test_a_row_that_does_not_tell_its_id_stops_every_deletion(tmp_path: Path, store: str) -> None:
    path = tmp_path / "rows.jsonl"
    run(job_for(_lines(path, {"1": "one", "2": "two"}), store))
    path.write_text('{"id": "1", "text": "one"}\n{"id": "2", "te\n', "utf-8")
    source = SourceSpec("rows", str(path), text="text", id="id")
    assert run(job_for(source, store)).documents == DocumentCounts(unchanged=1, failed=1)
    assert _held(store) == {"1", "2"}


def test_a_document_that_cannot_be_read_is_not_taken_for_missing(tmp_path: Path, store: str) -> None:
    path = tmp_path / "rows.jsonl"
    run(job_for(_lines(path, {"1": "one", "2": "two"}), store))
    path.write_text('{"id": "1", "text": "one"}\n{"id": "2"}\n', "utf-8")
    source = SourceSpec("rows", str(path), text="text", id="id")
    assert run(job_for(source, store)).documents == DocumentCounts(unchanged=1, failed=1)
    assert _held(store) == {"1", "2"}


def test_a_window_takes_some_of_the_changes_in_the_order_of_their_ids(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": str(n) for n in range(5)})
    for after, most, ids in (("", 2, ["0.md", "1.md"]), ("1.md", 2, ["2.md", "3.md"]), ("3.md", 9, ["4.md"])):
        context, found = compared(job_for(folder, store, window=Window(after, most)))
        assert context.staging.read_table("changes")["doc_id"].to_pylist() == ids
        assert found.new == len(ids)
    run(job_for(folder, store))
    write_pages(folder, {"1.md": "changed", "3.md": "changed"})
    context, _ = compared(job_for(folder, store, window=Window("", 1)))
    assert context.staging.read_table("changes")["doc_id"].to_pylist() == ["1.md"]


def test_everything_is_done_over_where_that_is_asked_for(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b.md": "b"})
    run(job_for(folder, store))
    context, found = compared(job_for(folder, store, everything=True))
    assert found == DocumentCounts(changed=2)
    assert context.staging.read_table("changes")["doc_id"].to_pylist() == ["a.md", "b.md"]


def test_the_rows_of_documents_that_may_be_replaced_are_found_wherever_they_lie(
    tmp_path: Path, store: str
) -> None:
    body = "\n\n".join(f"# Part {n}\n\nText of part {n}. 第{n}部。" for n in range(5))
    pages = {f"{n}.md": f"{body}\n\n# Page\n\n{n}" for n in range(8)}
    folder = write_pages(tmp_path / "docs", pages)
    run(job_for(folder, store))
    for number in (1, 4, 5):  # rows go from the middle of a fragment, and come in others
        run(job_for(write_pages(folder, {f"{number}.md": f"{pages[f'{number}.md']} again"}), store))
    write_pages(folder, {name: f"{pages[name]} changed" for name in ("0.md", "4.md", "7.md")})
    (folder / "5.md").unlink()
    context, _ = compared(job_for(folder, store))
    assert context.live is not None
    held = context.staging.read_table(ADDRESSES)
    dataset = open_version(Objects(store), "docs", context.live)
    table = dataset.to_table(columns=["doc_id"], with_row_address=True)
    names, addresses = table["doc_id"].to_pylist(), table["_rowaddr"].to_pylist()
    wanted = {"0.md", "4.md", "5.md", "7.md"}
    expected = {(name, one) for name, one in zip(names, addresses, strict=True) if name in wanted}
    found = list(zip(held["doc_id"].to_pylist(), held["address"].to_pylist(), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected) == 4 * 6
