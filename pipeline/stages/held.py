"""The documents that a table holds, as a source of their own: what another generation is made of.

Their texts are read again where they came from, and are the same where their hashes are. What is gone from
there, or has changed since, is put together from the table's chunks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.datasets import set_operations
from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.model import DeadLetter, Document, Listed
from pipeline.objects import store_errors
from pipeline.ports import Source
from pipeline.search.where import rows_where
from pipeline.sources import open_source
from pipeline.stages.context import Context
from pipeline.staging import RECORD, Staging
from pipeline.store.log import Entry, Log
from pipeline.store.table import open_version

HELD = "held"  # which version of the table is read
REBUILT = "rebuilt"  # the ids of documents whose texts are not exactly what they were
_ORIGINS = "origins"
_NOT_EXACT = "rebuilt:"  # before the token of such a document: the next ingest that finds it reads it

_DOCUMENTS = """
with held as (select doc_id, any_value(uri) as uri, any_value(doc_token) as token from rows group by doc_id),
     filled as (select doc_id, any_value(doc_token) as token from known group by doc_id)
select held.doc_id, held.uri,
       case when filled.token = $mark || held.token then filled.token else held.token end
from held left join filled using (doc_id)
where $all or held.doc_id in (select doc_id from chosen) or filled.doc_id is not null
order by held.doc_id
"""

# What no chunk holds of a text is white space, mostly: what it was is tried, and told by the hash.
_GAPS = ("\n", " ")
_ENDS = ("\n", "")


def source_of(context: Context) -> Source:
    """Where a run's documents come from."""
    spec = context.job.source
    return HeldDocuments(context) if spec.kind == "table" else open_source(spec)


