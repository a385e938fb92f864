"""Adapters: kept by their hash, told from damage, and applied to what is read from the cache."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters import Adapter, adapter_of, keep, turned
from pipeline.cache import folder_name
from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.space import Space

_MATRIX = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
_BASE = Space("local", "made", 8)


def test_an_adapter_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    store = Objects(str(tmp_path))
    space = replace(_BASE, adapter=keep(store, Adapter(_MATRIX)))
    found = adapter_of(store, space)
    assert found is not None
    assert np.array_equal(found.matrix, _MATRIX)
    vectors = np.eye(8, dtype=np.float32)
    expected = vectors @ _MATRIX.T
    assert np.allclose(
        turned(store, space, vectors), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6
    )
    assert turned(store, _BASE, vectors) is vectors
    assert not Adapter(_MATRIX)(np.zeros((1, 8), np.float32)).any()


def test_an_adapter_that_is_missing_or_damaged_is_said(tmp_path: Path) -> None:
    store = Objects(str(tmp_path))
    space = replace(_BASE, adapter=keep(store, Adapter(_MATRIX)))
    with pytest.raises(InputError, match=r"local/made@8\+000000000000: this store has no adapter"):
        adapter_of(store, replace(_BASE, adapter="0" * 12))
    with pytest.raises(InputError, match="is not the adapter of"):
        adapter_of(store, replace(space, dimensions=4))
    file = tmp_path / "adapters" / f"{space.adapter}.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged"):
        adapter_of(store, space)


def test_a_space_is_named_with_its_adapter_and_shares_the_cache_of_its_base() -> None:
    space = replace(_BASE, adapter="0123456789ab")
    assert space.name == "local/made@8+0123456789ab"
    assert Space.parse(space.name) == space
    assert space.base == _BASE
    assert space.fingerprint != _BASE.fingerprint
    assert folder_name(space) == folder_name(_BASE)


@pytest.mark.parametrize("name", ["a/b@8+", "a/b@8+xyz", "a/b@8+0123456789ABC", "a/b@+0123456789ab"])
def test_a_name_that_names_no_adapter_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no embedding space"):
        Space.parse(name)
