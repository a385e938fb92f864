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
from pipeline.ports import Splitter, Vectors
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.wordllama import MODEL
from tests.benchmarks.corpora import LABELLED, documents, labelled, pages
from tests.benchmarks.side_by_side import table
from tests.benchmarks.splitter_quality import page_of

Scores = npt.NDArray[np.float64]

_SPACE = Space("local", MODEL, 256)
_EMBED = make_embed(_SPACE, "this")
_DRAWS = 2000
_AT_ONCE = 64  # questions that are set against all chunks
_LEAST = 200  # characters of a section that is asked for
_EVERY = {"EN": 3, "JA": 1}  # page is searched
_SENTENCE = re.compile(
    r"^[A-Za-z\u3041-\u9fff「『（][^|<>{}\[\]`\n]{20,240}?(?:[.!?](?=\s)|[。！？])", re.MULTILINE
)


class Task(Protocol):
    """Questions of some kinds, and the documents that hold the answers."""

    @property
    def kinds(self) -> Sequence[str]:
        """What is asked for."""

    def score(self, splitter: Splitter) -> tuple[int, Sequence[Scores]]:
        """How many chunks a splitter makes, and nDCG@10 of each question of each kind."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled set; documents rank where their best chunk does."""

    kinds: Sequence[str]
    documents: Mapping[str, str]
    labelled: Labelled
    queries: Vectors

    def score(self, splitter: Splitter) -> tuple[int, Sequence[Scores]]:
        """How many chunks a splitter makes, and nDCG@10 of each question."""
        ranking, count = Ranking(_EMBED), 0
        for doc_id, text in self.documents.items():
            chunks = splitter.split(text)
            ranking.add(doc_id, [chunk.embedded(text) for chunk in chunks])
            count += len(chunks)
        best = ranking.best(self.queries)
        found = zip(self.labelled.queries, best, strict=True)
        return count, [np.array([ndcg(ids, self.labelled.grades[query]) for query, ids in found])]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the span of a page that answers it."""

    text: str
    page: int
    start: int  # characters
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions, and their vectors: these are the same for all splitters."""

    questions: Sequence[Question]
    vectors: Vectors

    @classmethod
    def of(cls, questions: Sequence[Question]) -> "Asked":
        """Questions with their vectors."""
        return cls(questions, _EMBED([question.text for question in questions]))

    def nearest(self, known: Vectors) -> Iterator[npt.NDArray[np.int64]]:
        """The chunks that are nearest to each question, in order."""
        for at in range(0, len(self.vectors), _AT_ONCE):
            for scores in self.vectors[at : at + _AT_ONCE] @ known.T:
                found = np.sort(np.argpartition(-scores, DEPTH)[:DEPTH])
                yield found[np.argsort(-scores[found], kind="stable")]


@dataclass(frozen=True, slots=True)
class KnownItem:
    """Questions each of which one place answers: a sentence's, and a section's."""

    kinds: Sequence[str]
    texts: Sequence[str]
    sentences: "Asked"  # a chunk has to hold all of one
    sections: "Asked"  # a chunk has to hold half of one, or half of it has to be in one

    def score(self, splitter: Splitter) -> tuple[int, Sequence[Scores]]:
        """How many chunks a splitter makes, and nDCG@10 of each question of each kind."""
        places: list[tuple[int, int, int]] = []
        embedded: list[str] = []
        for number, text in enumerate(self.texts):
            chunks = splitter.split(text)
            places += [(number, chunk.start, chunk.end) for chunk in chunks]
            embedded += [chunk.embedded(text) for chunk in chunks]
        known, where = _EMBED(embedded), np.array(places)
        kinds = (self.sentences, True), (self.sections, False)
        return len(places), [self._scores(asked, whole, known, where) for asked, whole in kinds]

    def _scores(self, asked: "Asked", whole: bool, known: Vectors, where: npt.NDArray[np.int64]) -> Scores:
        scores = np.zeros(len(asked.questions))
        for number, (question, nearest) in enumerate(zip(asked.questions, asked.nearest(known), strict=True)):
            page, start, end = where[nearest].T
            shared = np.minimum(end, question.end) - np.maximum(start, question.start)
            size = question.end - question.start
            enough = size if whole else np.minimum(size, end - start) / 2
            hits = np.flatnonzero((page == question.page) & (shared >= enough))
            if len(hits):
                scores[number] = 1 / np.log2(hits[0] + 2)
        return scores


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--questions", type=int, default=1000, help="of known-item search, in each language")
    given = parser.parse_args()
    be_quiet()
    for task in _tasks(given.questions):
        found = {name: task.score(make_splitter(spec, _SPACE)) for name, spec in _specs(given.tokens).items()}
        for number, kind in enumerate(task.kinds):
            print(f"**{kind}, chunks of at most {given.tokens} tokens**\n")
            rows = _rows({name: (count, scores[number]) for name, (count, scores) in found.items()})
            table(["splitter", "chunks", "nDCG@10", "95 %", "to recursive", "95 %", ""], list(rows))


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


def _rows(found: Mapping[str, tuple[int, Scores]]) -> Iterator[list[str]]:
    """A row for each splitter, recursive first. Differences below a tenth of a point are none."""
    base = found["recursive"][1]
    draws = np.random.default_rng(0).integers(0, len(base), (_DRAWS, len(base)))
    for name, (count, scores) in found.items():
        low, high = _interval(scores, draws)
        row = [name, f"{count:,}", f"{100 * scores.mean():.1f}", f"{low} to {high}"]
        if scores is base:
            yield [*row, "", "", ""]
            continue
        apart = scores - base
        low, high = _interval(apart, draws)
        verdict = "BELOW" if high < 0 else "above" if low > 0 else "even"
        yield [*row, f"{100 * apart.mean():+.1f}", f"{low:+} to {high:+}", verdict]


def _interval(scores: Scores, draws: npt.NDArray[np.int64]) -> tuple[float, float]:
    low, high = np.percentile(scores[draws].mean(axis=1), [2.5, 97.5])
    return round(100 * float(low), 1), round(100 * float(high), 1)


def _tasks(questions: int) -> Iterator[Task]:
    for name, prefix in LABELLED.items():
        found = labelled(prefix)
        queries = _EMBED(list(found.queries.values()))
        yield Judged([f"{name}, {len(found.queries):,} questions"], documents(prefix), found, queries)
    for language, all_texts in pages().items():
        texts = all_texts[:: _EVERY[language]]
        sentences, sections = zip(*_drawn(texts, questions), strict=True)
        where = f"in {len(texts):,} pages ({language}), {len(sections):,} questions"
        kinds = [f"A sentence {where}", f"A section by its headings {where}"]
        yield KnownItem(kinds, texts, Asked.of(sentences), Asked.of(sections))


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
