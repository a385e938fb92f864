"""What a model's folder says of the model."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.local_models import ModelFolder
from tests.models import LONGEST, onnx_folder, write_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return onnx_folder(tmp_path / "small")


def _model(folder: Path) -> ModelFolder:
    return ModelFolder("onnx/small@16", folder, folder / "model.onnx")


def test_the_tokenizer_neither_pads_nor_truncates(folder: Path) -> None:
    encodings = _model(folder).tokenizer.encode_batch(["water " * 300, "water"])
    assert [len(encoding.ids) for encoding in encodings] == [302, 3]


@pytest.mark.parametrize(
    ("files", "longest"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 254),
        ({"sentence_bert_config.json": {}, "config.json": {"max_position_embeddings": 512}}, 510),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": None},
                "config.json": {
                    "max_position_embeddings": 514,
                    "model_type": "xlm-roberta",
                    "pad_token_id": 1,
                },
            },
            510,
        ),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": 512},
                "config.json": {"max_position_embeddings": 128},
            },
            126,
        ),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 384}}, 382),
    ],
)
def test_the_longest_text_is_the_least_that_any_file_allows(
    folder: Path, files: dict[str, Any], longest: int
) -> None:
    assert _model(folder).longest == LONGEST
    for name, values in files.items():
        write_json(folder, name, values)
    assert _model(folder).longest == longest


def test_a_model_that_does_not_say_its_longest_text_is_refused_with_where_to_say_it(folder: Path) -> None:
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder, "tokenizer_config.json", {"model_max_length": int(1e30)})
    with pytest.raises(InputError, match=r'put {"max_seq_length": 512}, .*into sentence_bert_config.json'):
        _ = _model(folder).longest


def test_what_only_the_library_does_is_refused(folder: Path) -> None:
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    with pytest.raises(InputError, match="do_lower_case"):
        _ = _model(folder).longest


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True, "include_prompt": True}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean", "embedding_dimension": 16, "include_prompt": True}, "mean"),
    ],
)
def test_pooling_is_read_in_the_old_form_and_in_the_new(
    folder: Path, config: dict[str, Any], pooling: str
) -> None:
    write_json(folder, "1_Pooling/config.json", config)
    assert _model(folder).pooling() == pooling


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"pooling_mode_max_tokens": True}, "pools by max_tokens; what is done here is mean, cls, last"),
        ({"pooling_mode": ["mean", "cls"]}, "pools by mean and cls"),
        ({"word_embedding_dimension": 16}, "pools by nothing known"),
    ],
)
def test_another_pooling_is_refused(folder: Path, config: dict[str, Any], said: str) -> None:
    write_json(folder, "1_Pooling/config.json", config)
    with pytest.raises(InputError, match=said):
        _model(folder).pooling()


def test_modules_tell_where_the_pooling_is_and_what_else_would_have_to_be_done(folder: Path) -> None:
    kinds = {"": "Transformer", "2_Pooling": "Pooling"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for path, kind in kinds.items()]
    write_json(folder, "modules.json", modules)
    write_json(folder, "2_Pooling/config.json", {"pooling_mode_cls_token": True})
    assert _model(folder).pooling() == "cls"
    write_json(
        folder, "modules.json", [*modules, {"type": "sentence_transformers.models.Dense", "path": "3"}]
    )
    with pytest.raises(InputError, match=r"a module Dense, which is not done here.*say --pooling none"):
        _model(folder).pooling()
    assert _model(folder).dimensions() is None


@pytest.mark.parametrize(("name", "words"), [("modules.json", "[1]"), ("1_Pooling/config.json", "{")])
def test_a_damaged_file_is_named(folder: Path, name: str, words: str) -> None:
    (folder / name).write_text(words, "utf-8")
    with pytest.raises(InputError, match=name):
        _model(folder).pooling()


def test_padding_is_the_models_own_token(folder: Path) -> None:
    assert _model(folder).padding == 0
    write_json(folder, "config.json", {"pad_token_id": 7})
    assert _model(folder).padding == 7
