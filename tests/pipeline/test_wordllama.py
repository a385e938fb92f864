"""The embedded model's files: found, the right ones, and as the rest takes them to be."""

import numpy as np
import pytest

from pipeline import wordllama
from pipeline.errors import InputError


def test_there_is_one_finite_row_of_weights_for_each_token() -> None:
    weights = wordllama.weights()
    assert weights.shape == (wordllama.tokenizer().get_vocab_size(), max(wordllama.DIMENSIONS))
    assert weights.dtype == np.float32
    assert np.isfinite(weights).all()


def test_the_tokenizer_neither_pads_nor_cuts_nor_adds() -> None:
    texts = ["water", " ".join(["water"] * 5000), ""]
    encodings = wordllama.tokenizer().encode_batch_fast(texts, add_special_tokens=False)
    assert [len(encoding) for encoding in encodings] == [1, 5000, 0]


def test_both_files_are_read_once() -> None:
    assert wordllama.weights() is wordllama.weights()
    assert wordllama.tokenizer() is wordllama.tokenizer()


def test_a_file_that_is_not_the_models_is_refused_with_both_checksums() -> None:
    name, sha256 = wordllama._TOKENIZER
    with pytest.raises(
        InputError, match=rf"{name}.*sha256 {sha256[:12]}…, not 0000.*wordllama==0\.4\.0\.post1"
    ):
        wordllama._read(name, "0" * 64)


def test_a_missing_file_says_which_package_to_install() -> None:
    with pytest.raises(InputError, match=r"install the package wordllama==0\.4\.0\.post1"):
        wordllama._read("weights/none.safetensors", "0" * 64)
