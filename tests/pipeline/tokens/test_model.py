"""Tokens of a model in a folder, against its tokenizer itself."""

import pickle
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.space import Space
from pipeline.tokens import ModelTokens, counter_for
from tests.models import DIMENSIONS, TEXTS, onnx_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return onnx_folder(tmp_path / "small")


def test_counts_are_the_tokenizers_own_without_what_it_puts_around_and_uncut(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counter = counter_for(Space("onnx", str(folder), DIMENSIONS))
    texts = [*TEXTS, "", "water " * 1000]
    assert counter.count(texts) == [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    assert counter.count(["Rivers carry water.", ""]) == [4, 0]


def test_counters_pickle_and_take_lone_surrogates(folder: Path) -> None:
    counter = pickle.loads(pickle.dumps(ModelTokens(folder / "tokenizer.json")))
    assert counter.count(["川\udcff", "water"]) == [counter.count(["川"])[0], 1]
