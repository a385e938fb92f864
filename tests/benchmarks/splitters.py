"""How fast splitters are, beside the peers: MB of UTF-8 a CPU second; and the memory and growth of ours.

    uv run --group benchmarks python -m tests.benchmarks.splitters [--only speed|tokens|memory|growth]

Growth is measured with `--growth` only. Contenders run in turns, and the median of `--rounds` counts. Pages
are English and Japanese Markdown; long documents are made of all pages one after another, and each contender
cuts them in a process of its own, which is ended after `--limit` seconds. Ours give exact spans and each
chunk's text, and where tokens are the bound each chunk's tokens and headings too, counted anew. Chonkie's own
tokenizer wants a download: it is given the same vocabulary from a file.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any

from infra.settings import be_quiet
from tests.benchmarks import contenders as by
from tests.benchmarks.contenders import Contender
from tests.benchmarks.corpora import long_document, megabytes, pages
from tests.benchmarks.side_by_side import Step, cpu_rounds, table
from tests.benchmarks.splitter_growth import print_growth, print_memory
from tests.benchmarks.vocabulary import ENCODING, for_tiktoken, tokenizer_json

_BOUNDS = {"EN": 1000, "JA": 500}  # characters
_TOKENS = 256
_WARMING = 10_000  # characters that a contender cuts before it is measured
_MANY = 1 << 62  # tokens
_LONG, _LONG_IN_TOKENS = (4, 50), (4,)  # MB
_EVERY = {"EN": 3, "JA": 1}  # page is cut where tokens are the bound: peers take their time

Speeds = Mapping[str, Mapping[str, list[float]]]
"""MB a CPU second by contender, texts and round; 0 for what was not done in time."""


@dataclass(frozen=True, slots=True)
class Duel:
    """How many times as fast as the best of some peers one of ours has to be, by language."""

    ours: str
    peers: tuple[str, ...]
    english: float
    japanese: float


_RECURSIVE, _MARKDOWN = "vecmill recursive", "vecmill markdown"
_LC, _LC_HEADERS = "LangChain recursive", "LangChain headers, recursive"
_STS_TEXT, _STS_MARKDOWN = "semantic-text-splitter Text", "semantic-text-splitter Markdown"
_PLAIN = (_LC, _STS_TEXT, "semchunk", "chonkie Recursive", "chonkie Recursive, tiktoken")
_STRUCTURAL = (_LC_HEADERS, _STS_MARKDOWN)

_IN_CHARACTERS = (
    Duel("vecmill recursive, LangChain's output", (_LC,), 5, 5),
    Duel(_RECURSIVE, (_STS_TEXT,), 1.5, 1.5),
    Duel(_MARKDOWN, (_STS_MARKDOWN,), 2, 2),
    Duel(_MARKDOWN, (_LC_HEADERS,), 10, 10),
)
_OVERLAPPING = (Duel(_RECURSIVE, (_STS_TEXT,), 1, 1), Duel(_MARKDOWN, (_STS_MARKDOWN,), 1, 1))
_AS_INSTALLED = (
    Duel(_RECURSIVE, _PLAIN, 5, 3),
    Duel(_RECURSIVE, ("chonkie Recursive, tokie",), 5, 3),
    Duel(_MARKDOWN, _STRUCTURAL, 5, 3),
)
_GIVEN_OURS = (Duel(_RECURSIVE, _PLAIN, 1.2, 1.2), Duel(_MARKDOWN, _STRUCTURAL, 1.2, 1.2))


def main() -> None:
    """Print each part's tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("speed", "tokens", "memory", "growth"))
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60, help="seconds for a long document")
    given = parser.parse_args()
    be_quiet()
    texts = pages()
    if given.only in (None, "speed"):
        Bench(texts, given.rounds, given.limit).characters()
    if given.only in (None, "tokens"):
        few = {language: some[:: _EVERY[language]] for language, some in texts.items()}
        with tempfile.TemporaryDirectory() as folder:
            for_tiktoken(Path(folder))
            Bench(few, given.rounds, given.limit).tokens(tokenizer_json(Path(folder) / "tokenizer.json"))
    if given.only in (None, "memory"):
        print_memory(texts, max(_LONG))
    if given.growth or given.only == "growth":
        print_growth(texts)


