"""The documents that a table holds, as a source."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.job import SourceSpec
from pipeline.model import Document, Listed
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.held import HELD, REBUILT, HeldDocuments, source_of
from pipeline.store.generations import begin
from pipeline.store.log import Log
from tests.backfills import filling_job
from tests.pipeline.stages.steps import begin as begin_run
from tests.support import job_for, run, write_pages

_PAGES = {
    "a.md": "# A\n\nRivers carry water. They carry sand.\n\n\nThey end in the sea.\n",
    "b.md": "# 山\n\n山は高い。雪は白い。",
    "c.md": "# C\n\nOne line.  \n\n\tAn odd one.\n\n\n",
}


@pytest.fixture
def folder(tmp_path: Path, store: str) -> Path:
    folder = write_pages(tmp_path / "docs", _PAGES)
    run(job_for(folder, store))
    return folder


def _source(store: str, **changes: Any) -> HeldDocuments:
    job = filling_job(store, **changes)
    begin(Objects(store), "docs", str(job.generation), job.space, job.splitter, job.run_id)
    source = source_of(begin_run(job))
    assert isinstance(source, HeldDocuments)
    return source


def _read(source: HeldDocuments) -> dict[str, Document]:
    listed = [one for one in source.list() if isinstance(one, Listed)]
    return {one.doc_id: one for one in source.read(listed) if isinstance(one, Document)}


def test_documents_are_listed_as_the_table_has_them_and_read_as_they_were(folder: Path, store: str) -> None:
    source = _source(store)
    found = _read(source)
    assert {name: document.text for name, document in found.items()} == _PAGES
    assert source.context.staging.read_json(HELD) == {"version": 1}
    assert source.context.staging.read_json(REBUILT) == []


def test_a_version_stays_the_one_that_was_listed(folder: Path, store: str) -> None:
    source = _source(store)
    listed = [one for one in source.list() if isinstance(one, Listed)]
    (folder / "b.md").write_text("# 変わった", "utf-8")
    run(job_for(folder, store))
    texts = {one.doc_id: one.text for one in source.read(listed) if isinstance(one, Document)}
    assert texts["b.md"] == _PAGES["b.md"]


def test_what_is_gone_is_put_together_and_is_exact_where_its_hash_says_so(folder: Path, store: str) -> None:
    tokens = {one.doc_id: one.token for one in _source(store).list() if isinstance(one, Listed)}
    for name in _PAGES:
        (folder / name).unlink()
    folder.rmdir()
    source = _source(store)
    found = _read(source)
    assert source.context.staging.read_json(REBUILT) == ["c.md"]
    assert found["a.md"].text == _PAGES["a.md"]
    assert (found["b.md"].text, found["b.md"].token) == (_PAGES["b.md"], tokens["b.md"])
    assert "".join(found["c.md"].text.split()) == "".join(_PAGES["c.md"].split())
    assert found["c.md"].token == "rebuilt:" + tokens["c.md"]


def test_rows_are_found_again_by_the_template_that_made_them(tmp_path: Path, store: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id,title,body,lang\n1,River,It rose.,en\n2,川,増水した。,ja\n", "utf-8")
    spec = SourceSpec("rows", str(file), text="{title}: {body}", id="id")
    run(job_for(spec, store, splitter=SplitterSpec("recursive", 64, prefix_headings=False)))
    found = _read(_source(store))
    assert {name: one.text for name, one in found.items()} == {"1": "River: It rose.", "2": "川: 増水した。"}
    assert found["2"].metadata == '{"lang":"ja"}'


def test_html_is_read_as_it_stands_for_the_splitter_that_cuts_it(tmp_path: Path, store: str) -> None:
    page = "<html><body><h1>River</h1><p>It rose by three inches.</p></body></html>"
    run(job_for(write_pages(tmp_path / "docs", {"a.html": page}), store))
    text = _read(_source(store))["a.html"].text
    assert "<p>" not in text
    raw = _read(_source(store, splitter=SplitterSpec("html", 64)))["a.html"]
    assert raw.text == page


def test_a_filter_finds_documents_by_their_chunks_and_what_is_filled_stays_listed(
    folder: Path, store: str
) -> None:
    from tests.backfills import fill

    fill(filling_job(store, where="text like '%sea%'"))
    job = filling_job(store, where="text like '%山%'")
    context = replace(begin_run(job), live=Log(Objects(store), "docs", job.generation).live())
    listed = [one.doc_id for one in HeldDocuments(context).list() if isinstance(one, Listed)]
    assert listed == ["a.md", "b.md"]
