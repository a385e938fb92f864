"""How well texts are found by their chunks, by splitter: nDCG@10 with the embedded model, over all chunks.

    uv run --group benchmarks python -m tests.benchmarks.splitter_retrieval [--tokens 256] [--questions 1000]

Cranfield (EN) and JSQuAD (JA) are labelled, but their texts are hardly longer than a chunk. So there is
known-item search, too, in pages of documentation of either language. Sections are drawn, always the same. A
sentence of each is asked for: the first chunk that holds all of it is what is looked for. Then its headings,
from the top of the page down: what is looked for is the first chunk of which half lies in the section, or
which holds half of it.

Bounds are tokens of the embedded model. Intervals are of 95 %, from 2,000 draws of the questions; the
difference to recursive is taken question by question.
"""

import argparse
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from infra.settings import be_quiet
from infra.splitters import make_embed, make_splitter
from pipeline.analysis.labelled import DEPTH, Labelled, Ranking, ndcg
from pipeline.model import Space, SplitterSpec
from pipeline.ports import Splitter, Vectors
from pipeline.wordllama import MODEL
from tests.benchmarks.corpora import LABELLED, documents, labelled, pages
from tests.benchmarks.side_by_side import table
from tests.benchmarks.splitter_quality import page_of

Scores = npt.NDArray[np.float64]

_SPACE = Space("local", MODEL, 256)
_EMBED = make_embed(_SPACE, "this")
_DRAWS = 2000
_LEAST = 200  # characters of a section that is asked for
_EVERY = {"EN": 3, "JA": 1}  # page is searched
_SENTENCE = re.compile(
    r"^[A-Za-z\u3041-\u9fff「『（][^|<>{}\[\]`\n]{20,240}?(?:[.!?](?=\s)|[。！？])", re.MULTILINE
)


