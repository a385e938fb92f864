"""How the work of our splitters grows with a document, and how much memory they take beside it."""

import math
import resource
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import linear_regression

from tests.benchmarks.contenders import Contender, Split, langchain, ours, ours_in_tokens
from tests.benchmarks.corpora import long_document
from tests.benchmarks.side_by_side import Step, apart, cpu_seconds, table

_SIZES = (1, 2, 4, 8, 16, 50)  # MB of UTF-8
_EXPONENT = 1.1
_REPEATED = 1.0  # seconds that a text is cut for, over and over
_TIMES = 4  # the document: what may be taken beside it
_LIMIT = 600.0  # seconds


def _lines(text: str, size: int) -> str:
    return text * (size // len(text))


def _nested(size: int) -> str:
    """One list, an item deeper on each line: 1,000 levels in 1 MB."""
    return "".join(" " * (2 * level) + "- item\n" for level in range(int(math.sqrt(size))))


ADVERSARIAL: Mapping[str, Callable[[int], str]] = {
    "one line without separators": lambda size: "x" * size,
    "10,000 nested list levels on a line": partial(_lines, "- " * 10_000 + "item\n\n"),
    "list levels nested by indentation": _nested,
    "headings (100,000 in 1 MB)": partial(_lines, "# heading\n"),
    "an unclosed fence": lambda size: "```\n" + _lines("x = 1\n", size),
    "unclosed fences in list items": partial(_lines, "- ```\n  x = 1\n\n"),
    "one giant table": lambda size: "| a | b |\n|---|---|\n" + _lines("| 1 | 2 |\n", size),
}
"""Texts of about so many bytes that other splitters, or other ways of splitting, are quadratic on."""


def print_growth(pages: Mapping[str, Sequence[str]]) -> None:
    """Print CPU seconds by size, and the exponent of the growth that fits them."""
    texts: dict[str, Callable[[int], str]] = {
        f"{language} pages": partial(_prose, found) for language, found in pages.items()
    }
    texts |= ADVERSARIAL
    for name, kind, in_tokens in (
        ("recursive, characters", "recursive", False),
        ("markdown, characters", "markdown", False),
        ("markdown, tokens", "markdown", True),
    ):
        print(f"**{name}: CPU seconds by size in MB**\n")
        contender = ours_in_tokens(name, kind, 256) if in_tokens else ours(name, kind, 1000)
        rows = [_growth(text, made, contender) for text, made in texts.items()]
        table(["text", *map(str, _SIZES), "exponent"], rows)


def _prose(texts: Sequence[str], size: int) -> str:
    # One sign that takes Python four bytes a character for all of the text. The pages have some, here and
    # there: without this the longer texts would be wider, too, and that would pass for growth.
    return "\U0001f52d\n\n" + long_document(texts, size / 1e6)


def _growth(name: str, make_text: Callable[[int], str], contender: Contender) -> list[str]:
    """CPU seconds a text by its size; as much is cut of each, so that no text is in the cache already."""
    sizes, seconds = [], []
    for size in _SIZES:
        made, copies = make_text(size * 1_000_000), max(_SIZES) // size
        texts = [f"{made} {number}" for number in range(copies)]
        split = contender.make()
        sizes.append(len(made.encode()))
        seconds.append(_least(partial(_cut_all, split, texts)) / copies)
    slope = linear_regression([*map(math.log, sizes)], [*map(math.log, seconds)]).slope
    verdict = "ok" if slope <= _EXPONENT else "ABOVE"
    return [name, *(f"{each:.3g}" for each in seconds), f"{slope:.2f} (<= {_EXPONENT} {verdict})"]


def _cut_all(split: Split, texts: Sequence[str]) -> list[object]:
    return [split(text) for text in texts]  # held: as much memory is new for small texts as for large ones


def _least(step: Step) -> float:
    """The least seconds of several runs: short ones need more of them to be told from noise."""
    seconds = [cpu_seconds(step)]
    while sum(seconds) < _REPEATED:
        seconds.append(cpu_seconds(step))
    return min(seconds)


def print_memory(pages: Mapping[str, Sequence[str]], size: int) -> None:
    """Print what splitting a long document takes beside it at its peak, what is found included.

    Allocated is what Python allocates, by tracemalloc; resident is by how much the peak of a process of its
    own exceeds what it began with, Rust's memory too.
    """
    print(f"**Memory beside one document of {size} MB of UTF-8, at its peak, MB**\n")
    rows = []
    for language, texts in pages.items():
        text = long_document(texts, size)
        for contender in _held(language):
            step = partial(_split_and_hold, contender, text)
            allocated = _shares(apart(partial(_allocated, step), _LIMIT), text)
            resident = _shares(apart(partial(_resident, step), _LIMIT), text)
            document = f"{sys.getsizeof(text) / 1e6:.0f}"
            rows.append([f"{contender.name}, {language}", document, *allocated, *resident])
    shares = [f"of str (<= {_TIMES})", f"of UTF-8 (<= {_TIMES})"]
    table(["contender", "document as str", "allocated", *shares, "resident", *shares], rows)


def _held(language: str) -> list[Contender]:
    bound = 1000 if language == "EN" else 500
    return [
        ours("recursive", "recursive", bound),
        ours("markdown", "markdown", bound),
        ours_in_tokens("recursive, tokens", "recursive", 256),
        ours_in_tokens("markdown, tokens", "markdown", 256),
        langchain(bound),
    ]


def _split_and_hold(contender: Contender, text: str) -> object:
    return contender.make()(text)


def _allocated(step: Step) -> float:
    tracemalloc.start()
    step()
    return tracemalloc.get_traced_memory()[1]


def _resident(step: Step) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def _shares(peak: float | None, text: str) -> list[str]:
    if peak is None:
        return [f"stopped after {_LIMIT:g} s", "–", "–"]
    sizes = sys.getsizeof(text), len(text.encode())
    return [
        f"{peak / 1e6:.0f}",
        *(f"{peak / size:.2f} {'ok' if peak <= _TIMES * size else 'ABOVE'}" for size in sizes),
    ]
