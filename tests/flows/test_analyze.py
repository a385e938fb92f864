"""vecmill analyze: what the commands print, and how they end."""

from pathlib import Path
from typing import Any

import pytest

from flows.analyze import DRIFTED
from tests.flows.inside import vecmill_here
from tests.support import job_for, run, write_pages

Captured = pytest.CaptureFixture[str]

_RIVERS = ["The river floods the meadow.", "After rain the river is high.", "A bridge crosses the river."]
_STARS = ["流星群は夜空に見えます。", "望遠鏡で夜空の星座を見ます。", "夜空の星座は季節で変わります。"]


def _pages(kind: str, texts: list[str], copies: int = 7) -> dict[str, str]:
    return {
        f"{kind}/{number}-{copy}.md": f"{text} {copy}"
        for number, text in enumerate(texts)
        for copy in range(copies)
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """English pages, and from the second version on Japanese ones beside them."""
    base = tmp_path_factory.mktemp("analyze")
    folder = write_pages(base / "docs", _pages("en", _RIVERS))
    run(job_for(folder, str(base / "store")))
    run(job_for(write_pages(folder, _pages("ja", _STARS)), str(base / "store")))
    return str(base / "store")


def _json(capsys: Captured, store: str, *words: str, code: int = 0) -> Any:
    ran = vecmill_here(capsys, "analyze", *words, "--store", store, "--json")
    assert ran.code == code, ran.err
    return ran.json


def test_clusters_part_two_languages_and_name_both(store: str, capsys: Captured) -> None:
    found = _json(capsys, store, "clusters", "docs", "--k", "2")
    assert [one["chunks"] for one in found["clusters"]] == [21, 21]
    words = [{*one["terms"]["english"], *one["terms"]["japanese"]} for one in found["clusters"]]
    assert any("river" in one and "夜空" not in one for one in words)
    assert any("夜空" in one and "river" not in one for one in words)
    shown = vecmill_here(capsys, "analyze", "clusters", "docs", "--k", "2", "--store", store).out
    assert "2 groups in version 2 of docs" in shown
    assert "夜空" in shown


def test_duplicates_are_told_with_their_recall(store: str, capsys: Captured) -> None:
    found = _json(capsys, store, "duplicates", "docs", "--threshold", "0.8")
    assert (found["recall"], found["exact"]) == (1.0, 0)
    assert found["groups"] > 0
    shown = vecmill_here(capsys, "analyze", "duplicates", "docs", "--threshold", "0.8", "--store", store).out
    assert f"recall  1.000, of {found['sampled']} texts that were compared with all" in shown


def test_drift_to_another_language_ends_with_a_code_of_its_own(store: str, capsys: Captured) -> None:
    found = _json(capsys, store, "drift", "docs", "1", "2", code=DRIFTED)
    assert found["alarm"]
    assert found["new"]["documents_after"] == 21
    ran = vecmill_here(capsys, "analyze", "drift", "docs", "1", "--store", store)
    assert ran.code == DRIFTED
    assert "alarm: what is new in version 2 differs by" in ran.out
    assert not _json(capsys, store, "drift", "docs", "1", "1")["alarm"]


def test_windows_of_time_are_sides_of_a_comparison(store: str, capsys: Captured) -> None:
    versions = vecmill_here(capsys, "versions", "docs", "--store", store, "--json").json
    first = versions[1]["published_at"]
    found = _json(capsys, store, "drift", "docs", f"..{first}", f"{first}..", code=DRIFTED)
    assert (found["whole"]["chunks_before"], found["whole"]["chunks_after"]) == (21, 21)
    ran = vecmill_here(capsys, "analyze", "drift", "docs", "then..now", "--store", store)
    assert (ran.code, "'then' is no time" in ran.err) == (2, True)


def test_outliers_are_told_by_a_reference(store: str, capsys: Captured) -> None:
    found = _json(capsys, store, "outliers", "docs", "--reference", "1", "--most", "5")
    assert {one["doc_id"][:2] for one in found["furthest"]} == {"ja"}
    assert found["beyond"] >= 21
    by_condition = _json(capsys, store, "outliers", "docs", "--reference-where", "doc_id like 'ja/%'")
    assert by_condition["furthest"][0]["doc_id"].startswith("en/")


def test_coverage_tells_languages_by_folder(store: str, capsys: Captured) -> None:
    assert [
        (row["source"], row["documents"], row["languages"])
        for row in _json(capsys, store, "coverage", "docs")
    ] == [
        ("en", 21, {"en": 1.0}),
        ("ja", 21, {"ja": 1.0}),
    ]
    assert "ja 100.0%" in vecmill_here(capsys, "analyze", "coverage", "docs", "--store", store).out


def test_a_condition_chooses_the_chunks(store: str, capsys: Captured) -> None:
    [row] = _json(capsys, store, "coverage", "docs", "--where", "doc_id like 'ja/%'")
    assert row["chunks"] == 21
    ran = vecmill_here(capsys, "analyze", "clusters", "docs", "--where", "tokens > 9999", "--store", store)
    assert (ran.code, "there is nothing to analyse" in ran.err) == (3, True)


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1) union select * from read_text('/etc/hostname') --",
        "doc_id in (select 1)",
        "getenv('HOME') = ''",
    ],
)
def test_a_condition_reaches_nothing_but_the_row(store: str, capsys: Captured, where: str) -> None:
    for what in ("clusters", "duplicates", "outliers", "coverage"):
        ran = vecmill_here(capsys, "analyze", what, "docs", "--where", where, "--store", store)
        assert (ran.code, "--where" in ran.err) == (3, True)


