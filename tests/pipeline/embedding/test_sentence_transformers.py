"""Models of sentence-transformers; skipped where torch is not installed (the extra of that name)."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.embedding import connect
from pipeline.embedding.by_length import padded
from pipeline.errors import InputError, Rejected
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.space import Space
from pipeline.tokens import counter_for
from tests.models import DIMENSIONS, TEXTS, torch_folder

torch = pytest.importorskip("torch", reason="needs the extra sentence-transformers")
pytestmark = pytest.mark.filterwarnings("ignore")  # torch and transformers warn of their own doings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return torch_folder(tmp_path_factory.mktemp("saved") / "small")


def _space(folder: Path) -> Space:
    return identified(Space("sentence-transformers", str(folder), DIMENSIONS))


def _embed(space: Space, texts: list[str]) -> Any:
    async def check() -> Any:
        provider = connect(space, Endpoint(threads=2))
        try:
            return await provider.embed(texts)
        finally:
            await provider.close()

    return asyncio.run(check())


def test_vectors_are_the_librarys_own_whatever_travels_with_them(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    space = _space(folder)
    library = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = library.encode(TEXTS, normalize_embeddings=True)
    found = _embed(space, TEXTS * 4)
    np.testing.assert_allclose(found.vectors, np.tile(expected, (4, 1)), atol=1e-5)
    for text, vector in zip(TEXTS, found.vectors, strict=False):
        np.testing.assert_allclose(_embed(space, [text]).vectors[0], vector, atol=1e-5)
    assert found.tokens == 4 * sum(counter_for(space).count(TEXTS))
    assert space.name == f"sentence-transformers/small@{DIMENSIONS}"


@pytest.mark.parametrize("text", ["", "川\udcff", "water " * 63])
def test_a_text_without_a_vector_is_rejected(folder: Path, text: str) -> None:
    with pytest.raises(Rejected):
        _embed(_space(folder), ["a", text])


def test_two_tokenizers_in_one_folder_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import Tokenizer

    other = Tokenizer.from_file(str(folder / "tokenizer.json"))
    other.normalizer = None
    monkeypatch.setattr("pipeline.local_models.folder.tokenizer_at", lambda file: other)
    with pytest.raises(InputError, match="make two different tokenizers; save the model anew"):
        connect(_space(folder), Endpoint(threads=1))


def test_half_precision_is_taken_only_where_vectors_stay_what_they_were(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from pipeline.embedding.sentence_transformers import _Modules, halved

    library = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval().float()
    rows = [[2, 10 + n, 20 + n, 3] for n in range(5)]
    modules = _Modules(library)
    half = halved(modules, *padded(rows, 0))
    assert half is not modules
    assert next(half.library.parameters()).dtype == torch.float16
    assert next(modules.library.parameters()).dtype == torch.float32
    with torch.no_grad():
        for parameter in library.parameters():
            parameter.mul_(3e4)  # beyond what float16 can hold
    assert halved(modules, *padded(rows, 0)) is modules
