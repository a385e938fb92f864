"""The texts that benchmarks measure with: real Markdown in English and Japanese, and labelled sets."""

import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.analysis.labelled import Labelled
from tests.support import DATA

_ENGLISH = ("docs-en-rust-rfcs/rfcs", "docs-en-prefect/prefect-docs", "docs-fastapi-en-ja/en")
_JAPANESE = ("docs-ja-vue/vue-ja", "docs-ja-js-primer/js-primer", "docs-fastapi-en-ja/ja")

LABELLED = {"Cranfield": "cranfield-en/", "JSQuAD": "jglue-ja/jsquad-valid-"}
"""Sets of documents, queries and judgements, by the beginning of their files' names."""


def pages() -> dict[str, list[str]]:
    """The pages of documentation of either language, English first."""
    return {"EN": _pages(_ENGLISH), "JA": _pages(_JAPANESE)}


def long_document(texts: Sequence[str], megabytes: float) -> str:
    """One document of so many MB of UTF-8: the pages one after another, over and over."""
    return "\n\n".join(_filling(texts, int(megabytes * 1e6)))


def megabytes(texts: Sequence[str]) -> float:
    """How large texts are in UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def documents(prefix: str) -> dict[str, str]:
    """The documents of a labelled set, by doc_id."""
    rows = _read(f"{prefix}docs")
    return dict(zip(rows["doc_id"].to_pylist(), rows["text"].to_pylist(), strict=True))


def labelled(prefix: str) -> Labelled:
    """The queries and judgements of a labelled set."""
    return Labelled.read(_path(f"{prefix}queries"), _path(f"{prefix}qrels"))


def _filling(texts: Sequence[str], left: int) -> Iterator[str]:
    for text in cycle(texts):
        encoded = text.encode()
        if len(encoded) + 2 >= left:
            yield encoded[:left].decode(errors="ignore")
            return
        yield text
        left -= len(encoded) + 2


def _pages(names: Sequence[str]) -> list[str]:
    return [text for name in names for text in _read(name)["text"].to_pylist() if text]


def _read(name: str) -> pa.Table:
    return pq.read_table(_path(name))


def _path(name: str) -> Path:
    path = DATA / f"{name}.parquet"
    if not path.is_file():
        sys.exit(f"the shared corpus {path} is not here")
    return path
