"""Two dimensions out of many: near vectors lie near one another."""

import sys

import numpy as np
import pytest

from pipeline.analysis.projection import pca, project
from pipeline.errors import InputError
from tests.pipeline.analysis.made import around


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_lie_apart(method: str) -> None:
    points, used = project(around(3, 40), method)
    assert used == method
    assert points.min() >= 0
    assert points.max() <= 1
    assert max(np.ptp(points, axis=0)) == pytest.approx(1, abs=1e-5)
    groups = points.reshape(3, 40, 2)
    middles = groups.mean(axis=1)
    within = max(
        np.linalg.norm(group - middle, axis=1).mean() for group, middle in zip(groups, middles, strict=True)
    )
    across = min(np.linalg.norm(middles[a] - middles[b]) for a in range(3) for b in range(a))
    assert across > 2 * within


def test_principal_components_are_those_of_the_singular_value_decomposition() -> None:
    vectors = around(4, 25, spread=1.0)
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = (vectors - vectors.mean(axis=0)) @ axes[:3].T
    assert np.allclose(np.abs(pca(vectors, 3)), np.abs(expected), atol=1e-4)


def test_without_the_extra_auto_takes_pca_and_tsne_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    assert project(around(2, 20))[1] == "pca"
    with pytest.raises(InputError, match=r"pip install 'vecmill\[analysis\]'"):
        project(around(2, 20), "tsne")


def test_few_points_are_laid_out_by_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    assert project(around(1, 2))[1] == "pca"
    with pytest.raises(InputError, match="at least 10 points, not 4"):
        project(around(1, 4), "tsne")
    with pytest.raises(InputError, match="choose one of auto, tsne, pca"):
        project(around(1, 4), "umap")