@dataclass(frozen=True, slots=True)
class HeldDocuments:
    """The documents of the live version, all or those with a chunk that a filter finds.

    What the generation holds already is kept in step with the live version, found by the filter or not.
    """

    context: Context

    def list(self) -> Iterator[Listed | DeadLetter]:
        """List the documents of the live version, which is the one to be read from now on."""
        context, spec = self.context, self.context.job.source
        live = Log(context.store, context.job.table).live()
        context.staging.write_json(HELD, {"version": live.version})
        with store_errors(context.job.store), set_operations() as db:
            held = open_version(context.store, context.job.table, live)
            db.register("rows", held)
            db.register("known", _known(context))
            db.register("chosen", _chosen(held, spec.where))
            runs = [run_id for (run_id,) in db.execute("select distinct run_id from rows").fetchall()]
            _note_origins(context, runs)
            found = db.execute(_DOCUMENTS, {"mark": _NOT_EXACT, "all": spec.where is None}).fetchall()
        return (Listed(*row) for row in found)

    def read(self, listed: Iterable[Listed]) -> Iterator[Document | DeadLetter]:
        """Read documents where they came from; what is not there as it was is put together from chunks."""
        left = {one.doc_id: one for one in listed}
        hashes = self._hashes(left)
        for spec in self._origins():
            for document in _read_again(spec, left, hashes, self.context.job.splitter.kind == "html"):
                yield replace(document, uri=left[document.doc_id].uri, token=left.pop(document.doc_id).token)
        inexact = []
        for document in self._rebuilt(left):
            if document.content_hash != hashes[document.doc_id]:
                inexact.append(document.doc_id)
                document = replace(document, token=_NOT_EXACT + document.token)
            yield document
        self.context.staging.write_json(REBUILT, inexact)

    def covers(self, uri: str) -> bool:
        """Whatever the generation holds comes from the table; what that lacks is gone."""
        return bool(uri)

    @property
    def _live(self) -> Entry:
        version = self.context.staging.read_json(HELD)["version"]
        return Log(self.context.store, self.context.job.table).at(version)

    def _origins(self) -> Iterator[SourceSpec]:
        for spec in self.context.staging.read_json(_ORIGINS):
            yield SourceSpec(**spec)

    def _hashes(self, wanted: Mapping[str, Listed]) -> dict[str, str]:
        """The content hash of each document, as the version has it."""
        found = dict[str, str]()
        for rows in self._rows(wanted, ["doc_id", "doc_hash"]):
            found |= zip(rows["doc_id"].to_pylist(), rows["doc_hash"].to_pylist(), strict=True)
        return found

    def _rebuilt(self, wanted: Mapping[str, Listed]) -> Iterator[Document]:
        if not wanted:
            return
        columns = ["doc_id", "doc_hash", "start", "end", "text", "metadata"]
        pieces = dict[str, list[dict[str, Any]]]()
        for rows in self._rows(wanted, columns):
            for row in rows.to_pylist():
                pieces.setdefault(row["doc_id"], []).append(row)
        for doc_id, chunks in sorted(pieces.items()):
            yield _joined(wanted[doc_id], chunks)

    def _rows(self, wanted: Mapping[str, Listed], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The version's rows of documents."""
        ids = pa.array(list(wanted), pa.string())
        context = self.context
        with store_errors(context.job.store):
            held = open_version(context.store, context.job.table, self._live)
            for rows in held.to_batches(columns=[*columns]):
                yield rows.filter(pc.is_in(rows["doc_id"], value_set=ids))


def _known(context: Context) -> Any:
    """What the generation that is filled holds."""
    if context.live is None:
        return pa.table({name: pa.array([], pa.string()) for name in ("doc_id", "doc_token")})
    return open_version(context.store, context.job.table, context.live)


def _chosen(held: Any, where: str | None) -> pa.Table:
    """The ids of documents with a chunk that a filter finds. Raises InputError where it is none."""
    if where is None:
        return schema.DOCUMENT_IDS.empty_table()
    found = rows_where(held, where)
    if not len(found):
        raise InputError(f"--where {where!r} finds no document of the table; nothing was changed")
    return held._take_rows(found.tolist(), columns=["doc_id"]).group_by("doc_id").aggregate([])


def _note_origins(context: Context, runs: Sequence[str]) -> None:
    """Keep the sources that the documents came from, those of the latest runs first.

    A generation's documents have come from where the ones before had them.
    """
    origins = dict[str, dict[str, Any]]()
    for run_id in sorted(runs, reverse=True):
        staging = Staging(context.store, run_id)
        source = ((staging.read_json(RECORD) or {}).get("job") or {}).get("source")
        specs = staging.read_json(_ORIGINS) or () if source and source["kind"] == "table" else [source]
        origins |= {repr(spec): spec for spec in specs if spec and repr(spec) not in origins}
    context.staging.write_json(_ORIGINS, list(origins.values()))


def _read_again(
    spec: SourceSpec, left: Mapping[str, Listed], hashes: Mapping[str, str], markup: bool
) -> Iterator[Document]:
    """The documents that a source still has as they were; HTML as `markup` says."""
    with suppress(InputError, OSError):  # of a source that is no more there is nothing to read
        source = open_source(spec)
        mine = [one for one in left.values() if source.covers(one.uri)]
        same = (
            one
            for one in source.read(mine)
            if isinstance(one, Document) and one.content_hash == hashes[one.doc_id]
        )
        if spec.kind != "files" or spec.markup == markup:
            yield from same
            return
        same_ids = [left[one.doc_id] for one in same]
        for one in open_source(replace(spec, markup=markup)).read(same_ids):
            if isinstance(one, Document):
                yield one


def _joined(listed: Listed, chunks: Sequence[Mapping[str, Any]]) -> Document:
    """A document from its chunks: each stands where it stood. It is exact where its hash tells so."""
    first, made = chunks[0], Document(**asdict(listed), text="", metadata=chunks[0]["metadata"])
    for gap in _GAPS:
        text = _text(sorted(chunks, key=lambda chunk: int(chunk["start"])), gap)
        for end in _ENDS:
            document = replace(made, text=text + end)
            if document.content_hash == first["doc_hash"]:
                return document
    return document


def _text(chunks: Sequence[Mapping[str, Any]], gap: str) -> str:
    """The text of chunks in the order of their places, which may overlap."""
    parts, end = list[str](), 0
    for chunk in chunks:
        missing = chunk["start"] - end
        parts += [gap * max(0, missing), chunk["text"][max(0, -missing) :]]
        end = max(end, chunk["end"])
    return "".join(parts)
