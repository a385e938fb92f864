"""Named queries: coverage, outliers, recommendations."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.kmeans import unit
from pipeline.analysis.outliers import outliers
from pipeline.analysis.population import Population
from pipeline.analysis.queries import QUERIES
from pipeline.analysis.recommend import recommend
from pipeline.errors import InputError
from tests.pipeline.analysis.made import around, made

_TEXTS = {
    "en/a.md": "The river is high after the rain, and it floods this meadow.",
    "en/b.md": "fn main() { let x = 1; }",
    "ja/a.md": "大雨のあと、川の水は牧草地にあふれます。",
    "ja/b.md": "# 使い方\n\nThis is `vecmill`: 文書をベクトルにするツールです。",
    "zh.txt": "河水在大雨之后上涨。",
    "ko.txt": "비가 온 뒤에 강물이 불어난다.",
    "ru.txt": "После дождя река поднимается.",
    "figures.txt": "1, 2, 3",
}


def test_coverage_tells_sources_sizes_and_languages(tmp_path: Path) -> None:
    names = [*_TEXTS, "en/a.md"]
    population = made(tmp_path, around(9, 1), [*_TEXTS.values(), "And this is the end of it."], names)
    by_language = {row["source"]: row for row in QUERIES["coverage"].rows(population, by="language")}
    assert {name: row["chunks"] for name, row in by_language.items()} == {
        "en": 2,
        "ja": 2,
        "other": 1,
        "zh": 1,
        "ko": 1,
        "cyrillic": 1,
        "none": 1,
    }
    by_folder = QUERIES["coverage"].rows(population, by="folder")
    assert [(row["source"], row["documents"], row["chunks"]) for row in by_folder] == [
        ("", 4, 4),
        ("en", 2, 3),
        ("ja", 2, 2),
    ]
    assert by_folder[1]["languages"] == {"en": 0.667, "other": 0.333}
    sizes = [len(_TEXTS["en/a.md"]) + 26, len(_TEXTS["en/b.md"])]
    assert (by_folder[1]["tokens"], by_folder[1]["tokens_a_document"]) == (sum(sizes), round(sum(sizes) / 2))
    by_kind = QUERIES["coverage"].rows(population, by="extension")
    assert [(row["source"], row["documents"]) for row in by_kind] == [("md", 4), ("txt", 4)]


@pytest.mark.parametrize("by", ["nothing", 'a"b', "'; drop table chunks; --", "$.*"])
def test_what_no_chunk_has_is_one_source_without_a_name(tmp_path: Path, by: str) -> None:
    [row] = QUERIES["coverage"].rows(made(tmp_path, around(3, 1)), by=by)
    assert (row["source"], row["chunks"]) == ("", 3)


def test_the_outlier_is_what_is_furthest_from_the_reference(tmp_path: Path) -> None:
    vectors = around(1, 40, spread=0.2)
    odd = np.concatenate([vectors[:20], -vectors[:1], vectors[20:]])
    found = outliers(made(tmp_path, odd), made(tmp_path, vectors), quantile=0.9, most=3)
    centre = unit(vectors.mean(axis=0, keepdims=True))[0]
    assert found.furthest[0].doc_id == "doc-20.md"
    assert found.furthest[0].distance == pytest.approx(1 - float(-vectors[0] @ centre), abs=1e-4)
    assert found.furthest[0].deviations > 20
    distances = 1 - vectors @ centre
    assert found.bound == pytest.approx(float(np.quantile(distances, 0.9)), abs=1e-4)
    assert (found.beyond, found.chunks, len(found.furthest)) == (1 + (distances > found.bound).sum(), 41, 3)


def test_several_centres_take_in_what_one_would_call_an_outlier(tmp_path: Path) -> None:
    population = made(tmp_path, around(3, 30, spread=0.1))
    assert outliers(population, k=3).furthest[0].distance < 0.05
    assert outliers(population, k=1).furthest[0].distance > 0.2


@pytest.mark.parametrize("values", [{"quantile": 0.0}, {"quantile": 1.0}, {"most": 0}, {"k": 0}])
def test_outliers_that_make_no_sense_are_refused(tmp_path: Path, values: dict[str, float]) -> None:
    with pytest.raises(InputError):
        outliers(made(tmp_path, around(2, 5)), **values)  # type: ignore[arg-type]


def test_two_spaces_have_no_outliers_of_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vectors of two spaces"):
        outliers(made(tmp_path, around(2, 5)), made(tmp_path, around(2, 5, dimensions=8)))


@pytest.fixture
def shelf(tmp_path: Path) -> Population:
    """Three topics of ten documents with two chunks each."""
    doc_ids = [f"{topic}-{number // 2}" for topic in "abc" for number in range(20)]
    return made(tmp_path, around(3, 20, spread=0.3), doc_ids=doc_ids)


def test_items_are_recommended_by_an_item_and_by_a_history(shelf: Population) -> None:
    like_one = recommend(shelf, {}, ["a-0"], most=9)
    assert {row["doc_id"][0] for row in like_one} == {"a"}
    assert len({row["doc_id"] for row in like_one}) == 9
    assert "a-0" not in {row["doc_id"] for row in like_one}
    scores = [row["score"] for row in like_one]
    assert scores == sorted(scores, reverse=True)
    mixed = recommend(shelf, {}, ["a-0", "b-0"], most=18)
    assert {row["because"][0] for row in mixed} == {"a", "b"}
    assert all(row["doc_id"][0] == row["because"][0] for row in mixed)


def test_what_was_seen_is_left_out(shelf: Population) -> None:
    first = recommend(shelf, {}, ["a-0"], most=3)
    seen = [row["doc_id"] for row in first]
    assert not {row["doc_id"] for row in recommend(shelf, {}, ["a-0"], seen, most=5)} & {*seen, "a-0"}


def test_a_text_recommends_the_documents_with_the_nearest_chunk(shelf: Population) -> None:
    vector = shelf.vectors(np.array([45]))[0]
    [best] = recommend(shelf, {"about c": vector}, most=1)
    assert (best["doc_id"], best["because"], best["text"]) == ("c-2", "about c", "text 45")
    assert best["score"] == pytest.approx(1, abs=1e-5)


def test_recommendations_without_anything_to_go_by_are_refused(shelf: Population) -> None:
    with pytest.raises(InputError, match="say what to recommend by"):
        recommend(shelf, {})
    with pytest.raises(InputError, match="has no document 'nope'"):
        recommend(shelf, {}, ["nope"])
    with pytest.raises(InputError, match="ask for at least 1"):
        recommend(shelf, {}, ["a-0"], most=0)
