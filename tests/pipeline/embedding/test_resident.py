"""What all models in folders have in common, with a model that is a few lines."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.embedding import limits
from pipeline.embedding.resident import Resident, ResidentProvider, Tokens
from pipeline.errors import InputError, Rejected
from pipeline.job import Endpoint
from pipeline.space import Space
from tests.models import LONGEST, TEXTS, onnx_folder


def _sums(tokens: Tokens, mask: Tokens) -> Any:
    """Vectors that tell texts apart, and that no padding changes."""
    powers = np.arange(1, 5)
    return np.stack([(mask * tokens**power).sum(axis=1) / 100.0**power for power in powers], axis=1)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space("onnx", str(onnx_folder(tmp_path / "small", dimensions=4)), 4)


def _provider(
    space: Space, forward: Callable[[Tokens, Tokens], Any] = _sums, threads: int = 2, tokens: int = 64
) -> ResidentProvider:
    return ResidentProvider(
        space, Endpoint(threads=threads), lambda *given: Resident(forward, "cpu", tokens, given[3])
    )


def _embed(provider: ResidentProvider, texts: list[str]) -> Any:
    async def check() -> Any:
        try:
            return (await provider.embed(texts)).vectors
        finally:
            await provider.close()

    return asyncio.run(check())


def test_vectors_come_in_the_order_of_their_texts_and_normalised(space: Space) -> None:
    texts = [*TEXTS, *(f"{text} {number}" for number in range(9) for text in TEXTS[:5])]
    found = _embed(_provider(space), texts)
    alone = np.concatenate([_embed(_provider(space), [text]) for text in texts])
    np.testing.assert_allclose(found, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_batches_keep_to_their_tokens_and_to_the_threads(space: Space) -> None:
    seen: list[tuple[int, int]] = []
    at_once, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(2)

    def watched(tokens: Tokens, mask: Tokens) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            seen.append(tokens.shape)
            meets = len(seen) in (2, 3)  # the two first batches behind the probe
        if meets:
            together.wait(timeout=30)
        with lock:
            at_once -= 1
        return _sums(tokens, mask)

    _embed(_provider(space, watched), TEXTS * 6)
    assert most == 2
    assert all(rows == 1 or rows * longest <= 64 for rows, longest in seen)
    assert any(rows > 2 for rows, _ in seen)


def test_the_event_loop_goes_on_while_the_model_works(space: Space) -> None:
    released = threading.Event()

    def waiting(tokens: Tokens, mask: Tokens) -> Any:
        if len(tokens) > 2:  # not for the probe
            assert released.wait(timeout=30)
        return _sums(tokens, mask)

    async def check() -> int:
        provider = _provider(space, waiting, tokens=1000)
        embedding = asyncio.ensure_future(provider.embed(["a", "b", "c"]))
        await asyncio.sleep(0)
        assert not embedding.done()
        released.set()  # by the loop, which would not come to it if the model held it up
        found = await embedding
        await provider.close()
        return len(found.vectors)

    assert asyncio.run(check()) == 3


def test_tokens_are_billed_without_those_that_the_model_puts_around(space: Space) -> None:
    async def check() -> int:
        return (await _provider(space).embed(["Rivers carry water.", "川は水を"])).tokens

    assert asyncio.run(check()) == 4 + 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text is empty: the model's tokenizer finds nothing in it"),
        ("\u200b\x07", "the text is empty"),
        ("川\udcff", "the text has lone surrogates, which are no characters"),
        ("water " * (LONGEST + 1), rf"a text of 63 tokens: onnx/small@4 takes at most {LONGEST}"),
    ],
)
def test_a_text_that_the_model_cannot_take_is_rejected_and_never_cut(
    space: Space, text: str, said: str
) -> None:
    with pytest.raises(Rejected, match=said):
        _embed(_provider(space), ["a", text])
    assert _embed(_provider(space), ["a", "water " * LONGEST]).shape == (2, 4)


def test_a_vector_that_is_none_is_the_texts_own_fault(space: Space) -> None:
    def broken(tokens: Tokens, mask: Tokens) -> Any:
        return _sums(tokens, mask) * (np.nan if len(tokens) == 3 else 1)

    with pytest.raises(Rejected, match="not finite"):
        _embed(_provider(space, broken), ["a", "b", "c"])


def test_a_model_that_does_not_run_is_refused_before_anything_is_embedded(space: Space) -> None:
    def failing(tokens: Tokens, mask: Tokens) -> Any:
        raise RuntimeError("no kernel for it")

    with pytest.raises(InputError, match=r"onnx/small@4: .*model.onnx cannot be run: no kernel for it"):
        _provider(space, failing)
    with pytest.raises(InputError, match="gives 2 x 3 x 4 numbers for 2 texts"):
        _provider(space, lambda tokens, mask: np.zeros((2, 3, 4)))


def test_the_limits_are_those_of_the_model(space: Space) -> None:
    found = limits(space)
    assert found.tokens_an_input == LONGEST
    assert found.batch <= found.inputs
