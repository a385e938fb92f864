"""A generation, and the one commit that a publish makes to it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import lance
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lance.fragment import write_fragments

from pipeline import schema
from pipeline.errors import StoreRefused
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log
from pipeline.store.table import (
    Change,
    Committed,
    commit,
    ensure_generation,
    generation_name,
    generation_uri,
    open_version,
    tag_live,
)
from tests.support import LOCAL, OPENAI

_SPLITTER = SplitterSpec(max_tokens=64)


@pytest.fixture
def uri(store: str) -> str:
    """A generation without rows."""
    return ensure_generation(Objects(store, create=True), "docs", "1-ab", LOCAL, _SPLITTER)


def _staged(uri: str, documents: Sequence[str]) -> list[str]:
    """Fragments of one chunk for each document named; a document named twice has two."""
    target = schema.table(LOCAL, _SPLITTER)
    count = len(documents)
    values: dict[str, pa.Array] = {"doc_id": pa.array(documents, pa.string())}
    values["chunk_id"] = pa.array([f"{doc}-{place}" for place, doc in enumerate(documents)])
    vectors = pa.array(np.eye(count, 64, dtype=np.float32).reshape(-1))
    values["vector"] = pa.FixedSizeListArray.from_arrays(vectors, 64)
    values["heading_path"] = pa.array([[]] * count, pa.list_(pa.string()))
    for field in target:
        if field.name not in values:
            zero = "x" if field.type == pa.string() else 0
            values[field.name] = pa.array([zero] * count).cast(field.type)
    rows = pa.table([values[name] for name in target.names], schema=target)
    return [orjson.dumps(made.to_json()).decode() for made in write_fragments(rows, uri, schema=target)]


def _put(
    uri: str, live: Entry | None, documents: Sequence[str], replaced: Sequence[str] = ()
) -> Committed | None:
    fragments = _staged(uri, documents) if documents else []
    return commit(uri, None, live, Change(fragments, _held(uri, live, replaced), {"vecmill.run_id": "r"}))


def _held(uri: str, live: Entry | None, documents: Sequence[str]) -> pa.Array:
    """The addresses of documents' rows."""
    dataset = lance.dataset(uri, version=live.lance_version if live else None)
    rows = dataset.to_table(columns=["doc_id"], with_row_address=True)
    if not live:
        return pa.array([], pa.uint64())
    return rows.filter(pc.is_in(rows["doc_id"], pa.array(documents, pa.string())))[
        "_rowaddr"
    ].combine_chunks()


def _entry(committed: Committed | None, version: int = 1) -> Entry:
    assert committed is not None
    facts = (version, "ingest", "1-ab", committed.lance_version, "r", "", committed.rows)
    return Entry(*facts, asdict(LOCAL), asdict(_SPLITTER))


def _documents(uri: str, live: Entry) -> list[str]:
    found: list[str] = lance.dataset(uri, version=live.lance_version).to_table()["doc_id"].to_pylist()
    return sorted(found)


def test_a_generation_is_named_by_what_made_it(store: str) -> None:
    name = generation_name(1, LOCAL, _SPLITTER)
    assert name == generation_name(1, LOCAL, SplitterSpec(max_tokens=64))
    others = {
        generation_name(2, LOCAL, _SPLITTER),
        generation_name(1, OPENAI, _SPLITTER),
        generation_name(1, LOCAL, SplitterSpec()),
    }
    assert len({name, *others}) == 4
    assert generation_uri(Objects(store, create=True), "docs", name) == f"{store}/tables/docs/{name}.lance"


def test_a_new_generation_is_empty_carries_its_specs_and_finds_words(uri: str, store: str) -> None:
    again = ensure_generation(Objects(store), "docs", "1-ab", LOCAL, _SPLITTER)
    dataset = lance.dataset(uri)
    assert (again, dataset.version, dataset.count_rows()) == (uri, 2, 0)
    assert schema.specs(dataset.schema) == (LOCAL, _SPLITTER)
    assert [index.name for index in dataset.describe_indices()] == ["text_idx"]


def test_a_generation_whose_creator_was_killed_before_its_index_is_completed(store: str) -> None:
    path = Path(store, "tables/docs/1-ab.lance")
    lance.write_dataset(schema.table(LOCAL, _SPLITTER).empty_table(), path, mode="create")
    uri = ensure_generation(Objects(store), "docs", "1-ab", LOCAL, _SPLITTER)
    assert len(lance.dataset(uri).describe_indices()) == 1


def test_a_commit_replaces_the_documents_named_and_no_others(uri: str) -> None:
    first = _entry(_put(uri, None, ["a", "a", "b", "c"]))
    second = _put(uri, first, ["b", "d"], ["b", "c", "never seen"])
    assert _documents(uri, _entry(second)) == ["a", "a", "b", "d"]
    assert second is not None
    assert sorted(second.replaced.to_pylist()) == ["b-2", "c-3"]
    assert second.rows == 4
    assert _documents(uri, first) == ["a", "a", "b", "c"]


