"""A run's folder: what its stages hand to one another, and what is left to read afterwards."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import pyarrow as pa

from pipeline.model import DeadLetter
from pipeline.objects import Objects

RECORD = "run"  # the JSON document that says how the run goes
SPENT = "spent"  # and the one that says what it has spent until now
_TABLE = ".arrow"  # what staged tables' names end in
# A run's chunks are read three times, and kept no longer than it runs: zstd would halve them, and take
# six times as long.
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")
_AHEAD = 4  # shards read ahead: one can have 32 MB
_SMALL = 2**16  # bytes of an object that is remembered
_LETTERS = tuple(f"dead-letters/{stage}" for stage in ("list", "split", "embed"))
_EARLIER = "dead-letters/earlier"
EXCERPT = 200  # characters of a dead letter's text


class Staging:
    """Reads and writes `runs/<run_id>/`; nothing in it is seen by readers of a table.

    One process writes a run's folder, so what it has seen of small objects it need not ask for again.
    """

    def __init__(self, objects: Objects, run_id: str) -> None:
        self._objects = objects
        self._folder = f"runs/{run_id}"
        self._seen: dict[str, bytes | None] = {}  # by path

    def write_table(self, name: str, rows: pa.Table) -> None:
        """Stage a table, as an Arrow file."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema, options=_PACKED) as file:
            file.write_table(rows)
        self._put(f"{self._folder}/{name}{_TABLE}", sink.getvalue().to_pybytes())

    def read_table(self, name: str) -> pa.Table:
        """Read a staged table back."""
        return next(self.read_tables([name]))

    def read_tables(self, names: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read staged tables back, one after another; on object storage the next ones are on their way."""
        paths = [f"{self._folder}/{name}{_TABLE}" for name in names]
        for path, data in zip(paths, self._get_all(paths), strict=True):
            if data is None:
                raise FileNotFoundError(f"{path} was never staged")
            yield _read(data, columns)

    def shards(self, name: str) -> list[str]:
        """The names of a table's staged shards, in order."""
        start = len(self._folder) + 1
        return [path[start:].removesuffix(_TABLE) for path in self._objects.paths(f"{self._folder}/{name}")]

    def write_json(self, name: str, value: Any) -> None:
        """Stage a JSON document."""
        self._put(f"{self._folder}/{name}.json", orjson.dumps(value, option=orjson.OPT_INDENT_2))

    def read_json(self, name: str) -> Any:
        """Read a staged JSON document; None where there is none."""
        return next(self._read_jsons([name]))

    def _read_jsons(self, names: Sequence[str]) -> Iterator[Any]:
        for data in self._get_all([f"{self._folder}/{name}.json" for name in names]):
            yield None if data is None else orjson.loads(data)

    def _put(self, path: str, data: bytes) -> None:
        self._objects.put(path, data)
        self._keep(path, data)

    def _get_all(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        known = {path: self._seen[path] for path in paths if path in self._seen}
        asked = self._objects.get_all([path for path in paths if path not in known], _AHEAD)
        for path in paths:
            if path in known:
                yield known[path]
            else:
                data = next(asked)
                self._keep(path, data)
                yield data

    def _keep(self, path: str, data: bytes | None) -> None:
        if data is None or len(data) <= _SMALL:
            self._seen[path] = data
        else:
            self._seen.pop(path, None)

    def clear(self) -> None:
        """Remove what only a run under way needs; records, plan and dead letters stay."""
        paths = self._objects.paths(self._folder)
        self._delete([path for path in paths if is_table(path)])

    def restart(self) -> None:
        """Forget what the stages have left, so that they can begin again; the run's records stay."""
        records = {f"{self._folder}/{name}.json" for name in (RECORD, SPENT, _EARLIER)}
        paths = self._objects.paths(self._folder)
        self._delete([path for path in paths if path not in records])

    def _delete(self, paths: Sequence[str]) -> None:
        self._seen.clear()
        self._objects.delete_all(paths)

    def bury(self, stage: str, letters: Sequence[DeadLetter]) -> None:
        """Keep a stage's dead letters."""
        if letters:
            records = [{"id": letter.id, **asdict(letter)} for letter in letters]
            self.write_json(f"dead-letters/{stage}", records)

    def dead_letters(self) -> list[dict[str, Any]]:
        """The run's dead letters, in the order of its stages; those of its earlier parts come first."""
        earlier, *found = self._read_jsons([_EARLIER, *_LETTERS])
        own = [letter for letters in found for letter in letters or ()]
        again = {letter["id"] for letter in own}
        return [letter for letter in earlier or () if letter["id"] not in again] + own

    def carry_letters(self, done: Collection[str]) -> None:
        """Keep the letters of this part of the run for the next; `done` are the documents of this part."""
        earlier = [one for one in self.read_json(_EARLIER) or () if one["doc_id"] not in done]
        letters = [letter for letters in self._read_jsons(_LETTERS) for letter in letters or ()]
        if earlier or letters:
            self.write_json(_EARLIER, earlier + letters)

    def dead_hashes(self) -> pa.Array:
        """The text_hash of each staged chunk that is a dead letter."""
        letters = self.read_json("dead-letters/embed") or ()
        return pa.array([letter["text_hash"] for letter in letters], pa.string())

    def dead_chunks(self) -> int:
        """The number of chunks that are dead letters: those that were too long to be staged, too."""
        return sum(bool(letter["text_hash"]) for letter in self.dead_letters())


def is_table(path: str) -> bool:
    """Whether an object of a run's folder is a staged table, which only a run under way needs."""
    return path.endswith(_TABLE)


def _read(data: bytes, columns: Sequence[str] | None) -> pa.Table:
    """A staged table, or columns of it; the others are not unpacked."""
    file = pa.ipc.open_file(data)
    if columns is None:
        return file.read_all()
    own = [file.schema.get_field_index(name) for name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=own)
    return pa.ipc.open_file(data, options=options).read_all().select([*columns])


class ShardWriter:
    """Cuts a stream of rows into staged shards of bounded size."""

    _BYTES = 32 * 2**20

    def __init__(self, staging: Staging, name: str, schema: pa.Schema, most: int = 8192) -> None:
        self._staging = staging
        self._name = name
        self._schema = schema
        self._most = most  # rows a shard
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._shards = 0
        self.written = 0  # rows

    def add(self, row: dict[str, Any]) -> None:
        """Take a row."""
        self._rows.append(row)
        self._bytes += len(row["text"])
        if len(self._rows) >= self._most or self._bytes >= self._BYTES:
            self.flush()

    def flush(self) -> None:
        """Stage the rows taken since the last shard."""
        if self._rows:
            rows = pa.Table.from_pylist(self._rows, schema=self._schema)
            self._staging.write_table(f"{self._name}/{self._shards:06d}", rows)
            self.written += len(self._rows)
            self._shards += 1
            self._rows, self._bytes = [], 0


def read_shards(staging: Staging, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a table's shards, or columns of them, one after another."""
    yield from staging.read_tables(staging.shards(name), columns)


def replaced_documents(staging: Staging) -> pa.Table:
    """The ids of documents whose present rows a publish takes away: changed, new and gone ones."""
    return pa.concat_tables([staging.read_table("touched"), staging.read_table("gone")])
