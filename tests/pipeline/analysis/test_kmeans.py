"""Spherical k-means: centres, and which is nearest."""

import numpy as np
import pytest

from pipeline.analysis import kmeans
from tests.pipeline.analysis.made import around


@pytest.mark.parametrize("spread", [True, False])
def test_groups_that_stand_apart_are_found(spread: bool) -> None:
    vectors = around(4, 100)
    labels, likeness = kmeans.nearest(vectors, kmeans.fit(vectors, 4 if spread else 16, spread=spread))
    groups = labels.reshape(4, 100)
    assert all(len(np.intersect1d(groups[one], groups[two])) == 0 for one in range(4) for two in range(one))
    assert likeness.min() > 0.8


def test_centres_have_length_one_and_every_vector_has_the_nearest() -> None:
    vectors = around(5, 40, spread=1.5)
    centres = kmeans.fit(vectors, 7)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    labels, likeness = kmeans.nearest(vectors, centres)
    assert np.array_equal(labels, (vectors @ centres.T).argmax(axis=1))
    assert np.allclose(likeness, (vectors @ centres.T).max(axis=1), atol=1e-6)


def test_the_same_seed_gives_the_same_centres() -> None:
    vectors = around(3, 50)
    assert np.array_equal(kmeans.fit(vectors, 3, seed=7), kmeans.fit(vectors, 3, seed=7))


def test_equal_vectors_make_no_more_groups_than_there_are_different_ones() -> None:
    vectors = np.repeat(around(2, 1), 20, axis=0)
    assert len(kmeans.fit(vectors, 5)) == 2


def test_a_row_of_zeros_stays_one() -> None:
    assert not kmeans.unit(np.zeros((1, 4), np.float32)).any()