def test_a_commit_can_take_every_row_away(uri: str) -> None:
    first = _entry(_put(uri, None, ["a", "b"]))
    second = _entry(_put(uri, first, [], ["a", "b"]))
    assert (second.chunks, _documents(uri, second)) == (0, [])
    assert _documents(uri, _entry(_put(uri, second, ["c"]))) == ["c"]


def test_rows_that_a_killed_run_committed_without_a_log_entry_never_show_up(uri: str) -> None:
    first = _entry(_put(uri, None, ["a"]))
    assert _put(uri, first, ["leaked"], ["a"])
    second = _entry(_put(uri, first, ["b"]))
    assert _documents(uri, second) == ["a", "b"]
    assert _put(uri, second, ["leaked too"])
    assert _put(uri, second, ["and again"])
    assert _documents(uri, _entry(_put(uri, second, []))) == ["a", "b"]


def test_a_first_publish_is_based_on_nothing_whatever_was_committed_before(uri: str) -> None:
    assert _put(uri, None, ["leaked"])
    assert _documents(uri, _entry(_put(uri, None, ["a"]))) == ["a"]


class Late(list[str]):
    """Fragments that let a rival commit first, once the version to build on has been chosen."""

    def __init__(self, fragments: Sequence[str], rival: Callable[[], object]) -> None:
        super().__init__(fragments)
        self._rival = rival

    def __iter__(self) -> Iterator[str]:
        """Go through the fragments."""
        self._rival()
        return super().__iter__()


@pytest.mark.parametrize("rivals_replace", [[], ["a"]])
def test_a_commit_that_another_came_before_is_not_taken_for_ones_own(
    uri: str, rivals_replace: list[str]
) -> None:
    live = _entry(_put(uri, None, ["a", "b"]))
    late = Late(_staged(uri, ["late"]), lambda: _put(uri, live, ["rival"], rivals_replace))
    assert commit(uri, None, live, Change(late, _held(uri, live, ["a"]), {})) is None
    again = _entry(_put(uri, live, ["late"], ["a"]))
    assert _documents(uri, again) == ["b", "late"]


def test_a_commit_carries_the_facts_of_its_run(uri: str) -> None:
    entry = _entry(_put(uri, None, ["a"]))
    transaction = lance.dataset(uri).read_transaction(entry.lance_version)
    assert transaction is not None
    assert transaction.transaction_properties == {"vecmill.run_id": "r"}


def test_a_text_that_came_after_the_index_is_found_by_it(uri: str) -> None:
    entry = _entry(_put(uri, None, ["a"]))
    dataset = lance.dataset(uri, version=entry.lance_version)
    assert dataset.to_table(full_text_query="x", columns=["doc_id"])["doc_id"].to_pylist() == ["a"]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcd"), max_size=4),
            st.lists(st.sampled_from("abcd"), max_size=2, unique=True),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_committed_and_abandoned_a_version_holds_what_its_publishes_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[str], list[str], bool]]
) -> None:
    store = Objects(str(tmp_path_factory.mktemp("store")))
    uri = ensure_generation(store, "docs", "1-ab", LOCAL, _SPLITTER)
    live: Entry | None = None
    expected: list[str] = []
    for added, replaced, published in steps:
        committed = _put(uri, live, added, replaced)
        if published:
            live = _entry(committed)
            expected = sorted([doc for doc in expected if doc not in replaced] + added)
            assert _documents(uri, live) == expected
            assert live.chunks == len(expected)


def test_a_version_that_is_gone_is_refused_by_name(uri: str, store: str) -> None:
    entry = _entry(_put(uri, None, ["a"]))
    for missing in (
        Entry(**{**asdict(entry), "lance_version": 99}),
        Entry(**{**asdict(entry), "generation": "2-cd"}),
    ):
        with pytest.raises(StoreRefused, match="version 1 of table 'docs' is gone"):
            open_version(Objects(store), "docs", missing)
        with pytest.raises(StoreRefused, match="there is no Lance dataset"):
            commit(
                generation_uri(Objects(store), "docs", missing.generation),
                None,
                missing,
                Change([], pa.array([], pa.uint64()), {}),
            )


def test_a_tag_that_cannot_be_set_stops_nobody(uri: str, store: str) -> None:
    log = Log(Objects(store), "docs")
    log.append(_entry(_put(uri, None, ["a"])))
    Path(uri, "_refs").write_text("in the way", "utf-8")
    tag_live(Objects(store), log)
    assert log.live().version == 1
