"""Questions to compare searches by: sentences drawn from a table's own chunks."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.objects import store_errors
from pipeline.splitting.prose import SENTENCE

_LEAST, _MOST = 12, 200  # characters of a question
_MARKS = re.compile(r"^[#>*\-+|\s]+|[|\s]+$")


def drawn(dataset: Any, count: int, seed: int = 0) -> list[str]:
    """A sentence of each of so many chunks, chosen by chance; the same ones for the same rows and seed."""
    with store_errors(dataset.uri):
        rows = dataset.to_table(columns=["chunk_id"], with_row_address=True).sort_by("chunk_id")
        chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
        texts = dataset._take_rows(rows["_rowaddr"].take(chosen).to_pylist(), columns=["text"])
    return list(dict.fromkeys(filter(None, map(_sentence, texts["text"].to_pylist()))))


def _sentence(text: str) -> str:
    """The longest sentence of a chunk that is no longer than a question; else its beginning."""
    lines = (_MARKS.sub("", line) for line in text.splitlines())
    sentences = [piece.strip() for line in lines for piece in _pieces(line)]
    fitting = [piece for piece in sentences if _LEAST <= len(piece) <= _MOST]
    return max(fitting, key=len) if fitting else " ".join(text.split())[:_MOST]


def _pieces(line: str) -> Sequence[str]:
    ends = [match.end() for match in SENTENCE.finditer(line)]
    return [line[start:end] for start, end in zip([0, *ends], [*ends, len(line)], strict=True)]