class Task(Protocol):
    """Questions, and the documents that hold the answers."""

    def score(self, splitter: Splitter) -> tuple[int, Scores]:
        """How many chunks a splitter makes, and nDCG@10 of each question."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled set; documents rank where their best chunk does."""

    documents: Mapping[str, str]
    labelled: Labelled

    def score(self, splitter: Splitter) -> tuple[int, Scores]:
        """How many chunks a splitter makes, and nDCG@10 of each question."""
        ranking, count = Ranking(_EMBED), 0
        for doc_id, text in self.documents.items():
            chunks = splitter.split(text)
            ranking.add(doc_id, [chunk.embedded(text) for chunk in chunks])
            count += len(chunks)
        queries = self.labelled.queries
        best = ranking.best(_EMBED(list(queries.values())))
        return count, np.array(
            [ndcg(ids, self.labelled.grades[one]) for one, ids in zip(queries, best, strict=True)]
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the span of a page that answers it."""

    text: str
    page: int
    start: int  # characters
    end: int


@dataclass(frozen=True, slots=True)
class KnownItem:
    """Questions each of which one place answers."""

    texts: Sequence[str]
    questions: Sequence[Question]
    whole: bool  # whether a chunk has to hold all of the place, or half of it will do

    def score(self, splitter: Splitter) -> tuple[int, Scores]:
        """How many chunks a splitter makes, and nDCG@10 of each question."""
        places: list[tuple[int, int, int]] = []
        vectors: list[Vectors] = []
        for number, text in enumerate(self.texts):
            chunks = splitter.split(text)
            places += [(number, chunk.start, chunk.end) for chunk in chunks]
            vectors.append(_EMBED([chunk.embedded(text) for chunk in chunks]))
        known, where = np.concatenate(vectors), np.array(places)
        asked = _EMBED([question.text for question in self.questions])
        scores = [
            self._gain(one, where, known @ vector) for one, vector in zip(self.questions, asked, strict=True)
        ]
        return len(places), np.array(scores)

    def _gain(self, question: Question, where: npt.NDArray[np.int64], near: Vectors) -> float:
        page, start, end = where[np.argsort(-near, kind="stable")[:DEPTH]].T
        shared = np.minimum(end, question.end) - np.maximum(start, question.start)
        enough = question.end - question.start
        if not self.whole:
            enough = np.minimum(enough, end - start) / 2
        hits = np.flatnonzero((page == question.page) & (shared >= enough))
        return float(1 / np.log2(hits[0] + 2)) if len(hits) else 0.0


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--questions", type=int, default=1000, help="of known-item search, in each language")
    given = parser.parse_args()
    be_quiet()
    for name, task in _tasks(given.questions):
        print(f"**{name}, chunks of at most {given.tokens} tokens**\n")
        table(
            ["splitter", "chunks", "nDCG@10", "95 %", "to recursive", "95 %", ""],
            list(_rows(task, given.tokens)),
        )


def _specs(tokens: int) -> dict[str, SplitterSpec]:
    plain = SplitterSpec("recursive", tokens)
    markdown = replace(plain, kind="markdown")
    return {
        "recursive": plain,
        "recursive, 10 % overlap": replace(plain, overlap_tokens=tokens // 10),
        "markdown": markdown,
        "markdown, headings not embedded": replace(markdown, prefix_headings=False),
        "markdown, sections joined": replace(markdown, join_sections=True),
        "sentence": replace(plain, kind="sentence"),
        "fixed": replace(plain, kind="fixed"),
        "semantic": replace(plain, kind="semantic"),
    }


def _rows(task: Task, tokens: int) -> Iterator[list[str]]:
    base: Scores | None = None
    for name, spec in _specs(tokens).items():
        count, scores = task.score(make_splitter(spec, _SPACE))
        base = scores if base is None else base
        draws = np.random.default_rng(0).integers(0, len(scores), (_DRAWS, len(scores)))
        low, high = np.percentile(scores[draws].mean(axis=1), [2.5, 97.5])
        row = [name, str(count), f"{100 * scores.mean():.1f}", f"{100 * low:.1f} to {100 * high:.1f}"]
        if base is scores:
            yield [*row, "", "", ""]
            continue
        apart = scores - base
        low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
        verdict = "BELOW" if high < 0 else "above" if low > 0 else "even"
        yield [*row, f"{100 * apart.mean():+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}", verdict]


def _tasks(questions: int) -> Iterator[tuple[str, Task]]:
    for name, prefix in LABELLED.items():
        found = labelled(prefix)
        yield f"{name}, {len(found.queries):,} questions", Judged(documents(prefix), found)
    for language, all_texts in pages().items():
        texts = all_texts[:: _EVERY[language]]
        drawn = list(_drawn(texts, questions))
        sentences = KnownItem(texts, [sentence for sentence, _ in drawn], whole=True)
        headings = KnownItem(texts, [heading for _, heading in drawn], whole=False)
        where = f"in {len(texts):,} pages ({language}), {len(drawn):,} questions"
        yield f"A sentence {where}", sentences
        yield f"A section by its headings {where}", headings


def _drawn(texts: Sequence[str], most: int) -> Iterator[tuple[Question, Question]]:
    """Sections by chance: a sentence, and the headings, of each."""
    chance = random.Random(0)
    found = [pair for number, text in enumerate(texts) for pair in _asked(number, text, chance)]
    yield from chance.sample(found, min(most, len(found)))


def _asked(number: int, text: str, chance: random.Random) -> Iterator[tuple[Question, Question]]:
    page = page_of(text)
    path: list[tuple[int, str]] = []
    ends = [*(heading[0] for heading in page.headings[1:]), len(text)][: len(page.headings)]
    for (start, body, level, _), end in zip(page.headings, ends, strict=True):
        title = page.scan[start:body].splitlines()[0].strip("# ")
        path = [*(above for above in path if above[0] < level), (level, title)]
        sentences = [*_SENTENCE.finditer(page.scan, body, end)]
        if sentences and end - body >= _LEAST:
            one = chance.choice(sentences)
            headings = " ".join(title for _, title in path)
            yield Question(one.group(), number, *one.span()), Question(headings, number, start, end)


if __name__ == "__main__":
    main()
