"""Export and import, end to end: vectors that are paid for are not paid for again."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.endpoint import MeteredEndpoint
from tests.endpoint.answers import vector
from tests.flows.inside import vecmill_here
from tests.support import OPENAI, Ran, job_for, metered, rows, run, write_pages

Captured = pytest.CaptureFixture[str]

SPACE = "openai/text-embedding-3-small@64"
TEXTS = ["Rivers carry water to the sea.", "山は高い。川は長い。", "Bread rises."]
PAGES = {
    f"{n}.md": f"# Guide {n}\n\n## 節\n\n{text}\n\n## Next\n\nMore of {n}." for n, text in enumerate(TEXTS)
}


def _json(capsys: Captured, *words: str, code: int = 0) -> Any:
    ran = vecmill_here(capsys, *words, "--json")
    assert ran.code == code, ran.err
    return ran.json


def _refused(ran: Ran, code: int) -> str:
    assert ran.code == code
    return str(ran.json["error"]["message"])


def _paid(path: Path, texts: list[str] = TEXTS, **columns: Any) -> Path:
    """A file such as people have: texts, and the endpoint's vectors of them."""
    vectors = [vector(OPENAI.model, text, OPENAI.dimensions).tolist() for text in texts]
    pq.write_table(
        pa.table({"key": list(range(len(texts))), "text": texts, "embedding": vectors, **columns}), path
    )
    return path


def _ingest(capsys: Captured, source: Path, store: str, url: str, *options: str) -> Any:
    words = ["ingest", str(source), "--table", "docs", "--store", store, "--embedding", SPACE]
    return _json(capsys, *words, "--base-url", url, *options)


