"""What cutting documents takes, to chunks and to sentences alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from pipeline.embedding import limits
from pipeline.errors import InputError
from pipeline.job import Job
from pipeline.model import Chunk, DeadLetter, Document, DocumentCounts, Listed
from pipeline.ports import Advance, TokenCounter
from pipeline.sharding import Shards, Steps
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.context import Context
from pipeline.stages.held import source_of
from pipeline.staging import ShardWriter
from pipeline.tokens import counter_for

_LEAST_TOKENS = 8  # of a chunk (`SplitterSpec`)
_SHARD = 5_000  # documents

Row = dict[str, Any]
Cut = Callable[[Iterator[Document]], Iterator[tuple[Document, Iterable[Row | DeadLetter]]]]
"""Turns documents into the rows to stage of each; a dead letter stands for what cannot be embedded."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How a job's pieces are bounded and counted, with what its space puts before each text."""

    spec: SplitterSpec  # its bounds are what that leaves
    counter: TokenCounter
    lead: str  # what stands before each text
    longest: int  # tokens that the provider takes in a text

    @classmethod
    def of(cls, job: Job) -> "Measure":
        """The measure of a job; raises InputError where no text could keep to it."""
        counter, spec, lead = counter_for(job.space), job.splitter, job.space.document_prefix
        longest = limits(job.space).tokens_an_input
        if spec.max_characters is None and spec.max_tokens > longest:
            raise InputError(
                f"max_tokens is {spec.max_tokens}, but {job.space.name} takes at most {longest} tokens a text"
            )
        return cls(_beside(spec, lead, counter), counter, lead, longest)

    def counts(self, chunks: Sequence[Chunk], text: str) -> Sequence[int]:
        """The tokens of a text's chunks as they are embedded."""
        if not self.lead:
            return [chunk.tokens for chunk in chunks]
        return self.counter.count([self.lead + chunk.embedded(text) for chunk in chunks])


def cut_documents(
    context: Context, found: DocumentCounts, cut: Cut, writer: ShardWriter
) -> Steps[tuple[DocumentCounts, list[str]]]:
    """Stage the rows of documents whose content is new, and the letters of what fails, in shards.

    Gives the counts as reading corrects them, and the ids of the documents. Raises TooManyFailures.
    """
    changes = {row["doc_id"]: row for row in context.staging.read_table("changes").to_pylist()}
    read, shards = _Changed(context, changes), Shards(len(changes), _SHARD)
    yield shards.count
    dead: list[DeadLetter] = []
    touched: list[str] = []
    new = 0
    for document, rows in cut(iter(read)):
        yield from shards.passed(read.done - 1)  # this one is of the next
        is_new, pieces = changes[document.doc_id]["known_hash"] is None, iter(rows)
        first = next(pieces, None)
        if is_new and first is None:
            continue  # an empty document: a table has nothing to hold of it
        touched.append(document.doc_id)
        new += is_new
        for piece in chain([first] if first else [], pieces):
            if isinstance(piece, DeadLetter):
                dead.append(piece)
            else:
                writer.add(piece)
    yield from shards.rest()
    writer.flush()
    context.staging.bury("split", read.failed + dead)
    context.check_failures()
    changed = len(touched) - new
    counts = replace(
        found,
        new=new,
        changed=changed,
        unchanged=found.unchanged + found.new + found.changed - len(touched) - len(read.failed),
        failed=found.failed + len(read.failed),
    )
    return counts, touched


@dataclass(slots=True)
class _Changed:
    """Reads the documents that may have changed; gives those whose content has, or that are done over."""

    context: Context
    changes: Mapping[str, Row]  # by doc_id
    done: int = 0  # documents read
    failed: list[DeadLetter] = field(default_factory=list)

    def __iter__(self) -> Iterator[Document]:
        context, changes = self.context, self.changes
        listed = (Listed(row["doc_id"], row["uri"], row["token"]) for row in changes.values())
        for document in source_of(context).read(listed):
            self.done += 1
            context.progress(Advance("split", self.done, len(changes)))
            if isinstance(document, DeadLetter):
                self.failed.append(document)
                continue
            before = changes[document.doc_id]
            held = (before["known_hash"], before["known_uri"]) == (document.content_hash, document.uri)
            if context.job.does_over or not held:
                yield document


def _beside(spec: SplitterSpec, lead: str, counter: TokenCounter) -> SplitterSpec:
    """A spec whose bounds leave room for what stands before each text."""
    if not lead:
        return spec
    in_tokens = spec.max_characters is None
    taken = counter.count([lead])[0] if in_tokens else len(lead)
    room = spec.bound - taken
    if room < (_LEAST_TOKENS if in_tokens else 1):
        name = "tokens" if in_tokens else "characters"
        raise InputError(
            f"the prefix of documents, {lead!r}, takes {taken} of the {spec.bound} {name} of a chunk; "
            f"raise max_{name}"
        )
    return replace(
        spec,
        max_tokens=room if in_tokens else spec.max_tokens,
        overlap_tokens=min(spec.overlap_tokens, room // 2) if in_tokens else spec.overlap_tokens,
        max_characters=None if in_tokens else room,
        overlap_characters=min(spec.overlap_characters, room // 2),
        min_tokens=min(spec.min_tokens, room // 2),
    )
