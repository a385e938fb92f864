"""sentences: the semantic splitter's own first round, on the way to the vectors that it finds breaks by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline import ids, schema
from pipeline.model import Chunk, Document, DocumentCounts
from pipeline.sharding import Sharded, Steps
from pipeline.splitting.semantic import sentences_of
from pipeline.stages.context import Context
from pipeline.stages.cutting import Measure, Row, cut_documents
from pipeline.staging import ShardWriter

SENTENCES = "sentences"


@Sharded
def sentences(context: Context, found: DocumentCounts) -> Steps[DocumentCounts]:
    """Stage the sentences of documents whose content is new; gives the counts as reading corrects them.

    With them is staged how many chunks, of how many tokens, can be made of them at most.
    """
    cutter = _Cutter(Measure.of(context.job))
    writer = ShardWriter(context.staging, SENTENCES, schema.TEXTS)
    counts, _ = yield from cut_documents(context, found, cutter.cut, writer)
    context.staging.write_json(
        SENTENCES, {"chunks_at_most": {"texts": cutter.pieces, "tokens": cutter.tokens}}
    )
    return counts


@dataclass(slots=True)
class _Cutter:
    """Turns documents into rows of sentences, and adds up what their chunks can come to at most."""

    measure: Measure
    pieces: int = 0  # a chunk holds a sentence at least
    tokens: int = 0

    def cut(self, documents: Iterator[Document]) -> Iterator[tuple[Document, Iterator[Row]]]:
        """The rows of each document."""
        for document in documents:
            yield document, self._rows(document.text)

    def _rows(self, text: str) -> Iterator[Row]:
        spec, lead = self.measure.spec, self.measure.lead
        found = sentences_of(text, spec, self.measure.counter)
        counts = self.measure.counts(found, text)
        self.pieces += len(found)
        # Chunks share half of what they hold at most.
        self.tokens += (sum(counts) + _between(text, found)) * (2 if spec.overlap else 1)
        for sentence, tokens in zip(found, counts, strict=True):
            # One too long for the provider has no vector, and can be in a chunk all the same.
            if tokens <= self.measure.longest:
                embedded = lead + text[sentence.start : sentence.end]
                yield {"text_hash": ids.digest(embedded), "tokens": tokens, "text": embedded}


def _between(text: str, found: Sequence[Chunk]) -> int:
    """Tokens of the white space between sentences, at most: no tokenizer makes more of it than its bytes."""
    return sum(len(text[one.end : other.start].encode()) for one, other in pairwise(found))
