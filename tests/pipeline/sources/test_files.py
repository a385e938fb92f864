"""Files as documents."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.model import DeadLetter, Document, Listed
from pipeline.sources import open_source
from pipeline.sources.files import FileSource
from tests.support import write_pages

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
)


def _source(uri: Path, glob: str | None = None) -> FileSource:
    return FileSource(SourceSpec("files", str(uri), glob))


def _listed(source: FileSource) -> list[Listed]:
    found = list(source.list())
    assert all(isinstance(one, Listed) for one in found)
    return [one for one in found if isinstance(one, Listed)]


def _read(source: FileSource) -> Sequence[Document | DeadLetter]:
    return list(source.read(_listed(source)))


def test_a_document_is_a_file_with_its_path_as_id_its_uri_and_its_text(tmp_path: Path) -> None:
    write_pages(tmp_path, {"en/a b.md": "# A\n\nRivers.\r\n", "ja/山.txt": "山は高い。"})
    first, second = _read(_source(tmp_path))
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.doc_id, first.text) == ("en/a b.md", "# A\n\nRivers.\r\n")
    assert first.uri == f"file://{tmp_path}/en/a%20b.md"
    assert (second.doc_id, second.text) == ("ja/山.txt", "山は高い。")
    assert second.uri == f"file://{tmp_path}/ja/%E5%B1%B1.txt"


def test_every_kind_of_file_is_taken_from_a_folder_unless_a_glob_says_which(tmp_path: Path) -> None:
    write_pages(tmp_path, dict.fromkeys(["a.md", "b.markdown", "c.txt", "d.html", "e.htm", "f.pdf"], "x"))
    assert [one.doc_id for one in _listed(_source(tmp_path))] == [
        "a.md", "b.markdown", "c.txt", "d.html", "e.htm",
    ]  # fmt: skip
    assert [one.doc_id for one in _listed(_source(tmp_path, "*.{md,pdf}"))] == ["a.md", "f.pdf"]


def test_html_is_the_text_that_it_shows_unless_its_markup_is_asked_for(tmp_path: Path) -> None:
    page = "<h1>A</h1>\r\n<p>Rivers.</p>"
    write_pages(tmp_path, {"a.html": page, "b.md": "# B"})
    for markup, text in ((False, "# A\n\nRivers."), (True, page)):
        source = FileSource(SourceSpec("files", str(tmp_path), markup=markup))
        assert [one.text for one in _read(source) if isinstance(one, Document)] == [text, "# B"]


@pytest.mark.parametrize("named", ["glob", "folder"])
def test_source_code_is_read_where_a_glob_names_it(named: str, tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.py": "x = 1\n", "lib/b.py": "y = 2\n", "lib/.cache/c.py": "", "d.md": "# D"})
    source = _source(tmp_path, "**/*.py") if named == "folder" else _source(tmp_path / "**/*.py")
    assert [(one.doc_id, one.text) for one in _read(source) if isinstance(one, Document)] == [
        ("a.py", "x = 1\n"),
        ("lib/b.py", "y = 2\n"),
    ]


def test_the_token_changes_with_size_and_time_and_not_otherwise(tmp_path: Path) -> None:
    path = write_pages(tmp_path, {"a.md": "one"}) / "a.md"
    tokens = [_listed(_source(tmp_path))[0].token for _ in range(2)]
    path.write_text("three")
    os.utime(path, ns=(0, 5))
    tokens.append(_listed(_source(tmp_path))[0].token)
    os.utime(path, ns=(0, 6))
    tokens.append(_listed(_source(tmp_path))[0].token)
    assert tokens[0] == tokens[1]
    assert tokens[2:] == ["5-5", "5-6"]


def test_a_file_has_the_same_id_and_uri_however_it_is_named(tmp_path: Path) -> None:
    write_pages(tmp_path, {"頁 1.md": "x"})
    folder, file, glob = (
        _listed(_source(path)) for path in (tmp_path, tmp_path / "頁 1.md", tmp_path / "*.md")
    )
    assert folder == file == glob


def test_documents_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "1", "b.md": "2", "c.md": "3"})
    source = _source(tmp_path)
    wanted = list(reversed(_listed(source)))
    assert [one.doc_id for one in source.read(wanted)] == ["c.md", "b.md", "a.md"]


def test_what_is_no_text_is_a_dead_letter_and_the_others_are_read(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "fine", "d.md": ""})
    (tmp_path / "b.md").write_bytes(PNG)
    (tmp_path / "c.md").write_bytes("一行目\n".encode() + "山".encode("shift_jis"))
    first, binary, sjis, empty = _read(_source(tmp_path))
    assert isinstance(first, Document)
    assert isinstance(binary, DeadLetter)
    assert (binary.doc_id, binary.stage, binary.reason) == ("b.md", "split", "is a binary file, not text")
    assert isinstance(sjis, DeadLetter)
    assert sjis.reason.startswith("is not UTF-8: byte 10 (line 2) is 0x8e; convert it")
    assert isinstance(empty, Document)
    assert empty.text == ""


def test_a_file_that_vanishes_between_listing_and_reading_is_a_dead_letter(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "1"})
    source = _source(tmp_path)
    listed = _listed(source)
    (tmp_path / "a.md").unlink()
    [letter] = source.read(listed)
    assert isinstance(letter, DeadLetter)
    assert (letter.doc_id, letter.uri) == (listed[0].doc_id, listed[0].uri)
    assert letter.reason == "cannot be read: No such file or directory"


def test_what_cannot_be_listed_is_a_dead_letter_of_its_own(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "1"})
    (tmp_path / "b.md").symlink_to("nowhere")
    os.mkfifo(tmp_path / "c.md")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md")).touch()
    found = {one.doc_id: one for one in _source(tmp_path).list()}
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, DeadLetter)}
    assert reasons == {
        "b.md": "cannot be read: No such file or directory",
        "c.md": "is no regular file",
        "\\udcff.md": "has a name that is not UTF-8; rename it",
    }
    assert isinstance(found["a.md"], Listed)
    assert found["\\udcff.md"].uri == f"file://{tmp_path}/%FF.md"


@pytest.mark.parametrize("pages", [{}, {"a.rst": "x"}, {".hidden.md": "x"}])
def test_a_folder_without_documents_is_an_error_that_names_it_and_says_what_to_do(
    pages: dict[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path, pages)
    with pytest.raises(InputError) as raised:
        list(_source(tmp_path).list())
    message = str(raised.value)
    assert message.startswith(f"{tmp_path} holds no documents (**/*.md, ")
    assert "nothing was changed" in message
    assert "--glob" in message


def test_a_source_of_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(InputError, match="there is no source 'web'; choose one of files, rows"):
        open_source(SourceSpec("web", "docs"))
