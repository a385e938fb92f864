"""What a split must hold whatever the text, and counters whose arithmetic can be done in the head."""

import gc
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import regex
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make

KINDS = ("fixed", "markdown", "recursive", "sentence")

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
_HOSTILE = [
    *("\n", "\r\n", "\r", "\n\n", "\r\n\r\n", " ", "   ", "\t", "    ", "\u3000", "\0", "\ufeff", "\u2028"),
    *(FAMILY, "🇯🇵", "e\u0301", " \u0301", "。\u3099", "か\u3099", "\u0600", "1\ufe0f\u20e3", "ᄀ", "ก็", "क्ष"),
    *(
        "# Rivers\n",
        "## 川 ##\n",
        "### a {#id}\n",
        "title\n===\n",
        "---\n",
        "***\n",
        "-\n",
        "####### 7\n",
        "#\n",
    ),
    *("```py\n", "```\n", "~~~~\n", "  ```\n", "- ```\n", "    # code\n", "# comment\n", "`" * 9),
    *(
        "| a | b |\n",
        "|---|---|\n",
        "| 川 | 山 |\n",
        "|",
        "- item\n",
        "  - nested\n",
        "1. one\n",
        "* * *\n",
        "> q\n",
    ),
    *(
        "<details>\n",
        "</details>\n",
        "<!-- ",
        "-->",
        "<pre>\n",
        "</pre>\n",
        "<?php ",
        "<b>x</b> ",
        "<Tag />\n",
    ),
    *(
        "Water flows. ",
        "It is wet! ",
        "a, b; c: d ",
        "吾輩は猫である。",
        "名前はまだ無い、",
        "「はい！」",
        "３．１４",
    ),
    *("word", "あ" * 40, "x" * 90, "." * 30, "=" * 60, " " * 50, "http://a.b/c?d=e&f "),
]

texts = st.lists(st.sampled_from(_HOSTILE) | st.text(max_size=6), max_size=40).map("".join)


@st.composite
def specs(draw: st.DrawFn) -> SplitterSpec:
    most = draw(st.integers(8, 48))
    overlap, characters = draw(st.integers(0, most // 2)), draw(st.booleans())
    bound: dict[str, Any] = (
        {"max_characters": most, "overlap_characters": overlap}
        if characters
        else {"max_tokens": most, "overlap_tokens": overlap}
    )
    kind = draw(st.sampled_from(KINDS))
    return SplitterSpec(
        kind=kind,
        prefix_headings=draw(st.booleans()),
        repeat_table_header=draw(st.booleans()),
        join_sections=kind == "markdown" and draw(st.booleans()),
        **bound,
    )


class Letters:
    """A token a character: pieces always add up."""

    seam = re.compile("")

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def ends(self, text: str) -> npt.NDArray[np.uint32]:
        return np.arange(1, len(text) + 1, dtype=np.uint32)


class Quarters:
    """A token every four characters begun: pieces add up to at least the whole."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text) // 4) for text in texts]


class Words:
    """A token a word, however wide the space between them."""

    seam = re.compile(r"(?<=\s)(?=\S)|(?<=\S)(?=\s)")

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def ends(self, text: str) -> npt.NDArray[np.uint32]:
        return np.array([word.end() for word in re.finditer(r"\S+", text)], np.uint32)


class Clinging:
    """Half a token a character in short texts, a whole one in others: the whole can exceed its pieces."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text) if len(text) > 12 else (len(text) + 1) // 2 for text in texts]


def parsed(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """What a Markdown parser finds: (start, level) of each heading, (start, end) of each fence and table."""
    lines = [0, *(match.end() for match in regex.finditer("\n", text)), len(text)]
    headings, blocks = [], []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.map is None:
            continue
        start, end = (lines[min(line, len(lines) - 1)] for line in token.map)
        if token.type == "heading_open" and token.level == 0:
            headings.append((start, int(token.tag[1])))
        elif token.type in ("fence", "table_open"):
            blocks.append((start, start + len(text[start:end].rstrip())))
    return headings, blocks


def split(
    text: str, counter: TokenCounter, kind: str = "markdown", tokens: int = 32, overlap: int = 0, **spec: Any
) -> list[str]:
    """The texts of a document's chunks."""
    chunks = make(SplitterSpec(kind, tokens, overlap, **spec), counter).split(text)
    return [text[chunk.start : chunk.end] for chunk in chunks]


def checked(text: str, spec: SplitterSpec, counter: TokenCounter, *, complete: bool = True) -> list[Chunk]:
    """Split a text, and check everything that holds for every text, spec and counter."""
    chunks = make(spec, counter).split(text)
    assert make(spec, counter).split(text) == chunks
    check_chunks(text, chunks, spec, counter, complete=complete)
    return chunks


def check_chunks(
    text: str, chunks: Sequence[Chunk], spec: SplitterSpec, counter: TokenCounter, *, complete: bool = True
) -> None:
    """Check a text's chunks, whatever made them. Not `complete`, they leave some of it out."""
    assert [chunk.tokens for chunk in chunks] == counter.count([chunk.embedded(text) for chunk in chunks])
    spans = [(chunk.start, chunk.end) for chunk in chunks]
    _check_order(text, spans)
    if complete:
        assert _left_out(text, spans).replace("\ufeff", "").strip() == ""  # a byte order mark is no text
    graphemes = regex.findall(r"\X", text)
    _check_edges(text, [edge for span in spans for edge in span], [0, *accumulate(map(len, graphemes))])
    for chunk in chunks:
        own = text[chunk.start : chunk.end]
        assert own.strip()
        assert own == own.rstrip()
        size = len(chunk.embedded(text)) if spec.max_characters else chunk.tokens
        if size > spec.bound:
            assert chunk.prefix == ""
            assert len(regex.findall(r"\X", own)) == 1


def _check_order(text: str, spans: Sequence[tuple[int, int]]) -> None:
    assert all(0 <= start < end <= len(text) for start, end in spans)
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start
        assert end < next_end


def _left_out(text: str, spans: Sequence[tuple[int, int]]) -> str:
    left, reached = [], 0
    for start, end in spans:
        left.append(text[reached:start])
        reached = end
    return "".join([*left, text[reached:]])


def _check_edges(text: str, edges: Sequence[int], boundaries: Sequence[int]) -> None:
    """No edge lies inside a grapheme, other than between its white space and the rest."""
    for edge in edges:
        at = bisect_left(boundaries, edge)
        if boundaries[at] != edge:
            before, behind = text[boundaries[at - 1] : edge], text[edge : boundaries[at]]
            assert not (before.strip() and behind.strip())


def cpu_seconds(step: Callable[[str], object], text: str) -> float:
    """CPU seconds, without the collector: what it does follows the heap of all tests."""
    gc.disable()
    try:
        started = time.process_time()
        step(text)
        return time.process_time() - started
    finally:
        gc.enable()
