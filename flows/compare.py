"""What `vecmill split SOURCE --compare A,B` does: puts splitters side by side on the same documents."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

from flows import render
from flows.options import Common, Cut, Rows, Side
from flows.render_compare import Compared, Setting, comparison
from flows.render_progress import Bars
from flows.request import cuts_of, source_form, splitter_form
from flows.split import STDIN, in_language, page_of, read_document
from infra.config import Config
from infra.embedding_form import DEFAULT_SPACE
from infra.splitter_form import SplitterConfig
from infra.splitters import make_embed, make_splitter
from pipeline.analysis.boundaries import Page
from pipeline.analysis.labelled import Exam, Labelled
from pipeline.analysis.splitters import Tally
from pipeline.errors import InputError, UsageError
from pipeline.job import SourceSpec
from pipeline.local_models import identified
from pipeline.model import DeadLetter, Document, Listed
from pipeline.ports import Advance
from pipeline.sources import open_source
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.tokens import counter_for

_SPLITTERS: tuple[str, ...] = get_args(SplitterConfig.model_fields["kind"].annotation)


class Contender:
    """A splitter among those that are compared."""

    def __init__(self, spec: SplitterSpec, space: Space, exam: Exam | None) -> None:
        self.spec = spec
        self._splitter = make_splitter(spec, space)
        self._tally = Tally(spec, counter_for(space))
        self._exam = exam
        self._ranking = exam.ranking() if exam else None
        self._seconds = 0.0
        self._splitter.split("What is loaded once is loaded here. 一度だけ。")

    def take(self, document: Document, page: Page) -> None:
        """Cut a document."""
        before = time.process_time()
        chunks = self._splitter.split(document.text)
        self._seconds += time.process_time() - before
        self._tally.add(page, chunks)
        if self._ranking:
            self._ranking.add(document.doc_id, [chunk.embedded(document.text) for chunk in chunks])

    def compared(self) -> Compared:
        """What came of it."""
        score = self._exam.score(self._ranking) if self._exam and self._ranking else None
        return Compared(self.spec.kind, self._tally.figures(), self._seconds, score)


def compare(
    name: str, cut: Cut, side: Side, rows: Rows, space: Space | None, config: Config, common: Common
) -> None:
    """Cut documents with several splitters, and show what tells those apart."""
    declared = config.pipelines.get(name)
    space = space or identified((declared and declared.embedding.space()) or DEFAULT_SPACE)
    usual = declared.splitter.model_dump(exclude_none=True) if declared and declared.splitter else {}
    cuts = cuts_of(_named(side.compare or ""), cut)
    labelled = _labelled(side)
    documents = _Documents.of(name, rows, config)
    names = [listed.doc_id for listed in documents.listed]
    specs = [splitter_form(in_language(own, own.splitter or "", names), usual).spec() for own in cuts]
    if labelled:
        labelled.check(names)
    exam = Exam.of(labelled, make_embed(space, "scoring")) if labelled else None
    contenders = [Contender(spec, space, exam) for spec in specs]
    count = characters = 0
    with Bars.of(common) as bars:
        for document in documents.read(bars):
            page = page_of(document)
            count, characters = count + 1, characters + len(document.text)
            for contender in contenders:
                contender.take(document, page)
        found = [contender.compared() for contender in contenders]
    setting = Setting(specs[0], space.name, count, characters, documents.left_out)
    if common.json:
        render.json_document({**setting.record(), "splitters": [compared.record() for compared in found]})
    else:
        comparison(setting, found)


@dataclass(frozen=True, slots=True)
class _Documents:
    """Documents to cut: a source's, but for files as they stand."""

    source: SourceSpec | None  # None for standard input
    listed: Sequence[Listed | DeadLetter]
    left_out: list[str] = field(default_factory=list)  # which, and why

    @classmethod
    def of(cls, name: str, rows: Rows, config: Config) -> "_Documents":
        """The documents that a command names."""
        if name == STDIN:
            return cls(None, [Listed(STDIN, STDIN, "")])
        source = SourceSpec(**source_form(name, rows, config).model_dump(), markup=True)
        return cls(source, list(open_source(source).list()))

    def read(self, bars: Bars) -> Iterator[Document]:
        """Read all that can be read; raises InputError where nothing can."""
        read = 0
        for done, found in enumerate(self._all(), start=1):
            bars(Advance("split", done, len(self.listed)))
            if isinstance(found, DeadLetter):
                self.left_out.append(f"{found.doc_id or found.uri}: {found.reason}")
            else:
                read += 1
                yield found
        if not read:
            raise InputError(self.left_out[0])

    def _all(self) -> Iterator[Document | DeadLetter]:
        letters = [one for one in self.listed if isinstance(one, DeadLetter)]
        listed = [one for one in self.listed if isinstance(one, Listed)]
        yield from letters
        yield from open_source(self.source).read(listed) if self.source else [read_document(STDIN)]


def _named(compare: str) -> list[str]:
    """The splitters that --compare names, each once."""
    kinds = list(dict.fromkeys(kind.strip() for kind in compare.split(",")))
    unknown = [kind for kind in kinds if kind not in _SPLITTERS]
    if unknown:
        raise UsageError(
            f"--compare names {unknown[0]!r}, which is no splitter; choose from {', '.join(_SPLITTERS)}, "
            "with commas between them"
        )
    return kinds


def _labelled(side: Side) -> Labelled | None:
    if side.queries and side.qrels:
        return Labelled.read(side.queries, side.qrels)
    if side.queries or side.qrels:
        given, lacking = ("--queries", "--qrels") if side.queries else ("--qrels", "--queries")
        raise UsageError(f"{given} needs {lacking} beside it: what is asked, and what answers it")
    return None