def test_an_ingest_of_texts_whose_vectors_were_imported_pays_for_nothing(
    tmp_path: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    file = _paid(tmp_path / "paid.parquet")
    done = _json(capsys, "import", str(file), "--table", "docs", "--embedding", SPACE, "--store", store)
    assert done == {
        "space": SPACE, "rows": 3, "taken": 3, "known": 0, "duplicates": 0, "scaled": 0,
        "bad": {"rows": 0, "reasons": []},
    }  # fmt: skip
    with MeteredEndpoint(key="sk-test") as endpoint:
        ran = _ingest(capsys, file, store, endpoint.url, "--text", "{text}", "--id", "key")
        assert (ran["published"], ran["embedding"]["texts"], ran["embedding"]["cache_hits"]) == (True, 0, 3)
        assert endpoint.ledger.texts_billed == 0
        more = _paid(tmp_path / "paid.parquet", [*TEXTS, "One that nobody has paid for."])
        ran = _ingest(capsys, more, store, endpoint.url, "--text", "{text}", "--id", "key")
        assert (ran["embedding"]["texts"], endpoint.ledger.texts_billed) == (1, 1)


@pytest.mark.parametrize("way", ["a file", "the table"])
def test_what_one_store_has_paid_for_another_does_not_pay_for_again(
    way: str, tmp_path: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of Markdown, too: what is embedded of them has their headings in front."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    folder, other = write_pages(tmp_path / "docs", PAGES), str(tmp_path / "other")
    with MeteredEndpoint(key="sk-test") as endpoint:
        first = _ingest(capsys, folder, store, endpoint.url)
        assert endpoint.ledger.texts_billed == first["embedding"]["texts"] == 6
        if way == "a file":
            file = str(tmp_path / "docs.parquet")
            done = _json(capsys, "export", "docs", file, "--store", store)
            assert (done["chunks"], done["format"], done["version"]) == (6, "parquet", 1)
            done = _json(capsys, "import", file, "--store", other)
        else:
            words = ["--from-table", "docs", "--from-store", store, "--at", "1", "--table", "docs"]
            done = _json(capsys, "import", *words, "--store", other)
        assert (done["space"], done["taken"], done["bad"]["rows"]) == (SPACE, 6, 0)
        assert _ingest(capsys, folder, other, endpoint.url)["embedding"]["texts"] == 0
        assert endpoint.ledger.texts_billed == 6
    assert rows(other).equals(rows(store))


def test_bad_rows_are_counted_and_told_and_the_rest_goes_in(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    table = pq.read_table(_paid(tmp_path / "paid.parquet"))
    vectors = [*table["embedding"].to_pylist()[:2], [0.0] * 64]
    pq.write_table(table.set_column(2, "embedding", pa.array(vectors)), tmp_path / "paid.parquet")
    words = ["import", str(tmp_path / "paid.parquet"), "--embedding", SPACE, "--id", "key", "--store", store]
    shown = vecmill_here(capsys, *words)
    assert shown.code == 0
    assert "taken in  2 vectors of openai/text-embedding-3-small@64" in shown.out
    assert "left out  1 bad rows, such as" in shown.out
    assert "row 3 (2) has a vector of zeros" in shown.out
    done = _json(capsys, *words)
    assert (done["known"], done["bad"]) == (2, {"rows": 1, "reasons": ["row 3 (2) has a vector of zeros"]})


def test_a_file_of_nothing_but_bad_rows_is_refused(tmp_path: Path, store: str, capsys: Captured) -> None:
    file = _paid(tmp_path / "paid.parquet", [" ", ""])
    message = _refused(
        vecmill_here(capsys, "import", str(file), "--embedding", SPACE, "--store", store, "--json"), 3
    )
    assert message == f"{file} has no vector that can be used: row 1 has no text; row 2 has no text"


def test_a_space_is_asked_for_where_nobody_says_it_and_never_mixed_with_another(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    file = str(_paid(tmp_path / "paid.parquet"))
    where = ["--store", store, "--json"]
    assert "name it, --embedding provider/model@dimensions" in _refused(
        vecmill_here(capsys, "import", file, *where), 3
    )
    with MeteredEndpoint() as endpoint:
        run(job_for(write_pages(tmp_path / "docs", PAGES), store, **metered(endpoint.url)))
    words = ["import", file, "--table", "docs", *where]
    assert f"table 'docs' is of {SPACE}" in _refused(vecmill_here(capsys, *words), 3)
    message = _refused(vecmill_here(capsys, *words, "--embedding", "openai/text-embedding-3-large@64"), 3)
    assert message.startswith(
        f"table 'docs' is of the embedding space {SPACE}, the vectors are of openai/text-em"
    )
    message = _refused(vecmill_here(capsys, *words, "--embedding", "openai/text-embedding-3-small@32"), 3)
    assert "@64, the vectors are of openai/text-embedding-3-small@32" in message
    message = _refused(vecmill_here(capsys, "import", file, *where, "--embedding", "openai/m@32"), 3)
    assert "row 1 has 64 numbers, not 32" in message
    out = str(tmp_path / "out.parquet")
    assert vecmill_here(capsys, "export", "docs", out, "--store", store).code == 0
    message = _refused(vecmill_here(capsys, "import", out, *where, "--embedding", "openai/m@64"), 3)
    assert message == f"{out} says that its vectors are of {SPACE}, not of openai/m@64"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import"], "say which vectors"),
        (["import", "x.parquet", "--from-table", "docs"], "say which vectors"),
        (["import", "x.parquet", "--at", "1"], "--at goes with --from-table"),
        (["import", "--from-table", "docs", "--vector", "v"], "--vector goes with a file"),
        (["export", "docs", "s3://bucket/x.parquet"], "is no file of this machine"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(
    words: list[str], said: str, store: str, capsys: Captured
) -> None:
    assert said in _refused(vecmill_here(capsys, *words, "--store", store, "--json"), 2)
    assert not Path(store).exists()


def test_an_older_version_is_exported_by_name_and_people_are_told(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "A."})
    run(job_for(folder, store))
    run(job_for(write_pages(folder, {"b.md": "B."}), store))
    assert vecmill_here(capsys, "name", "docs", "1", "first", "--store", store).code == 0
    words = ["export", "docs", str(tmp_path / "out.arrow"), "--at", "first", "--store", store]
    said = vecmill_here(capsys, *words).out
    assert said.startswith(f"version 1 of docs is in {tmp_path / 'out.arrow'} as arrow: 1 chunks, ")
    assert "--force" in _refused(vecmill_here(capsys, *words, "--json"), 3)
    assert _json(capsys, *words, "--force")["chunks"] == 1
