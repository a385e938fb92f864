"""A run's folder, and the shards that its stages hand on."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import DeadLetter
from pipeline.objects import Objects
from pipeline.staging import RECORD, ShardWriter, Staging, read_shards, replaced_documents
from tests.storage import Meddler

_ROWS = pa.schema([("text", pa.string()), ("number", pa.int64())])


@pytest.fixture
def staging(store: str) -> Staging:
    return Staging(Objects(store, create=True), "run-1")


def test_a_table_comes_back_as_it_was_staged(staging: Staging) -> None:
    table = pa.table({"text": ["川", ""], "number": [1, None]}, schema=_ROWS)
    staging.write_table("deep/name", table)
    assert staging.read_table("deep/name").equals(table)
    staging.write_table("deep/name", table.slice(1))
    assert len(staging.read_table("deep/name")) == 1


def test_what_was_never_staged_is_named(staging: Staging) -> None:
    with pytest.raises(FileNotFoundError, match=r"runs/run-1/plan\.arrow was never staged"):
        staging.read_table("plan")
    assert staging.read_json("plan") is None
    assert list(read_shards(staging, "chunks")) == []


def test_runs_do_not_see_one_another(staging: Staging, store: str) -> None:
    staging.write_json("plan", {"文": 1})
    assert staging.read_json("plan") == {"文": 1}
    for other in ("run-11", "run"):
        assert Staging(Objects(store), other).read_json("plan") is None
        Staging(Objects(store), other).restart()
    assert staging.read_json("plan") == {"文": 1}


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 100)), max_size=40), st.integers(1, 7))
def test_shards_hold_every_row_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], bound: int
) -> None:
    staging = Staging(Objects(str(tmp_path_factory.mktemp("s"))), "run")
    writer = ShardWriter(staging, "chunks", _ROWS, most=bound)
    for text, number in rows:
        writer.add({"text": text, "number": number})
    writer.flush()
    shards = list(read_shards(staging, "chunks"))
    assert [tuple(row.values()) for shard in shards for row in shard.to_pylist()] == rows
    assert writer.written == len(rows)
    assert all(0 < len(shard) <= bound for shard in shards)


def test_a_shard_ends_where_its_texts_grow_large(staging: Staging) -> None:
    writer = ShardWriter(staging, "chunks", _ROWS)
    for number in range(5):
        writer.add({"text": "x" * 9 * 2**20, "number": number})
    writer.flush()
    assert [len(shard) for shard in read_shards(staging, "chunks")] == [4, 1]


def test_more_than_ten_shards_stay_in_order(staging: Staging) -> None:
    for number in range(12):
        staging.write_table(f"chunks/{number:06d}", pa.table({"number": [number]}))
    assert [shard["number"][0].as_py() for shard in read_shards(staging, "chunks")] == list(range(12))


def test_clearing_keeps_what_people_read_and_beginning_again_keeps_the_record(staging: Staging) -> None:
    def stage() -> None:
        staging.write_table("chunks/000000", pa.table({"a": [1]}))
        staging.write_json("plan", {})
        staging.write_json(RECORD, {"state": "running"})
        staging.bury("split", [DeadLetter("a.md", "file:///a.md", "split", "unreadable")])

    stage()
    staging.clear()
    assert staging.shards("chunks") == []
    assert (staging.read_json("plan"), len(staging.dead_letters())) == ({}, 1)
    stage()
    staging.restart()
    assert (staging.shards("chunks"), staging.read_json("plan"), staging.dead_letters()) == ([], None, [])
    assert staging.read_json(RECORD) == {"state": "running"}


def test_dead_letters_come_in_the_order_of_the_stages(staging: Staging) -> None:
    for stage in ("embed", "list", "split"):
        staging.bury(stage, [DeadLetter(f"{stage}.md", "u", stage, "because", "抜粋", "")])
    staging.bury("embed", [])
    letters = staging.dead_letters()
    assert [letter["doc_id"] for letter in letters] == ["list.md", "split.md", "embed.md"]
    assert letters[0]["id"] == DeadLetter("list.md", "u", "list", "another reason").id


def test_dead_chunks_are_counted_whether_staged_or_not_and_dead_hashes_are_of_staged_ones(
    staging: Staging,
) -> None:
    staging.bury("split", [DeadLetter("a.md", "u", "split", "unreadable")])
    assert (staging.dead_chunks(), len(staging.dead_hashes())) == (0, 0)
    staging.bury("split", [DeadLetter("a.md", "u", "split", "too long", "a", "1")])
    staging.bury("embed", [DeadLetter("b.md", "u", "embed", "rejected", "b", "2")])
    assert (staging.dead_chunks(), staging.dead_hashes().to_pylist()) == (2, ["2"])


def test_replaced_are_the_documents_that_were_touched_and_those_that_are_gone(staging: Staging) -> None:
    staging.write_table("touched", pa.table({"doc_id": ["a", "b"]}))
    staging.write_table("gone", pa.table({"doc_id": ["c"]}))
    assert replaced_documents(staging)["doc_id"].to_pylist() == ["a", "b", "c"]


def test_what_a_process_has_seen_of_its_run_is_not_asked_for_again(remote: str, meddler: Meddler) -> None:
    staging = Staging(Objects(f"{remote}?endpoint_url={meddler.url}&allow_http=true"), "r")
    table = pa.table({"n": [1, 2]})
    staging.write_table("small", table)
    staging.write_json("a", {"b": 1})
    meddler.forget()
    for _ in range(2):
        assert staging.read_table("small").equals(table)
        assert staging.read_json("a") == {"b": 1}
        assert staging.read_json("none") is None
        assert staging.dead_letters() == []
    assert sorted(path.rpartition("/")[2] for _, path in meddler.seen) == [
        *("earlier.json", "embed.json", "list.json", "none.json", "split.json")
    ]
    staging.write_json("none", 2)
    staging.restart()
    assert [staging.read_json(name) for name in ("a", "none")] == [None, None]


def test_shards_come_in_order_whatever_is_written_meanwhile(store: str) -> None:
    staging = Staging(Objects(store, create=True), "r")
    large = [pa.table({"n": list(range(n, n + 50_000))}) for n in range(6)]
    for number, table in enumerate(large):
        staging.write_table(f"s/{number}", table.slice(0, 3) if number % 2 else table)
    found = []
    for number, table in enumerate(read_shards(staging, "s")):
        found.append(table)
        staging.write_table(f"t/{number}", table)
    assert [len(table) for table in found] == [50_000, 3] * 3
    assert [table["n"][0].as_py() for table in found] == list(range(6))
    assert [table["n"][0].as_py() for table in read_shards(staging, "t")] == list(range(6))


def test_letters_of_earlier_parts_are_carried_until_their_documents_are_done_again(staging: Staging) -> None:
    staging.bury("split", [DeadLetter("a.md", "u", "split", "unreadable")])
    staging.bury("embed", [DeadLetter("b.md", "u", "embed", "rejected", "b", "1")])
    staging.carry_letters({"a.md", "b.md"})
    staging.restart()
    assert [letter["doc_id"] for letter in staging.dead_letters()] == ["a.md", "b.md"]
    assert len(staging.dead_hashes()) == 0
    staging.bury("embed", [DeadLetter("c.md", "u", "embed", "rejected", "c", "2")])
    staging.carry_letters({"a.md", "c.md"})
    staging.restart()
    assert [letter["doc_id"] for letter in staging.dead_letters()] == ["b.md", "c.md"]
    assert staging.dead_chunks() == 2
    twice = DeadLetter("b.md", "u", "embed", "rejected", "b", "1")
    staging.bury("embed", [twice, twice])  # two chunks of one text
    assert [letter["doc_id"] for letter in staging.dead_letters()] == ["c.md", "b.md", "b.md"]