@pytest.mark.slow
def test_a_map_is_written_as_a_page_and_as_a_picture(store: str, capsys: Captured, tmp_path: Path) -> None:
    html, png = tmp_path / "map.html", tmp_path / "map.png"
    words = (
        "analyze",
        "map",
        "docs",
        "--html",
        str(html),
        "--png",
        str(png),
        "--method",
        "pca",
        "--store",
        store,
    )
    ran = vecmill_here(capsys, *words)
    assert ran.code == 0
    assert "map.html shows 42 of 42 chunks by pca" in ran.out
    assert "夜空" in html.read_text("utf-8")
    assert png.stat().st_size > 10_000
    points = _json(capsys, store, "map", "docs", "--method", "pca")["points"]
    assert {point["doc_id"][:2] for point in points} == {"en", "ja"}
    ran = vecmill_here(capsys, "analyze", "map", "docs", "--store", store)
    assert (ran.code, "say where to" in ran.err) == (2, True)
    ran = vecmill_here(
        capsys, "analyze", "map", "docs", "--html", str(tmp_path / "no" / "x"), "--store", store
    )
    assert (ran.code, "cannot be written" in ran.err) == (3, True)


_CATEGORIES = ("--category", "water: river, rain and meadow", "--category", "sky: 夜空の星座、流星群")


def test_chunks_are_dealt_out_among_categories(store: str, capsys: Captured) -> None:
    found = _json(capsys, store, "classify", "docs", *_CATEGORIES, "--documents")
    assert found["classes"] == {"water": 21, "sky": 21}
    assert {(row["doc_id"][:2], row["label"]) for row in found["rows"]} == {("en", "water"), ("ja", "sky")}
    shown = vecmill_here(capsys, "analyze", "classify", "docs", *_CATEGORIES, "--store", store).out
    assert "least sure" in shown


def test_a_cascade_is_learned_on_a_labelled_sample(store: str, capsys: Captured, tmp_path: Path) -> None:
    doc_ids = [*_pages("en", _RIVERS), *_pages("ja", _STARS)]
    lines = [f"{doc_id},{'water' if doc_id[:2] == 'en' else 'sky'}" for doc_id in doc_ids]
    (tmp_path / "labels.csv").write_text("\n".join(["doc_id,label", *lines]), "utf-8")
    words = ("classify", "docs", *_CATEGORIES, "--steps", "16", "--labelled", str(tmp_path / "labels.csv"))
    found = _json(capsys, store, *words)
    assert found["classes"] == {"water": 21, "sky": 21}
    assert found["cascade"]["accuracy"] == 1.0
    assert found["dimensions"] < 64
    assert "a cascade compares" in vecmill_here(capsys, "analyze", *words, "--store", store).out
    (tmp_path / "labels.csv").write_text("doc_id,label\nen/0-0.md,fire\n", "utf-8")
    ran = vecmill_here(capsys, "analyze", *words, "--store", store)
    assert (ran.code, "'fire', which is no --category" in ran.err) == (3, True)
    ran = vecmill_here(capsys, "analyze", *words[:-2], "--store", store)
    assert (ran.code, "go together" in ran.err) == (2, True)


def test_documents_are_recommended_by_a_text_and_by_what_was_read(store: str, capsys: Captured) -> None:
    by_text = _json(capsys, store, "recommend", "docs", "--like", "流星群と星座", "--most", "3")
    assert {row["doc_id"][:2] for row in by_text} == {"ja"}
    read = ("--item", "en/0-0.md", "--item", "en/0-1.md", "--seen", "en/0-2.md")
    found = [row["doc_id"] for row in _json(capsys, store, "recommend", "docs", *read, "--most", "4")]
    assert all(doc_id.startswith("en/") for doc_id in found)
    assert not {"en/0-0.md", "en/0-1.md", "en/0-2.md"} & set(found)
    assert "because" in vecmill_here(capsys, "analyze", "recommend", "docs", *read, "--store", store).out


def test_each_analysis_draws_its_picture_where_it_is_asked_for(
    store: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, tuple[str, ...]] = {
        "clusters": ("docs", "--k", "2"),
        "drift": ("docs", "1"),
        "coverage": ("docs",),
        "classify": ("docs", "--category", "river", "--category", "星座"),
    }
    for what, words in asked.items():
        png = tmp_path / f"{what}.png"
        _json(capsys, store, what, *words, "--png", str(png), code=DRIFTED if what == "drift" else 0)
        assert png.read_bytes().startswith(b"\x89PNG"), what
    monkeypatch.setattr("pipeline.analysis.picture.find_spec", lambda name: None)
    ran = vecmill_here(capsys, "analyze", "clusters", "nope", "--png", "x.png", "--store", store)
    assert (ran.code, "a PNG needs an extra" in ran.err) == (3, True)
