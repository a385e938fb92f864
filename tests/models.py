"""Small real models in folders: a tokenizer, and a graph of one layer of attention with random weights."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

DIMENSIONS = 16
LONGEST = 62  # tokens of a text, the two around it left out

TEXTS = [
    "Rivers carry water.",
    "川は水を運ぶ。",
    "x",
    "Mountains are high, and snow lies on them until late in spring.",
    "山は高く、春の終わりまで雪が残る。",
    "É naïve café",
    "water " * 40,
    "雪 👩\u200d👧 snow",
]
"""Texts of very different lengths, in both languages."""


def onnx_folder(
    folder: Path,
    *,
    seed: int = 1,
    dimensions: int = DIMENSIONS,
    pooling: str | None = "mean",
    quantised: bool = False,
) -> Path:
    """A model folder as exports have it. `pooling` is what 1_Pooling says; None: the graph pools itself.

    `quantised`: the graph scales by the largest value of a batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder)
    graph = _graph(len(vocabulary), dimensions, seed, pools=pooling is None, quantised=quantised)
    onnx.save(graph, str(folder / "model.onnx"))
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": LONGEST + 2, "do_lower_case": False})
    if pooling:
        flags = {"cls": "cls_token", "mean": "mean_tokens", "last": "lasttoken", "max": "max_tokens"}
        said = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
        write_json(folder, "1_Pooling/config.json", {"word_embedding_dimension": dimensions, **said})
    return folder


def torch_folder(folder: Path) -> Path:
    """A model of random weights, saved by sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    made = folder.with_name(f"{folder.name}-made")
    made.mkdir(parents=True)
    vocabulary = write_tokenizer(made)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=DIMENSIONS, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    BertModel(config).save_pretrained(made)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write_json(made, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **special})
    transformer = Transformer(str(made), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(DIMENSIONS, "mean")], device="cpu")
    model.save_pretrained(str(folder))
    return folder


def write_json(folder: Path, name: str, values: Any) -> None:
    """Write one of a folder's configuration files."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values), "utf-8")


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write tokenizer.json, with padding and truncation as real ones have them; gives its vocabulary."""
    signs = [chr(code) for code in (*range(33, 127), *range(0x3041, 0x3097), 0x3001, 0x3002)]
    signs += sorted(set("".join(TEXTS)) - set(signs) - {" "})
    words = ["rivers", "carry", "water", "mountains", "snow", "spring", "the", "and", "are"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *signs, *(f"##{sign}" for sign in signs), *words]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_padding(length=128)
    made.enable_truncation(16)
    made.save(str(folder / "tokenizer.json"))
    return vocabulary


def _graph(tokens: int, dimensions: int, seed: int, *, pools: bool, quantised: bool) -> Any:
    chance = np.random.default_rng(seed)
    weights = {
        "embedding": chance.normal(size=(tokens, dimensions)),
        "mixing": chance.normal(size=(dimensions, dimensions)),
        "scale": np.array(1 / math.sqrt(dimensions)),
        "one": np.array(1.0),
        "far": np.array(1e9),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", "input_ids"], ["embedded"]),
        node("Transpose", ["embedded"], ["turned"], perm=[0, 2, 1]),
        node("MatMul", ["embedded", "turned"], ["alike"]),
        node("Mul", ["alike", "scale"], ["scaled"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["mask", "one"], ["absent"]),
        node("Mul", ["absent", "far"], ["below"]),
        node("Unsqueeze", ["below", "middle"], ["bias"]),
        node("Add", ["scaled", "bias"], ["seen"]),
        node("Softmax", ["seen"], ["attention"], axis=-1),
        node("MatMul", ["attention", "embedded"], ["attended"]),
        *(_quantised() if quantised else [node("Identity", ["attended"], ["exact"])]),
        node("MatMul", ["exact", "mixing"], ["mixed"]),
        node("Tanh", ["mixed"], ["bent"]),
        node("Add", ["bent", "embedded"], ["last_hidden_state"]),
    ]
    size: list[Any] = ["batch", "tokens", dimensions]
    name = "last_hidden_state"
    if pools:
        nodes += [
            node("Unsqueeze", ["mask", "last"], ["each"]),
            node("Mul", ["last_hidden_state", "each"], ["present"]),
            node("ReduceSum", ["present", "middle"], ["sum"], keepdims=0),
            node("ReduceSum", ["each", "middle"], ["count"], keepdims=0),
            node("Div", ["sum", "count"], ["sentence_embedding"]),
        ]
        size, name = ["batch", dimensions], "sentence_embedding"
    constants = [numpy_helper.from_array(np.asarray(of, np.float32), named) for named, of in weights.items()]
    constants += [
        numpy_helper.from_array(np.array([at]), named) for named, at in (("middle", 1), ("last", 2))
    ]
    inputs = [
        helper.make_tensor_value_info(named, TensorProto.INT64, ["batch", "tokens"])
        for named in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
    graph = helper.make_graph(nodes, "small", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _quantised() -> list[Any]:
    node = helper.make_node
    return [
        node("DynamicQuantizeLinear", ["attended"], ["whole", "step", "zero"]),
        node("DequantizeLinear", ["whole", "step", "zero"], ["exact"]),
    ]
