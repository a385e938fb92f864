"""Documents stitched together from two pages, whose one seam is where their topic changes."""

import asyncio
import random
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.embedding import connect
from pipeline.job import Endpoint
from pipeline.model import Chunk
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.wordllama import MODEL
from tests.support import corpus

_CORPORA = {
    "English": (
        "docs-en-rust-rfcs/rfcs.parquet",
        "docs-en-prefect/prefect-docs.parquet",
        "docs-fastapi-en-ja/en.parquet",
        "cranfield-en/docs.parquet",
    ),
    "Japanese": (
        "docs-ja-vue/vue-ja.parquet",
        "docs-ja-js-primer/js-primer.parquet",
        "docs-fastapi-en-ja/ja.parquet",
        "jglue-ja/jsquad-valid-docs.parquet",
    ),
}
LANGUAGES = tuple(_CORPORA)

_NO_PROSE = re.compile(r"\A---\n.*?^---\n|^(```|~~~).*?^\1[^\n]*\n", re.DOTALL | re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z\u3041-\u9fff「『（][^|<>{}\[\]]{40,}[.。！？!?]")
_SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？]")
_LEAST = 6  # sentences of a page
_PART = (8, 25)  # sentences of each half


@dataclass(frozen=True, slots=True)
class Stitched:
    """A document with one seam."""

    text: str
    seam: int  # where the second page starts


def stitched(language: str, count: int, seed: int) -> Iterator[Stitched]:
    """Documents of two pages each, of different corpora of one language; some paragraphs of each page.

    The test that asks is skipped where the shared corpora are absent.
    """
    chance = random.Random(seed)
    corpora = [_pages(name) for name in _CORPORA[language]]
    for _ in range(count):
        first, second = (_part(chance.choice(pages), chance) for pages in chance.sample(corpora, 2))
        yield Stitched(f"{first}\n\n{second}", len(first) + 2)


@cache
def _pages(name: str) -> list[list[str]]:
    """A corpus' pages as their paragraphs of plain sentences; articles of several rows are one page."""
    pages: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(corpus(name).to_pylist()):
        article = row["title"] if "jsquad" in name else str(number)
        pages[article] += _paragraphs(row["text"])
    return [page for page in pages.values() if _sentences(" ".join(page)) >= _LEAST]


def _paragraphs(text: str) -> list[str]:
    lines = (re.sub(r"\s*\n\s*", " ", part.strip()) for part in re.split(r"\n\s*\n", _NO_PROSE.sub("", text)))
    return [line for line in lines if _PLAIN.fullmatch(line)]


def _part(page: list[str], chance: random.Random) -> str:
    """Paragraphs in the page's order, from one by chance on, up to so many sentences."""
    wanted, start = chance.randint(*_PART), chance.randrange(len(page))
    taken: list[str] = []
    for paragraph in page[start:] + page[:start]:
        taken.append(paragraph)
        if _sentences(" ".join(taken)) >= wanted:
            break
    return "\n\n".join(taken)


def _sentences(text: str) -> int:
    return len(_SENTENCE_END.findall(text + "\n"))


def local_vectors(texts: Sequence[str]) -> Vectors:
    """The default model's vectors."""
    provider = connect(Space("local", MODEL, 256), Endpoint())
    return asyncio.run(provider.embed(texts)).vectors


def finds_seam(document: Stitched, sentences: Sequence[Chunk], chunks: Sequence[Chunk]) -> bool:
    """Whether a chunk starts within one sentence of the seam."""
    starts = [sentence.start for sentence in sentences]
    seam = bisect_left(starts, document.seam)
    return any(abs(bisect_left(starts, chunk.start) - seam) <= 1 for chunk in chunks[1:])
