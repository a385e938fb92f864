"""Which model a space means: the same on every machine, and no other under its name."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.local_models import fitting, identified, open_model
from pipeline.space import Space
from tests.models import DIMENSIONS, onnx_folder, write_json


def _space(folder: Path, **changes: Any) -> Space:
    return Space("onnx", str(folder), DIMENSIONS, **changes)


def test_a_space_is_the_same_wherever_its_folder_lies(tmp_path: Path) -> None:
    here = onnx_folder(tmp_path / "here" / "small")
    there = Path(shutil.copytree(here, tmp_path / "there" / "small"))
    one, other = identified(_space(here)), identified(_space(there))
    assert one.name == other.name == f"onnx/small@{DIMENSIONS}"
    assert one == other
    assert one.fingerprint == other.fingerprint
    assert one.folder != other.folder
    assert open_model(one).graph == here / "model.onnx"


def test_a_space_that_is_identified_stays_as_it_is(tmp_path: Path) -> None:
    space = identified(_space(onnx_folder(tmp_path / "small")))
    assert identified(space) is space
    assert identified(Space("openai", "any", 3)) == Space("openai", "any", 3)


def _other_weights(folder: Path) -> None:
    onnx_folder(folder, seed=2)


def _other_words(folder: Path) -> None:
    words = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    words["normalizer"]["lowercase"] = False
    write_json(folder, "tokenizer.json", words)


def _data_beside(folder: Path) -> None:
    (folder / "model.onnx_data").write_bytes(b"weights")


@pytest.mark.parametrize("change", [_other_weights, _other_words, _data_beside])
def test_another_content_is_another_space_under_the_same_name(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = onnx_folder(tmp_path / "small")
    before = identified(_space(folder))
    change(folder)
    after = identified(_space(folder))
    assert (before.name, before.pooling) == (after.name, after.pooling)
    assert before.fingerprint != after.fingerprint
    with pytest.raises(InputError, match=rf"another model than .*\({after.weights}, not {before.weights}\)"):
        open_model(before)


def test_what_changes_no_vector_changes_no_space(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small")
    before = identified(_space(folder))
    (folder / "README.md").write_text("# Small", "utf-8")
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": 32})
    assert identified(_space(folder)) == before


def test_pooling_is_part_of_the_space_as_said_or_as_found(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small", pooling="cls")
    assert identified(_space(folder)).pooling == "cls"
    assert identified(_space(folder, pooling="mean")).pooling == "mean"
    assert identified(_space(folder)).fingerprint != identified(_space(folder, pooling="mean")).fingerprint


def test_a_graph_may_lie_in_a_folder_below_or_have_a_name_of_its_own(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small")
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    shutil.copy(folder / "onnx" / "model.onnx", folder / "onnx" / "model_int8.onnx")
    below, own = identified(_space(folder)), identified(_space(folder / "onnx" / "model_int8.onnx"))
    assert (below.model, own.model) == ("small", "small/model_int8")
    assert open_model(own).path == open_model(below).path == folder


def test_a_relative_folder_and_one_in_the_home_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_folder(tmp_path / "models" / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for said in ("models/small", "~/models/small"):
        found = identified(Space("onnx", said, DIMENSIONS))
        assert (found.model, found.folder) == ("small", str(tmp_path / "models" / "small" / "model.onnx"))


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("model.onnx", r"has no model.onnx; an ONNX model is a folder with tokenizer.json, and model.onnx"),
        ("tokenizer.json", r"is no whole model, it has no tokenizer.json; an ONNX model is"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused_with_what_is_missing(
    tmp_path: Path, gone: str, said: str
) -> None:
    folder = onnx_folder(tmp_path / "small")
    (folder / gone).unlink()
    with pytest.raises(InputError, match=said):
        identified(_space(folder))


def test_a_model_that_is_not_there_is_refused_with_what_to_say(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the model is not at .*/none; say where it is: --embedding onnx/F"):
        identified(_space(tmp_path / "none"))
    space = identified(_space(onnx_folder(tmp_path / "small")))
    with pytest.raises(InputError, match=r"onnx/small@16: the model is not at .*/moved; say where it is"):
        open_model(replace(space, folder=str(tmp_path / "moved")))


def test_a_missing_extra_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = onnx_folder(tmp_path / "small")
    with pytest.raises(InputError) as caught:
        identified(_space(folder))
    assert str(caught.value) == (
        f"onnx/{folder}@16 needs the package onnxruntime; install it with pip install 'vecmill[onnx]', "
        "or uv sync --extra onnx"
    )
    assert caught.value.exit_code == 3
    with pytest.raises(InputError, match=r"sentence-transformers; .*'vecmill\[sentence-transformers\]'"):
        identified(Space("sentence-transformers", "intfloat/multilingual-e5-small", 384))


@pytest.mark.parametrize("model", ["intfloat/none-such", "no folder: or name"])
def test_nothing_is_downloaded_unasked(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        identified(Space("sentence-transformers", model, 384))
    assert str(caught.value).endswith(
        f"{model} is neither a folder here nor in the cache of Hugging Face, and nothing is downloaded "
        f"unasked; say: hf download {model}"
    )


def test_a_model_in_the_cache_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--some--small" / "snapshots" / "0123"
    onnx_folder(snapshot)  # its tokenizer, and a pooling
    (snapshot / "model.safetensors").write_bytes(b"weights")
    write_json(snapshot, "config.json", {"hidden_size": DIMENSIONS})
    kinds = {"": "models.Transformer", "1_Pooling": "models.Pooling"}
    write_json(snapshot, "modules.json", [{"type": kind, "path": path} for path, kind in kinds.items()])
    (tmp_path / "models--some--small" / "refs").mkdir()
    (tmp_path / "models--some--small" / "refs" / "main").write_text("0123")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = identified(Space("sentence-transformers", "some/small", DIMENSIONS))
    assert (found.model, found.pooling, found.folder) == ("some/small", "", str(snapshot))
    (snapshot / "model.safetensors").write_bytes(b"other weights")
    assert identified(Space("sentence-transformers", "some/small", DIMENSIONS)).weights != found.weights
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no model.safetensors; save it as the library does"):
        identified(Space("sentence-transformers", "some/small", DIMENSIONS))
    (snapshot / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(InputError, match="leave --pooling out"):
        identified(Space("sentence-transformers", "some/small", DIMENSIONS, pooling="mean"))


@pytest.mark.parametrize("cut", [False, True])
def test_more_dimensions_than_the_model_has_are_refused(*, cut: bool) -> None:
    space = Space("onnx", "small", 32, matryoshka=cut)
    with pytest.raises(InputError, match=r"^onnx/small@32: the model has 16 dimensions, so write @16$"):
        fitting(space, 16)


def test_fewer_are_a_cut_which_has_to_be_asked_for() -> None:
    with pytest.raises(InputError, match=r"so write @16; to cut its vectors, .*say --matryoshka$"):
        fitting(Space("onnx", "small", 8), 16)
    assert fitting(Space("onnx", "small", 8, matryoshka=True), 16).matryoshka
    assert fitting(Space("onnx", "small", 16, matryoshka=True), 16) == Space("onnx", "small", 16)
