"""Questions to compare searches by: from a file, or sentences drawn from a table's own chunks."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.objects import store_errors
from pipeline.sources.tabular import BadRow, columns_of, read_rows
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


def read_questions(path: Path) -> list[str]:
    """The texts of a file of questions: Parquet, CSV or JSON lines with a column `text`."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if "text" not in (columns_of(path) or ("text",)):
        raise InputError(f"{path} has no column 'text', which holds the questions")
    found = list[str]()
    for row in read_rows(path, ("text",)):
        text = "" if isinstance(row, BadRow) else str(row.values.get("text") or "").strip()
        if not text:
            raise InputError(
                f"{path}: {row.reason if isinstance(row, BadRow) else row.place + ' has no text'}"
            )
        found.append(text)
    if not found:
        raise InputError(f"{path} holds no questions")
    return list(dict.fromkeys(found))


def _sentence(text: str) -> str:
    """The longest sentence of a chunk that is no longer than a question; else its beginning."""
    lines = (_MARKS.sub("", line) for line in text.splitlines())
    sentences = [piece.strip() for line in lines for piece in _pieces(line)]
    fitting = [piece for piece in sentences if _LEAST <= len(piece) <= _MOST]
    return max(fitting, key=len) if fitting else " ".join(text.split())[:_MOST]


def _pieces(line: str) -> Sequence[str]:
    ends = [match.end() for match in SENTENCE.finditer(line)]
    return [line[start:end] for start, end in zip([0, *ends], [*ends, len(line)], strict=True)]
