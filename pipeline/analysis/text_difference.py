"""How one document's text differs between two versions: a unified diff, sentence by sentence."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

import lance
import orjson

from pipeline.errors import InputError
from pipeline.objects import Objects, store_errors
from pipeline.splitting.prose import SENTENCE
from pipeline.store.log import Entry
from pipeline.store.table import open_version

_CONTEXT = 3  # pieces shown around a change
_COLUMNS = ["start", "end", "text", "metadata"]
_WIDE_GAP = 16  # characters: more than white space between chunks usually comes to


def text_difference(objects: Objects, table: str, doc_id: str, before: Entry, after: Entry) -> list[str]:
    """The lines of a unified diff; none where the texts are the same, white space aside.

    Lines are the document's own, broken behind sentences: Japanese writes a paragraph in one line.
    Raises InputError where neither version has the document.
    """
    with store_errors(objects.at(f"tables/{table}")):
        found = [_pieces(open_version(objects, table, entry), doc_id) for entry in (before, after)]
    old, new = found
    if old is None and new is None:
        raise InputError(
            f"neither version {before.version} nor version {after.version} of table {table!r} has a "
            f"document {doc_id!r}; vecmill diff without --text lists those that differ"
        )
    return list(_unified(before.version, after.version, doc_id, old or [], new or []))


def _pieces(dataset: lance.LanceDataset, doc_id: str) -> list[str] | None:
    """A document's lines, broken behind sentences, none blank; None where the version has none of it."""
    quoted = doc_id.replace("'", "''")
    rows = dataset.to_table(columns=_COLUMNS, filter=f"doc_id = '{quoted}'").sort_by("start").to_pylist()
    if not rows:
        return None
    text = "".join(_joined(rows))
    pieces = [piece for line in text.splitlines() for piece in _sentences(line) if piece.strip()]
    metadata = orjson.loads(rows[0]["metadata"])
    return [*(f"{name}: {value}" for name, value in metadata.items()), *pieces]


def _joined(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A document's text from its chunks, which may overlap; what no chunk holds is a new line."""
    end = 0
    for row in rows:
        gap = row["start"] - end
        if gap > _WIDE_GAP:
            yield f"\n[{gap} characters that no chunk holds]"
        if gap > 0:
            yield "\n"
        yield row["text"][max(0, -gap) :]
        end = max(end, row["end"])


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in SENTENCE.finditer(line):
        yield line[start : match.end()].rstrip()
        start = match.end()
    yield line[start:].rstrip()


def _unified(
    old_version: int, new_version: int, doc_id: str, old: list[str], new: list[str]
) -> Iterator[str]:
    """As diff -u writes it. Indentation is shown, not compared: a chunk does not begin with white space."""
    plain_old, plain_new = ([piece.strip() for piece in pieces] for pieces in (old, new))
    groups = list(SequenceMatcher(None, plain_old, plain_new).get_grouped_opcodes(_CONTEXT))
    if groups:
        yield f"--- {doc_id}@{old_version}"
        yield f"+++ {doc_id}@{new_version}"
    for group in groups:
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, a, a_end, b, b_end in group:
            if tag == "equal":
                yield from (f" {piece}" for piece in new[b:b_end])
                continue
            yield from (f"-{piece}" for piece in old[a:a_end])
            yield from (f"+{piece}" for piece in new[b:b_end])


def _range(start: int, end: int) -> str:
    """Where pieces stand, as diff -u counts: from 1, and where there is none, behind the one before."""
    size = end - start
    return f"{start + 1}" if size == 1 else f"{start + bool(size)},{size}"
