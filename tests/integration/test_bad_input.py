"""Bad input: a clear message, the right exit code, and nothing lost. No endpoint is needed for any of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.flows.inside import vecmill_here
from tests.support import Ran, rows, write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {"a.md": "# Rivers\n\nRivers carry water to the sea.", "山.md": "# 山\n\n山は高い。"}
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _ingest(capsys: Captured, source: Path, store: str, *options: str) -> Ran:
    words = ("ingest", str(source), "--table", "docs", "--store", store, *options, "--json")
    return vecmill_here(capsys, *words)


def _refused(ran: Ran, code: int) -> str:
    """The message of a command that failed: the same in the JSON and on stderr."""
    assert ran.code == code, ran.err
    error = ran.json["error"]
    assert error["exit_code"] == code
    assert ran.err == f"error: {error['message']}\n"
    return str(error["message"])


def _kept(store: str, before: pa.Table, version: int = 1) -> bool:
    """Whether readers still see the version and the rows from before."""
    entry = Log(Objects(store), "docs").live()
    return entry.version == version and rows(store).equals(before)


def _dead(capsys: Captured, store: str, run_id: str) -> Mapping[str, str]:
    ran = vecmill_here(capsys, "runs", run_id, "--store", store, "--json")
    return {letter["doc_id"]: letter["reason"] for letter in ran.json["dead_letters"]}


@pytest.mark.parametrize("command", ["ingest", "plan"])
@pytest.mark.parametrize("name", ["gone", "gone.md", "gone/*.md", "gone.csv"])
def test_a_source_that_is_not_there_is_named(
    command: str, name: str, tmp_path: Path, store: str, capsys: Captured
) -> None:
    words = [command, str(tmp_path / name), "--table", "docs", "--store", store, "--json"]
    options = ["--text", "t", "--id", "i"] if name.endswith(".csv") else []
    assert str(tmp_path / "gone") in _refused(vecmill_here(capsys, *words, *options), 3)


def test_a_folder_that_vanished_deletes_nothing(folder: Path, store: str, capsys: Captured) -> None:
    assert _ingest(capsys, folder, store).code == 0
    before = rows(store)
    folder.rename(folder.with_name("elsewhere"))
    assert f"{folder} does not exist" in _refused(_ingest(capsys, folder, store, "--delete-missing"), 3)
    assert "cannot list" in _refused(_ingest(capsys, folder / "*.md", store), 3)
    assert _kept(store, before)


def test_a_folder_that_is_empty_now_deletes_nothing(folder: Path, store: str, capsys: Captured) -> None:
    assert _ingest(capsys, folder, store).code == 0
    before = rows(store)
    shutil.rmtree(folder)
    folder.mkdir()
    message = _refused(_ingest(capsys, folder, store, "--delete-missing"), 3)
    assert f"{folder} holds no documents" in message
    assert "nothing was changed" in message
    assert _kept(store, before)


def test_a_glob_that_matches_nothing_any_more_deletes_nothing(
    folder: Path, store: str, capsys: Captured
) -> None:
    assert _ingest(capsys, folder, store).code == 0
    before = rows(store)
    assert "holds no documents (*.rst)" in _refused(_ingest(capsys, folder, store, "--glob", "*.rst"), 3)
    assert _kept(store, before)


def test_an_empty_file_is_a_document_with_nothing_in_it(folder: Path, store: str, capsys: Captured) -> None:
    write_pages(folder, {"empty.md": "", "blank.md": "\n \t\n"})
    ran = _ingest(capsys, folder, store)
    assert ran.code == 0, ran.err
    assert ran.json["documents"] == {"new": 2, "changed": 0, "unchanged": 2, "deleted": 0, "failed": 0}
    assert set(rows(store)["doc_id"].to_pylist()) == set(PAGES)


def test_a_folder_of_empty_files_publishes_nothing_and_is_no_error(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    ran = _ingest(capsys, write_pages(tmp_path / "docs", {"a.md": ""}), store)
    assert (ran.code, ran.json["published"], ran.json["version"]) == (0, False, None)


def test_a_file_that_was_emptied_loses_its_chunks(folder: Path, store: str, capsys: Captured) -> None:
    assert _ingest(capsys, folder, store).code == 0
    (folder / "a.md").write_text("")
    ran = _ingest(capsys, folder, store)
    assert (ran.json["version"], ran.json["documents"]["changed"]) == (2, 1)
    assert rows(store)["doc_id"].to_pylist() == ["山.md"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PNG, "is a binary file, not text"),
        ("一\n山".encode("shift_jis"), "is not UTF-8: byte 0 (line 1) is 0x88; convert it"),
        (b"ok\n" + "山は高い".encode("euc_jp"), "is not UTF-8: byte 3 (line 2) is 0xbb; convert it"),
    ],
)
def test_a_file_that_is_no_text_is_a_dead_letter_and_the_rest_is_published(
    data: bytes, said: str, folder: Path, store: str, capsys: Captured
) -> None:
    (folder / "bad.md").write_bytes(data)
    ran = _ingest(capsys, folder, store)
    assert ran.code == 0, ran.err
    assert ran.json["documents"]["failed"] == 1
    assert set(rows(store)["doc_id"].to_pylist()) == set(PAGES)
    [(doc_id, reason)] = _dead(capsys, store, ran.json["run_id"]).items()
    assert doc_id == "bad.md"
    assert reason.startswith(said)
    asked = "select doc_id, reason from dead_letters"
    [letter] = vecmill_here(capsys, "sql", asked, "--store", store, "--json").json
    assert (letter["doc_id"], letter["reason"]) == (doc_id, reason)


def test_a_file_that_turned_binary_keeps_what_the_table_holds_of_it(
    folder: Path, store: str, capsys: Captured
) -> None:
    assert _ingest(capsys, folder, store).code == 0
    before = rows(store)
    (folder / "a.md").write_bytes(PNG)
    ran = _ingest(capsys, folder, store)
    assert (ran.code, ran.json["published"], ran.json["documents"]["failed"]) == (0, False, 1)
    assert _kept(store, before)


def test_more_bad_files_than_the_budget_allows_publish_nothing(
    folder: Path, store: str, capsys: Captured
) -> None:
    assert _ingest(capsys, folder, store).code == 0
    before = rows(store)
    write_pages(folder, {"new.md": "# New\n\nA new page."})
    for name in ("x.md", "y.md"):
        (folder / name).write_bytes(PNG)
    message = _refused(_ingest(capsys, folder, store), 5)
    assert "2 of 5 documents failed" in message
    assert "x.md is a binary file" in message
    assert _kept(store, before)
    assert _ingest(capsys, folder, store, "--budget-failures", "0.5").json["documents"]["new"] == 1


def test_a_csv_without_the_named_column_is_refused_with_the_columns_it_has(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    path = write_pages(tmp_path, {"rows.csv": "key,本文\n1,山は高い。\n"}) / "rows.csv"
    message = _refused(_ingest(capsys, path, store, "--text", "body", "--id", "key"), 3)
    assert message == f"{path} has no column 'body'; its columns are 'key', '本文'"
    assert _ingest(capsys, path, store, "--text", "本文", "--id", "key").code == 0


def test_broken_rows_are_dead_letters_and_delete_no_row_they_may_have_been(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    good = "".join(f"{n},Row {n} speaks of rivers. 川の話{n}。\n" for n in range(5))
    path = write_pages(tmp_path, {"rows.csv": "id,text\n" + good}) / "rows.csv"
    options = ("--text", "text", "--id", "id", "--budget-failures", "0.5")
    assert _ingest(capsys, path, store, *options).json["documents"]["new"] == 5
    before = rows(store)

    write_pages(tmp_path, {"rows.csv": "id,text\n" + good.replace("2,Row 2", '2,"Row 2')})
    ran = _ingest(capsys, path, store, *options)
    assert (ran.code, ran.json["documents"]["deleted"], ran.json["documents"]["failed"]) == (0, 0, 1)
    assert _dead(capsys, store, ran.json["run_id"]) == {"": "line 4 is no CSV: unexpected end of data"}
    assert _kept(store, before)


def test_a_row_that_is_gone_is_deleted_whatever_its_id(tmp_path: Path, store: str, capsys: Captured) -> None:
    keys = ["plain", "a#b", "日本 語", "100%", "x/y?z"]
    lines = {key: f'{{"id": "{key}", "text": "About {key}. その話。"}}\n' for key in keys}
    path = write_pages(tmp_path, {"rows.jsonl": "".join(lines.values())}) / "rows.jsonl"
    options = ("--text", "text", "--id", "id")
    assert _ingest(capsys, path, store, *options).json["documents"]["new"] == 5
    path.write_text(lines["plain"], "utf-8")
    assert _ingest(capsys, path, store, *options).json["documents"]["deleted"] == 4
    assert rows(store)["doc_id"].to_pylist() == ["plain"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pipelines.docs\n", "is no valid TOML: Expected ']'"),
        ("[pipelines.docs]\ntable = 'docs'\n", "pipelines.docs.source is missing"),
    ],
)
@pytest.mark.parametrize("words", [("ingest", "docs"), ("plan", "docs"), ("tables",), ("search", "q")])
def test_a_broken_configuration_file_stops_every_command(
    text: str, said: str, words: tuple[str, ...], tmp_path: Path, capsys: Captured
) -> None:
    path = write_pages(tmp_path, {"vecmill.toml": text}) / "vecmill.toml"
    message = _refused(vecmill_here(capsys, *words, "--config", str(path), "--json"), 3)
    assert message.startswith(str(path))
    assert said in message


def test_a_store_that_cannot_be_written_is_refused_by_the_store(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    write_pages(tmp_path, {"file": "no folder"})
    for store in (tmp_path / "file", tmp_path / "file" / "store"):
        message = _refused(_ingest(capsys, folder, str(store)), 7)
        assert message.startswith(f"the store cannot be used at {store}: ")
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_table_of_another_space_is_refused_with_both_names_and_stays_as_it_was(
    folder: Path, store: str, capsys: Captured
) -> None:
    assert _ingest(capsys, folder, store, "--embedding", "local/wordllama@64").code == 0
    before = rows(store)
    write_pages(folder, {"new.md": "# New\n\nA new page."})
    for command in ("ingest", "plan"):
        words = [command, str(folder), "--table", "docs", "--store", store, "--json"]
        message = _refused(vecmill_here(capsys, *words, "--embedding", "local/wordllama@128"), 3)
        assert "local/wordllama@64" in message
        assert "local/wordllama@128" in message
    assert _kept(store, before)
    found = vecmill_here(
        capsys, "search", "q", "--embedding", "local/wordllama@128", "--store", store, "--json"
    )
    assert "local/wordllama@64" in (message := _refused(found, 3))
    assert "local/wordllama@128" in message
    assert _ingest(capsys, folder, store).json["embedding"]["space"] == "local/wordllama@64"


def test_a_table_of_another_splitter_is_refused_and_stays_as_it_was(
    folder: Path, store: str, capsys: Captured
) -> None:
    assert _ingest(capsys, folder, store, "--max-tokens", "64").code == 0
    before = rows(store)
    message = _refused(_ingest(capsys, folder, store, "--max-tokens", "65"), 3)
    assert "markdown/64" in message
    assert "markdown/65" in message
    assert _kept(store, before)


def test_a_space_that_needs_a_key_is_refused_before_anything_is_read(
    folder: Path, store: str, capsys: Captured
) -> None:
    space = "openai/text-embedding-3-small@64"
    message = _refused(
        _ingest(capsys, folder, store, "--embedding", space, "--api-key-env", "NO_SUCH_KEY"), 3
    )
    assert message.startswith(f"{space} needs an API key, and NO_SUCH_KEY is not set")
    assert not Path(store).exists()


@pytest.mark.slow
def test_a_file_of_fifty_megabytes_is_ingested_like_any_other(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    paragraph = "Rivers carry water from the mountains to the sea. 川は山から海へ水を運ぶ。" * 4
    page = "\n\n".join(f"## Part {n}\n\n{paragraph} {n}" for n in range(2000))
    text = page + "\n\n" + page * (50 * 2**20 // len(page.encode()))
    path = write_pages(tmp_path, {"large.md": text}) / "large.md"
    assert path.stat().st_size >= 50 * 2**20
    ran = _ingest(capsys, path, store)
    assert ran.code == 0, ran.err
    table = rows(store).sort_by("start")
    starts, ends, texts = (table[name].to_pylist() for name in ("start", "end", "text"))
    assert all(text[start:end] == chunk for start, end, chunk in zip(starts, ends, texts, strict=True))
    assert ran.json["embedding"]["texts"] < len(table) / 10
    assert "".join(text.split()) == "".join("".join(chunk.split()) for chunk in texts)
