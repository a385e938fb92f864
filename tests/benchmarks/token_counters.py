"""How fast token counters are, beside the peers, and how far estimates lie over the truth.

    uv run --group benchmarks python -m tests.benchmarks.token_counters [--rounds 5] [--every 4]

Contenders count English and Japanese Markdown in turns, page by page, and the median of `--rounds` counts;
every so many English pages one is taken. A peer that is not installed is left out.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import toktok

from pipeline import wordllama
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens
from pipeline.tokens.local import Units
from tests.benchmarks.corpora import megabytes, pages
from tests.benchmarks.side_by_side import Make, Step, cpu_rounds, table
from tests.benchmarks.vocabulary import ENCODING, for_tiktoken

_SLICE = 1000  # characters

Count = Callable[[Sequence[str]], Sequence[int]]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=4)
    asked = parser.parse_args()
    texts = pages()
    texts["EN"] = texts["EN"][:: asked.every]
    with tempfile.TemporaryDirectory() as folder:
        print_speeds(texts, dict(_contenders(Path(folder))), asked.rounds)
    print_estimates(texts)


def print_speeds(
    texts: dict[str, list[str]], contenders: dict[str, Callable[[], Count]], rounds: int
) -> None:
    """Print MB of UTF-8 a CPU second, by contender and language."""
    speeds: dict[str, list[str]] = {name: [] for name in contenders}
    for some in texts.values():
        size = megabytes(some)
        seconds = cpu_rounds(rounds, {name: _counting(make, some) for name, make in contenders.items()})
        for name, found in seconds.items():
            speeds[name].append(f"{size / median(found):.1f}")
    table(["MB a CPU second", *texts], [[name, *found] for name, found in speeds.items()])


def print_estimates(texts: dict[str, list[str]]) -> None:
    """Print how many times over each tokenizer's counts estimates are, on slices as large as chunks."""
    rows = {name: [name] for name in ("cl100k_base", "o200k_base", "qwen3.5", "Llama 2")}
    for some in texts.values():
        slices = [page[at : at + _SLICE] for page in some for at in range(0, len(page), _SLICE)]
        estimate = sum(EstimatedTokens().count(slices))
        for name, row in rows.items():
            counts = LocalTokens().count(slices) if name == "Llama 2" else toktok.batch_count(slices, name)
            row.append(f"{estimate / sum(counts):.2f}")
    table(["estimate, times over", *texts], list(rows.values()))


def _contenders(folder: Path) -> Iterator[tuple[str, Callable[[], Count]]]:
    """What makes each contender's counter anew."""
    yield "cl100k: vecmill", lambda: OpenAITokens().count
    if find_spec("bpe_openai"):
        import bpe_openai

        yield "cl100k: bpe-openai", lambda: _each(bpe_openai.get_encoding(ENCODING).encode_ordinary)
    if find_spec("tiktoken"):
        import tiktoken

        for_tiktoken(folder)
        yield "cl100k: tiktoken", lambda: _each(tiktoken.get_encoding(ENCODING).encode_ordinary)
    yield "local: vecmill, at first", lambda: _apiece(Units(wordllama.tokenizer()).count)
    yield "local: vecmill, later", lambda: LocalTokens().count
    yield "local: tokenizers", lambda: _tokenizers
    yield "estimate: vecmill", lambda: EstimatedTokens().count


def _counting(make: Callable[[], Count], texts: Sequence[str]) -> Make:
    def made() -> Step:
        count = make()
        count(texts[:1])
        return lambda: count(texts)

    return made


def _apiece(count: Callable[[str], int]) -> Count:
    return lambda texts: [count(text) for text in texts]


def _each(encode: Callable[[str], Sequence[int]]) -> Count:
    return lambda texts: [len(encode(text)) for text in texts]


def _tokenizers(texts: Sequence[str]) -> Sequence[int]:
    encodings = wordllama.tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
    return [len(encoding) for encoding in encodings]


if __name__ == "__main__":
    main()
