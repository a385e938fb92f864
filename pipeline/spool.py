"""The spool: finished requests on their way into the vector cache.

Each finished request is a file of its own, written aside and renamed, before it is reported: a
killed run loses only what was in flight. Files are named by the texts they hold, so that whoever
is given the same request again finds it done. A file that a power cut left incomplete holds nothing.
"""

from collections.abc import Iterable, Iterator, Sequence

import orjson
import pyarrow as pa

from pipeline import ids, schema
from pipeline.cache import VectorCache, folder_name
from pipeline.model import Outcome
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.space import Space

_SUFFIX = ".arrow"
_OUTCOME = b"vecmill.outcome"
_APPEND_BYTES = 64 * 2**20
_AHEAD = 8  # files read ahead: one can have some ten megabytes


class Spool:
    """Finished requests of one space."""

    def __init__(self, objects: Objects, space: Space) -> None:
        self._objects = objects
        self._folder = f"spool/{folder_name(space)}"
        self._schema = schema.vectors(space.dimensions)

    def put(self, hashes: Sequence[str], vectors: Vectors, outcome: Outcome) -> str:
        """Keep a finished request; gives its name."""
        flat = pa.array(vectors.reshape(-1))
        columns = [pa.array(hashes), pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])]
        facts = {_OUTCOME: orjson.dumps(outcome)}
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema.with_metadata(facts))
        sink = pa.BufferOutputStream()
        # A file ends in a footer: of a stream, a part that ends with a message would pass for the whole.
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        name = self._name(hashes)
        self._objects.put(self._path(name), sink.getvalue().to_pybytes())
        return name

    def find(self, hashes: Sequence[str]) -> Outcome | None:
        """What a request with these texts came to, if it was finished; None otherwise."""
        name = self._name(hashes)
        data = self._objects.get(self._path(name))
        rows = self._table(data) if data else None
        if not rows:
            return None
        outcome = orjson.loads(rows.schema.metadata[_OUTCOME])
        return Outcome(**{**outcome, "rejected": (), "undone": (), "spooled": (name,)})

    def names(self) -> list[str]:
        """The finished requests that are not in the cache yet."""
        paths = self._objects.paths(self._folder)
        return [path.rpartition("/")[2] for path in paths if path.endswith(_SUFFIX)]

    def rows(self, names: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
        """Read finished requests; what another sink has just taken in is left out."""
        names = list(names)
        for name, data in zip(names, self._objects.get_all(map(self._path, names), _AHEAD), strict=True):
            if data is not None:
                yield name, self._table(data).cast(self._schema)

    def drain(self, cache: VectorCache, names: Sequence[str]) -> None:
        """Take finished requests into the cache: first the vectors durably, then the files away."""
        taken: list[str] = []
        tables: list[pa.Table] = []
        for name, rows in self.rows(names):
            taken.append(name)
            tables.append(rows)
            if sum(table.nbytes for table in tables) >= _APPEND_BYTES:
                self._take_in(cache, taken, tables)
                taken, tables = [], []
        self._take_in(cache, taken, tables)

    def _take_in(self, cache: VectorCache, names: list[str], tables: list[pa.Table]) -> None:
        if any(map(len, tables)):
            cache.append(pa.concat_tables(tables))
        self._objects.delete_all(list(map(self._path, names)))

    def _table(self, data: bytes) -> pa.Table:
        try:
            return pa.ipc.open_file(data).read_all()
        except pa.ArrowInvalid:
            return self._schema.empty_table()

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _name(self, hashes: Sequence[str]) -> str:
        return f"{ids.digest(*hashes)}{_SUFFIX}"
