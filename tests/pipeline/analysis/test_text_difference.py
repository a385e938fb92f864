"""How a document's text differs, from the chunks that two versions hold of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.analysis.text_difference import text_difference
from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.versions import entry_at
from tests.support import job_for, run, write_pages

Changed = Callable[..., list[str]]

_LONG = "\n\n".join(
    f"Paragraph {n} says this. It has a second sentence. 第{n}段落は日本語です。次の文もあります。"
    for n in range(30)
)


@pytest.fixture
def changed(tmp_path: Path, store: str) -> Changed:
    """Publish a text, then another; gives the lines by which they differ."""

    def changed(old: str, new: str, name: str = "a.md", **options: Any) -> list[str]:
        for text in (old, new):
            write_pages(tmp_path / "docs", {name: text, "z.md": f"Something else: {text[:4]}"})
            run(job_for(tmp_path / "docs", store, **options))
        return _lines(store, name)

    return changed


def _lines(store: str, doc_id: str, before: int = 1, after: int = 2) -> list[str]:
    objects = Objects(store)
    old, new = (entry_at(objects, "docs", at) for at in (before, after))
    return text_difference(objects, "docs", doc_id, old, new)


def test_a_japanese_paragraph_differs_by_its_sentences(changed: Changed) -> None:
    old = "# 川\n\n春の川は浅い。夏の川は深い。石の橋がある。「渡れますか。」と聞かれた。"
    assert changed(old, old.replace("夏の川は深い", "夏の川はとても深い"), "川.md") == [
        "--- 川.md@1",
        "+++ 川.md@2",
        "@@ -1,6 +1,6 @@",
        " # 川",
        " 春の川は浅い。",
        "-夏の川は深い。",
        "+夏の川はとても深い。",
        " 石の橋がある。",
        " 「渡れますか。」",
        " と聞かれた。",
    ]


def test_english_lines_and_code_differ_as_diff_shows_them(changed: Changed) -> None:
    old = "# Tea\n\nBoil water. Wait.\n\n```\nif hot:\n    pour()\n```\n"
    assert changed(
        old, old.replace("Wait.", "Wait a minute.").replace("    pour()", "    pour()\n    sip()")
    ) == [
        "--- a.md@1",
        "+++ a.md@2",
        "@@ -1,7 +1,8 @@",
        " # Tea",
        " Boil water.",
        "-Wait.",
        "+Wait a minute.",
        " ```",
        " if hot:",
        "     pour()",
        "+    sip()",
        " ```",
    ]


@pytest.mark.parametrize("kind", ["markdown", "recursive", "fixed", "sentence"])
@pytest.mark.parametrize("overlap", [0, 4])
def test_where_chunks_are_cut_makes_no_difference(changed: Changed, kind: str, overlap: int) -> None:
    new = "A new first line.\n\n" + _LONG.replace("Paragraph 17 says this", "Paragraph 17 says that")
    splitter = SplitterSpec(kind=kind, max_tokens=32, overlap_tokens=overlap)
    lines = changed(_LONG, new, splitter=splitter)
    altered = [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]
    if kind == "fixed":  # it cuts within sentences, and of one that was cut only the parts are known
        assert altered[0] == "+A new first line."
        assert sum("17" in line for line in altered) >= 2
    else:
        assert altered == ["+A new first line.", "-Paragraph 17 says this.", "+Paragraph 17 says that."]


def test_a_document_of_one_version_is_all_new_or_all_gone(
    changed: Changed, tmp_path: Path, store: str
) -> None:
    changed("One. Two.", "One. Two. Three.")
    write_pages(tmp_path / "docs", {"it's new.md": "一。二。"})
    run(job_for(tmp_path / "docs", store))
    assert _lines(store, "it's new.md", 2, 3)[2:] == ["@@ -0,0 +1,2 @@", "+一。", "+二。"]
    assert _lines(store, "it's new.md", 3, 2)[2:] == ["@@ -1,2 +0,0 @@", "-一。", "-二。"]


def test_the_same_text_has_no_lines_and_an_unknown_document_is_refused(changed: Changed, store: str) -> None:
    assert changed("One.", "Two.") != []
    assert _lines(store, "a.md", 2, 2) == []
    with pytest.raises(
        InputError, match=r"neither version 1 nor version 2 of table 'docs' has a document 'no\.md'"
    ):
        _lines(store, "no.md")


def test_changed_metadata_is_seen(tmp_path: Path, store: str) -> None:
    path = tmp_path / "rows.csv"
    for author in ("Ann", "花子"):
        path.write_text(f"id,body,author\n1,Same text.,{author}\n", "utf-8")
        run(job_for(SourceSpec("rows", str(path), text="body", id="id"), store))
    lines = _lines(store, "1")
    assert [line for line in lines if line[0] in "-+"][2:] == ["-author: Ann", "+author: 花子"]
