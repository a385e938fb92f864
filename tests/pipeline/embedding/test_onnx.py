"""ONNX graphs: vectors that follow from the text alone, whatever travels with it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.embedding import connect
from pipeline.embedding.onnx import load
from pipeline.errors import InputError
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.space import Space
from pipeline.tokens import counter_for
from tests.models import DIMENSIONS, TEXTS, onnx_folder


def _space(folder: Path, dimensions: int = DIMENSIONS, **options: Any) -> Space:
    return identified(Space("onnx", str(folder), dimensions, **options))


def _embed(space: Space, texts: list[str]) -> Any:
    async def check() -> Any:
        provider = connect(space, Endpoint(threads=2))
        try:
            return (await provider.embed(texts)).vectors
        finally:
            await provider.close()

    return asyncio.run(check())


def _apart(space: Space, texts: list[str]) -> Any:
    return np.concatenate([_embed(space, [text]) for text in texts])


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", None])
def test_company_and_padding_change_no_vector(tmp_path: Path, pooling: str | None) -> None:
    space = _space(onnx_folder(tmp_path / "small", pooling=pooling))
    found = _embed(space, TEXTS * 5)
    assert found.shape == (len(TEXTS) * 5, DIMENSIONS)
    np.testing.assert_allclose(found, np.tile(_apart(space, TEXTS), (5, 1)), atol=1e-5)
    assert len(np.unique(found.round(4), axis=0)) == len(TEXTS)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_any_texts_keep_their_order(tmp_path: Path, texts: list[str]) -> None:
    space = _space(onnx_folder(tmp_path / "small"))
    known = dict(zip(TEXTS, _embed(space, TEXTS), strict=True))
    np.testing.assert_allclose(_embed(space, texts), [known[text] for text in texts], atol=1e-5)


def test_pooling_is_what_the_folder_says_or_the_option(tmp_path: Path) -> None:
    means = _embed(_space(onnx_folder(tmp_path / "mean")), TEXTS)
    firsts = _embed(_space(onnx_folder(tmp_path / "cls", pooling="cls")), TEXTS)
    asked = _embed(_space(onnx_folder(tmp_path / "mean"), pooling="cls"), TEXTS)
    pools = _embed(_space(onnx_folder(tmp_path / "graph", pooling=None)), TEXTS)
    assert not np.allclose(means, firsts, atol=1e-2)
    np.testing.assert_allclose(asked, firsts, atol=1e-6)
    np.testing.assert_allclose(pools, means, atol=1e-5)  # the graph of this one pools by the mean


def test_a_graph_that_scales_by_its_batch_is_given_one_text_at_a_time(tmp_path: Path) -> None:
    space = _space(onnx_folder(tmp_path / "int8", quantised=True))
    np.testing.assert_array_equal(_embed(space, TEXTS), _apart(space, TEXTS))


def test_fewer_dimensions_are_the_head_of_all_where_that_was_asked_for(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small")
    head = _embed(_space(folder), TEXTS)[:, :4]
    cut = _embed(_space(folder, 4, matryoshka=True), TEXTS)
    np.testing.assert_allclose(cut, head / np.linalg.norm(head, axis=1, keepdims=True), atol=1e-6)


def test_dimensions_that_only_the_graph_tells_are_checked_too(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small", pooling=None)
    with pytest.raises(InputError, match="onnx/small@8: the model has 16 dimensions, so write @16; to cut"):
        connect(_space(folder, 8), Endpoint())


def test_vectors_of_tokens_without_a_way_to_pool_are_refused_with_the_option_to_say(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small")
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(InputError, match=r"model.onnx gives a vector for each token, .*say --pooling mean"):
        connect(_space(folder), Endpoint())
    assert _embed(_space(folder, pooling="mean"), TEXTS).shape == (len(TEXTS), DIMENSIONS)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("pixels", "batch", "takes pixels, which is not known"),
        ("input_ids", 1, "takes input_ids of one size"),
    ],
)
def test_a_graph_that_takes_something_else_is_refused(
    tmp_path: Path, name: str, size: Any, said: str
) -> None:
    folder = onnx_folder(tmp_path / "small")
    model = onnx.load(str(folder / "model.onnx"))
    given = model.graph.input[0]
    for node in model.graph.node:
        node.input[:] = [name if one == given.name else one for one in node.input]
    given.name = name
    if isinstance(size, int):
        given.type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, str(folder / "model.onnx"))
    with pytest.raises(InputError, match=f"{said}.*export it with dynamic axes"):
        connect(_space(folder), Endpoint())


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "small")
    (folder / "model.onnx").write_bytes(b"a pointer to a large file")
    with pytest.raises(InputError, match=r"onnx/small@16: .*model.onnx cannot be loaded"):
        connect(_space(folder), Endpoint())


def test_a_process_loads_a_model_once_however_many_providers_it_has(tmp_path: Path) -> None:
    space = _space(onnx_folder(tmp_path / "small"))
    before = load.cache_info().misses
    for _ in range(3):
        _embed(space, TEXTS)
    assert load.cache_info().misses == before + 1


def test_it_bills_what_its_counter_counts(tmp_path: Path) -> None:
    space = _space(onnx_folder(tmp_path / "small"))

    async def check() -> int:
        return (await connect(space, Endpoint()).embed(TEXTS)).tokens

    assert asyncio.run(check()) == sum(counter_for(space).count(TEXTS))