class Bench:
    """Runs contenders on the pages of either language, and on long documents."""

    def __init__(self, texts: Mapping[str, list[str]], rounds: int, limit: float) -> None:
        self._texts = texts
        self._rounds = rounds
        self._limit = limit

    def characters(self) -> None:
        """Print how fast chunks are cut at a bound in characters."""
        bounds = " and ".join(f"{bound} ({language})" for language, bound in _BOUNDS.items())
        self._print(f"At most {bounds} characters", _in_characters, _LONG, _IN_CHARACTERS)
        self._print("Of them, without offsets", _texts_only)
        self._print("With an overlap of 10 %", _with_overlap, _LONG_IN_TOKENS, _OVERLAPPING)

    def tokens(self, vocabulary: Path) -> None:
        """Print how fast chunks are cut at a bound in tokens."""
        title = f"At most {_TOKENS} tokens of {ENCODING}, peers"
        installed = partial(_peers_in_tokens, vocabulary)
        self._print(f"{title} as installed", installed, _LONG_IN_TOKENS, _AS_INSTALLED)
        self._print(f"{title} given our tokenizer", _with_our_tokens, _LONG_IN_TOKENS, _GIVEN_OURS)

    def _print(
        self,
        title: str,
        contenders: Callable[[str], list[Contender]],
        long: Sequence[int] = (),
        duels: Sequence[Duel] = (),
    ) -> None:
        """Measure, and print what came of it."""
        speeds = self._measure(contenders, long)
        gives = {one.name: one.gives for one in contenders("EN")}
        fields = list(next(iter(speeds.values())))
        print(f"**{title}: MB of UTF-8 a CPU second**\n")
        rows = [
            [name, gives[name], *(self._cell(speed[field]) for field in fields)]
            for name, speed in speeds.items()
        ]
        table(["contender", "gives", *fields], rows)
        rows = [[duel.ours, *(self._verdict(duel, speeds, field) for field in fields)] for duel in duels]
        if rows:
            table(["times as fast as", *fields], rows)

    def _measure(self, contenders: Callable[[str], list[Contender]], long: Sequence[int]) -> Speeds:
        """Measure all contenders, anew for each language."""
        found: dict[str, dict[str, list[float]]] = {}
        for size in (None, *long):
            for language, texts in self._texts.items():
                cut = texts if size is None else [long_document(texts, size)]
                name = f"{language} pages" if size is None else f"{language} {size} MB"
                steps = {one.name: partial(_step, one, cut) for one in contenders(language)}
                if size is None:
                    seconds = cpu_rounds(self._rounds, steps)
                else:
                    seconds = cpu_rounds(min(self._rounds, 3), steps, self._limit)
                for contender, each in seconds.items():
                    found.setdefault(contender, {})[name] = [megabytes(cut) / one for one in each]
        return found

    def _cell(self, speeds: list[float]) -> str:
        return f"{median(speeds):.3g}" if all(speeds) else f"stopped after {self._limit:g} s"

    def _verdict(self, duel: Duel, speeds: Speeds, field: str) -> str:
        """How many times the best peer's speed ours is, by the median of rounds, and what is asked for."""
        peers = {name: speeds[name][field] for name in duel.peers if name in speeds}
        done = {name: median(found) for name, found in peers.items() if all(found)}
        if not done:
            return f"{' and '.join(peers)}: stopped (ok)"
        best = max(done, key=lambda name: done[name])
        share = median(ours / peer for ours, peer in zip(speeds[duel.ours][field], peers[best], strict=True))
        least = duel.english if field.startswith("EN") else duel.japanese
        return f"{best}: {share:.2f} (>= {least:g} {'ok' if share >= least else 'BELOW'})"


def _step(contender: Contender, texts: Sequence[str]) -> Step:
    split = contender.make()
    split(texts[0][:_WARMING])

    def run() -> None:
        for text in texts:
            split(text)

    return run


def _in_characters(language: str) -> list[Contender]:
    bound = _BOUNDS[language]
    return [
        by.ours("recursive, LangChain's output", "recursive", bound, langchain=True),
        by.ours("recursive", "recursive", bound),
        by.ours("markdown", "markdown", bound),
        by.langchain(bound),
        by.langchain_headers(bound),
        by.semantic_text("Text", bound),
        by.semantic_text("Markdown", bound),
        by.chonkie(bound),
        by.semchunk(bound),
    ]


def _texts_only(language: str) -> list[Contender]:
    return [by.semantic_text(kind, _BOUNDS[language], offsets=False) for kind in ("Text", "Markdown")]


def _with_overlap(language: str) -> list[Contender]:
    bound, overlap = _BOUNDS[language], _BOUNDS[language] // 10
    return [
        by.ours("recursive", "recursive", bound, overlap),
        by.ours("markdown", "markdown", bound, overlap),
        by.langchain(bound, overlap),
        by.semantic_text("Text", bound, overlap),
        by.semantic_text("Markdown", bound, overlap),
    ]


def _ours_in_tokens() -> list[Contender]:
    return [by.ours_in_tokens(kind, kind, _TOKENS) for kind in ("recursive", "markdown", "fixed")]


def _tiktoken() -> Any:
    return resolve_name("tiktoken:get_encoding")(ENCODING)


def _peers_in_tokens(vocabulary: Path, _: str) -> list[Contender]:
    def tokie() -> object:
        return resolve_name("tokie:Tokenizer").from_json(str(vocabulary))

    encode = _tiktoken().encode_ordinary

    def count(text: str) -> int:
        return len(encode(text))

    model = ("text-embedding-3-small", _TOKENS)
    return [
        *_ours_in_tokens(),
        by.langchain(_TOKENS, count=count),
        by.langchain_headers(_TOKENS, count),
        by.semantic_text("Text", *model, by=".from_tiktoken_model"),
        by.semantic_text("Markdown", *model, by=".from_tiktoken_model"),
        by.semchunk(_TOKENS, count),
        by.chonkie(_TOKENS, _tiktoken, ", tiktoken"),
        by.chonkie(_TOKENS, tokie, ", tokie"),
        by.chonkie(_TOKENS, tokie, ", tokie", kind="Token"),
    ]


def _with_our_tokens(_: str) -> list[Contender]:
    truncate = resolve_name("toktok:truncate")

    def count(text: str) -> int:  # the quickest way to count one text: batch_count starts a thread
        total: int = truncate(text, _MANY, ENCODING)[1]
        return total

    return [
        *_ours_in_tokens(),
        by.langchain(_TOKENS, count=count),
        by.langchain_headers(_TOKENS, count),
        by.semantic_text("Text", count, _TOKENS, by=".from_callback"),
        by.semantic_text("Markdown", count, _TOKENS, by=".from_callback"),
        by.semchunk(_TOKENS, count),
        by.chonkie_counting(_TOKENS, count, _tiktoken),
    ]


if __name__ == "__main__":
    main()
