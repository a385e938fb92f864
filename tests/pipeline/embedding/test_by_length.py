"""Batches by length: every text once, little padding, and never more than asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedding.by_length import by_length, padded

_LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(_LENGTHS, st.integers(0, 2000))
def test_each_text_is_in_one_batch_that_keeps_to_the_bound_unless_it_stands_alone(
    lengths: list[int], most: int
) -> None:
    batches = list(by_length(lengths, most))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= most


@given(_LENGTHS, st.integers(600, 2000))
def test_texts_go_from_long_to_short_and_batches_are_as_full_as_they_can_be(
    lengths: list[int], most: int
) -> None:
    batches = list(by_length(lengths, most))
    order = [lengths[place] for batch in batches for place in batch]
    assert order == sorted(lengths, reverse=True)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > most


def test_a_bound_of_nothing_is_one_text_at_a_time() -> None:
    assert [batch.tolist() for batch in by_length([3, 5, 4], 0)] == [[1], [2], [0]]


def test_rows_are_filled_up_with_the_padding_token_which_the_mask_leaves_out() -> None:
    tokens, mask = padded([[5, 6, 7], [8]], 9)
    np.testing.assert_array_equal(tokens, [[5, 6, 7], [8, 9, 9]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert tokens.dtype == mask.dtype == np.int64
