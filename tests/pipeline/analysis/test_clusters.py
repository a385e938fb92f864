"""Clusters: how many there are, and what each is about."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.analysis.clusters import clusters, silhouettes
from pipeline.analysis.terms import terms
from pipeline.errors import InputError
from tests.pipeline.analysis.made import around, made

_RIVERS = "The river is high after rain and the river meadow floods"
_STARS = "流星群は夜に見える。望遠鏡で星座を観測する。"
_ROADS = "Road works close the bridge and the road"


def test_the_number_of_groups_is_found_out(tmp_path: Path) -> None:
    found = clusters(made(tmp_path, around(5, 60)))
    assert found.k == 5
    assert [one.chunks for one in found.clusters] == [60] * 5
    assert max(found.silhouettes, key=found.silhouettes.__getitem__) == 5
    assert found.record()["silhouettes"]["5"] > 0.5


def test_a_group_has_its_size_its_middle_and_its_terms(tmp_path: Path) -> None:
    vectors = around(3, 40)
    texts = [f"{words} {number}" for words in (_RIVERS, _STARS, _ROADS) for number in range(40)]
    population = made(tmp_path, vectors[:110], texts[:110])
    found = clusters(population, 3)
    assert [(one.chunks, round(one.share, 3)) for one in found.clusters] == [
        (40, 0.364),
        (40, 0.364),
        (30, 0.273),
    ]
    for one in found.clusters:
        first = next(n for n in (0, 40, 80) if texts[n][:5] == one.text[:5])
        mine = vectors[first : first + one.chunks]
        middle = mine.sum(axis=0) / np.linalg.norm(mine.sum(axis=0))
        assert one.text == texts[first + int((mine @ middle).argmax())]
        assert one.likeness == pytest.approx(float((mine @ middle).mean()), abs=1e-4)
    told = {one.text[:4]: one.terms for one in found.clusters}
    assert "river" in told["The "].english
    assert "road" in told["Road"].english
    assert {"流星群", "望遠鏡", "星座"} <= set(told["流星群は"].japanese)
    assert not told["流星群は"].english


@pytest.mark.parametrize("k", [0, -1, 31])
def test_a_number_of_groups_that_cannot_be_is_refused(tmp_path: Path, k: int) -> None:
    with pytest.raises(InputError, match="it must be 1 to 30, the number of chunks"):
        clusters(made(tmp_path, around(3, 10)), k)


def test_a_single_chunk_is_a_group(tmp_path: Path) -> None:
    [one] = clusters(made(tmp_path, around(1, 1))).clusters
    assert (one.chunks, one.share) == (1, 1.0)


def test_silhouettes_are_those_of_their_definition() -> None:
    vectors = around(3, 8, spread=0.8)
    from pipeline.analysis import kmeans

    labels, _ = kmeans.nearest(vectors, kmeans.fit(vectors, 3))
    distances = 1 - vectors @ vectors.T
    found = []
    for at, label in enumerate(labels):
        own = [distances[at, other] for other in np.flatnonzero(labels == label) if other != at]
        near = min(distances[at, labels == other].mean() for other in set(labels.tolist()) - {label})
        found.append((near - np.mean(own)) / max(near, np.mean(own)) if own else 0)
    assert silhouettes(vectors)[3] == pytest.approx(float(np.mean(found)), abs=1e-4)


def test_words_of_grammar_and_of_all_groups_are_no_terms() -> None:
    texts = pa.array(["the bridge is a bridge of vecmill"] * 5 + ["the meadow is a meadow of vecmill"] * 5)
    found = terms(texts, np.repeat([0, 1], 5))
    assert found[0].english == ("bridge",)
    assert found[1].english == ("meadow",)
