"""clear: forgets the dead letters of what has gone through."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.letters import DeadLetters, Letter
from pipeline.stages.context import Context
from pipeline.stages.held import source_of


def clear(context: Context) -> None:
    """Clear the letters of what this run has brought through, or found to be no more.

    A document that was not read again says nothing of its letters: a chunk of it is still without a vector.
    """
    job, letters = context.job, DeadLetters(context.store)
    failed = {letter["id"] for letter in context.staging.dead_letters()}
    own = context.log.generation or ""
    filed = (one for one in letters.all(job.table) if (one.state, one.generation) == ("open", own))
    earlier = [one for one in filed if one.id not in failed]
    if earlier:
        letters.clear(_settled(context, earlier))


def _settled(context: Context, earlier: Sequence[Letter]) -> Iterator[Letter]:
    source = source_of(context)
    doc_ids = [letter.doc_id for letter in earlier]
    listed, read, touched = (_those_in(context, name, doc_ids) for name in ("manifest", "changes", "touched"))
    for letter in earlier:
        gone = letter.doc_id not in listed  # which a list that failed has no document of, either
        whole = not letter.text_hash and letter.doc_id in read
        if source.covers(letter.uri) and (
            gone or whole or letter.doc_id in touched or letter.stage == "list"
        ):
            yield letter


def _those_in(context: Context, name: str, doc_ids: Sequence[str]) -> set[str]:
    wanted = pa.array(sorted(set(doc_ids)), pa.string())
    found = pc.is_in(wanted, value_set=context.staging.read_table(name)["doc_id"].combine_chunks())
    return set(wanted.filter(found).to_pylist())
