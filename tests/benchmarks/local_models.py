"""How many texts a CPU second models on this machine embed: ours beside the libraries' own ways.

    uv run --extra onnx --extra sentence-transformers python -m tests.benchmarks.local_models
        [--onnx FOLDER] [--torch FOLDER] [--texts 300] [--rounds 3]

The texts are one to six paragraphs of documentation, English and Japanese in turns, where the model takes
them. Each contender has a process of its own that loads the model first, and they take turns. The peers are
`SentenceTransformer.encode`, and onnxruntime with its defaults, 32 texts at a time as they come, padded to
the longest.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from infra.settings import be_quiet
from pipeline.embedding import connect, limits
from pipeline.job import Endpoint
from pipeline.local_models import ModelFolder, identified
from pipeline.space import Space
from pipeline.tokens import counter_for
from tests.benchmarks.corpora import pages
from tests.benchmarks.side_by_side import apart, table

_SECONDS = 900.0  # a contender and round, at most
_MOST_PARAGRAPHS = 6
_BATCH = 32  # the library's own
_AT_ONCE = 2

Encode = Callable[[Sequence[str]], Any]


def main() -> None:
    """Print a table for each model that was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--torch", type=Path)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    be_quiet()
    for provider, called, folder, peer in (
        ("onnx", "onnxruntime", asked.onnx, _onnxruntime),
        ("sentence-transformers", "encode", asked.torch, _library),
    ):
        if folder:
            space = identified(_space(provider, folder))
            contenders = {"vecmill": _ours(space), called: peer(folder)}
            _compare(contenders, _fitting(_paragraphs(4 * asked.texts), space)[: asked.texts], asked.rounds)


def _space(provider: str, folder: Path) -> Space:
    return Space(provider, str(folder), ModelFolder(provider, folder).dimensions() or 0)


def _paragraphs(count: int) -> list[str]:
    """Paragraphs of either language in turns, drawn the same way each time."""
    chance, drawn = random.Random(1), []
    for some in pages().values():
        found = []
        for page in chance.sample(some, min(len(some), count // 2)):
            pieces = [piece for piece in page.split("\n\n") if piece.strip()]
            if pieces:
                first = chance.randrange(len(pieces))
                found.append("\n\n".join(pieces[first : first + chance.randint(1, _MOST_PARAGRAPHS)]))
        drawn.append(found)
    return list(chain.from_iterable(zip(*drawn, strict=False)))


def _fitting(texts: list[str], space: Space) -> list[str]:
    """Those texts that the model takes; told apart in another process, since the tokenizer starts threads."""
    counts = apart(lambda: counter_for(space).count(texts), _SECONDS) or []
    longest = limits(space).tokens_an_input
    kept = {text: count for text, count in zip(texts, counts, strict=True) if 0 < count <= longest}
    sizes = list(kept.values())
    print(f"{space.name}, texts of {min(sizes)} to {max(sizes)} tokens, {median(sizes):.0f} in the middle\n")
    return list(kept)


def _compare(contenders: dict[str, Callable[[], Encode]], texts: list[str], rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    vectors: dict[str, Any] = {}
    for _ in range(rounds):
        for name, make in contenders.items():
            measured = apart(lambda make=make: _measured(make(), texts), _SECONDS)  # type: ignore[misc]
            if measured is None:
                raise SystemExit(f"{name} is not done after {_SECONDS:g} s")
            took, vectors[name] = measured
            seconds[name].append(took)
    [ours, peer] = contenders
    ratios = [theirs / mine for mine, theirs in zip(seconds[ours], seconds[peer], strict=True)]
    table(
        ["texts a CPU second", ours, peer, "times", "by round"],
        [
            [
                "",
                *(f"{len(texts) / median(seconds[name]):.1f}" for name in contenders),
                f"{median(ratios):.2f}",
                " ".join(f"{ratio:.2f}" for ratio in ratios),
            ]
        ],
    )
    print(f"vectors differ by {np.abs(vectors[ours] - vectors[peer]).max():.1e} at most\n", flush=True)


def _measured(encode: Encode, texts: Sequence[str]) -> tuple[float, Any]:
    encode(texts[:4])  # what is made on first use
    began = time.process_time()
    found = encode(texts)
    return time.process_time() - began, np.asarray(found)


def _ours(space: Space) -> Callable[[], Encode]:
    """Requests as a run makes them, some at once."""

    async def embed(texts: Sequence[str]) -> Any:
        made = connect(space, Endpoint())
        size, turns = made.limits.batch, asyncio.Semaphore(_AT_ONCE)

        async def one(at: int) -> Any:
            async with turns:
                return (await made.embed(texts[at : at + size])).vectors

        found = await asyncio.gather(*(one(at) for at in range(0, len(texts), size)))
        await made.close()
        return np.concatenate(found)

    return lambda: lambda texts: asyncio.run(embed(texts))


def _library(folder: Path) -> Callable[[], Encode]:
    def make() -> Encode:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), local_files_only=True)
        return lambda texts: model.encode(list(texts), normalize_embeddings=True)

    return make


def _onnxruntime(folder: Path) -> Callable[[], Encode]:
    """What the runtime's own examples do: the tokenizer pads, the vectors of tokens are averaged."""

    def make() -> Encode:
        import onnxruntime
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_padding()
        tokenizer.no_truncation()
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        wanted = {given.name for given in session.get_inputs()}

        def batch(texts: Sequence[str]) -> Any:
            encodings = tokenizer.encode_batch(list(texts))
            ids = np.array([encoding.ids for encoding in encodings])
            mask = np.array([encoding.attention_mask for encoding in encodings])
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            feed = {name: value for name, value in given.items() if name in wanted}
            each = mask[:, :, None].astype(np.float32)
            means = (session.run(None, feed)[0] * each).sum(axis=1) / each.sum(axis=1)
            return means / np.linalg.norm(means, axis=1, keepdims=True)

        return lambda texts: np.concatenate(
            [batch(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        )

    return make


if __name__ == "__main__":
    main()
