"""split: reads what is new or changed, and stages its chunks."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline import ids, schema
from pipeline.model import Chunk, DeadLetter, Document, DocumentCounts
from pipeline.ports import Splitter
from pipeline.sharding import Sharded, Steps
from pipeline.splitting import make
from pipeline.splitting.languages import language_of
from pipeline.splitting.semantic import SemanticSplitter, sentences_of
from pipeline.stages.context import Context
from pipeline.stages.cutting import Measure, Row, cut_documents
from pipeline.stages.recall import recalling
from pipeline.staging import EXCERPT, ShardWriter

CHUNKS = "chunks"

_RECALLED = 4096  # sentences whose vectors are looked up at once


@Sharded
def split(context: Context, found: DocumentCounts) -> Steps[DocumentCounts]:
    """Stage the chunks of documents whose content is new; gives the counts as reading corrects them."""
    cutter = Cutter(context, Measure.of(context.job))
    writer = ShardWriter(context.staging, CHUNKS, schema.STAGED)
    counts, touched = yield from cut_documents(context, found, cutter.cut, writer)
    context.staging.write_table("touched", pa.table({"doc_id": touched}, schema=schema.DOCUMENT_IDS))
    context.staging.write_json("chunks", {"rows": writer.written})
    return counts


@dataclass(frozen=True, slots=True)
class Cutter:
    """Turns documents into rows of staged chunks."""

    context: Context
    measure: Measure

    def cut(self, documents: Iterator[Document]) -> Iterator[tuple[Document, Iterable[Row | DeadLetter]]]:
        """The rows of each document's chunks."""
        splitter = self.context.job.splitter
        fingerprint = splitter.fingerprint
        semantic = splitter.kind == "semantic"
        for document, chunks in self._joined(documents) if semantic else self._split(documents):
            yield document, self._rows(document, chunks, fingerprint)

    def _split(self, documents: Iterator[Document]) -> Iterator[tuple[Document, list[Chunk]]]:
        spec, splitters = self.measure.spec, dict[str, Splitter]()
        for document in documents:
            language = spec.language
            if spec.kind == "code" and not language:  # files of one folder can be of many
                language = language_of(document.doc_id) or ""
            if language not in splitters:
                splitters[language] = make(replace(spec, language=language), self.measure.counter)
            yield document, splitters[language].split(document.text)

    def _joined(self, documents: Iterator[Document]) -> Iterator[tuple[Document, list[Chunk]]]:
        """Split by the vectors of sentences, which are looked up for many small documents at once."""
        spec, counter = self.measure.spec, self.measure.counter
        found = ((document, sentences_of(document.text, spec, counter)) for document in documents)
        with recalling(self.context) as recall:
            splitter = SemanticSplitter(spec, counter, recall)
            for batch in _batches(found):
                if len(batch) > 1:
                    recall.load(
                        document.text[one.start : one.end] for document, found in batch for one in found
                    )
                for document, sentences in batch:
                    yield document, splitter.join(document.text, sentences)

    def _rows(self, document: Document, chunks: list[Chunk], splitter: str) -> Iterator[Row | DeadLetter]:
        job, measure, text = self.context.job, self.measure, document.text
        doc_hash, seen = document.content_hash, Counter[str]()
        for ordinal, (chunk, tokens) in enumerate(zip(chunks, measure.counts(chunks, text), strict=True)):
            embedded = measure.lead + chunk.embedded(text)
            text_hash = ids.digest(embedded)
            if tokens > measure.longest:
                reason = (
                    f"a chunk of {tokens} tokens: {job.space.name} takes at most {measure.longest} a text"
                )
                excerpt = text[chunk.start : min(chunk.end, chunk.start + EXCERPT)]
                yield DeadLetter(document.doc_id, document.uri, "split", reason, excerpt, text_hash)
                continue
            yield {
                "chunk_id": ids.chunk_id(document.doc_id, splitter, text_hash, seen[text_hash]),
                "doc_id": document.doc_id,
                "uri": document.uri,
                "doc_hash": doc_hash,
                "doc_token": document.token,
                "ordinal": ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "heading_path": list(chunk.heading_path),
                "text": text[chunk.start : chunk.end],
                "text_hash": text_hash,
                "tokens": tokens,
                "metadata": document.metadata,
                "prefix": measure.lead + chunk.prefix,
            }
            seen[text_hash] += 1


_Sentences = tuple[Document, list[Chunk]]


def _batches(documents: Iterable[_Sentences]) -> Iterator[list[_Sentences]]:
    """Take documents together up to so many sentences; one that has more stands alone."""
    batch: list[_Sentences] = []
    count = 0
    for document, sentences in documents:
        if batch and count + len(sentences) > _RECALLED:
            yield batch
            batch, count = [], 0
        batch.append((document, sentences))
        count += len(sentences)
    if batch:
        yield batch
