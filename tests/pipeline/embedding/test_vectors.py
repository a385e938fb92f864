"""An answer is used only if it is whole, and then each row has length one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.embedding.vectors import normalised
from pipeline.errors import Retryable

_NUMBERS = st.floats(-(2.0**120), 2.0**120, width=32, allow_subnormal=False)
_LARGEST = float(np.finfo(np.float32).max)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=_NUMBERS))
def test_rows_keep_their_direction_and_get_length_one_or_the_whole_answer_is_refused(
    rows: NDArray[np.float32],
) -> None:
    if not rows.any(axis=1).all():
        with pytest.raises(Retryable, match="all zeros"):
            normalised(rows, *rows.shape)
        return
    found = normalised(rows, *rows.shape)
    assert found.dtype == np.float32
    assert np.linalg.norm(found.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-6)
    largest = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    direction = rows / largest
    assert found == pytest.approx(direction / np.linalg.norm(direction, axis=1, keepdims=True), abs=1e-6)


@pytest.mark.parametrize("extreme", [1e-45, 1e-30, 1.0, _LARGEST])
def test_the_largest_and_the_smallest_numbers_neither_overflow_nor_vanish(extreme: float) -> None:
    assert normalised(np.array([[0, -extreme]], np.float32), 1, 2).tolist() == [[0, -1]]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_refuses_the_whole_answer(number: float) -> None:
    rows = np.eye(3, dtype=np.float32)
    rows[1, 2] = number
    with pytest.raises(Retryable, match="not finite") as caught:
        normalised(rows, 3, 3)
    assert caught.value.perhaps_billed


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (3, 4), (9,), (3, 3, 1), (0, 3), (3, 0)])
def test_any_other_shape_is_refused_and_both_shapes_are_named(shape: tuple[int, ...]) -> None:
    named = " x ".join(map(str, shape))
    with pytest.raises(Retryable, match=f"has {named} numbers; 3 x 3 are") as caught:
        normalised(np.ones(shape, np.float32), 3, 3)
    assert caught.value.perhaps_billed
