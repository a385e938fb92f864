"""assemble: staged chunks join their vectors, wherever these are kept."""

import pickle
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.errors import VecmillError
from pipeline.objects import Objects
from pipeline.stages.assemble import FRAGMENTS, FragmentWriter, Part, assemble
from pipeline.stages.embed import embed
from pipeline.staging import Staging
from tests.pipeline.stages.steps import assembled, listing, planned
from tests.support import LOCAL, job_for, rows, run, write_pages


def _vectors(table: pa.Table) -> dict[str, list[float]]:
    return dict(zip(table["text_hash"].to_pylist(), table["vector"].to_pylist(), strict=True))


def test_with_the_cache_gone_vectors_come_from_the_table_and_nothing_is_embedded(
    tmp_path: Path, store: str
) -> None:
    pages = {f"{n}.md": f"# Page {n}\n\nText {n}.\n\n# 共通\n\n同じ段落。" for n in range(5)}
    folder = write_pages(tmp_path / "docs", pages)
    run(job_for(folder, store))
    before = _vectors(rows(store))
    shutil.rmtree(Path(store, "cache"))
    for n in range(5):  # every page changes, and keeps its chunks
        write_pages(folder, {f"{n}.md": f"# 共通\n\n同じ段落。\n\n# Page {n}\n\nText {n}."})
    report = run(job_for(folder, store))
    assert (report.embedding["texts"], report.documents.changed) == (0, 5)
    assert _vectors(rows(store)) == before
    assert not Path(store, "cache").exists()


def test_vectors_from_the_table_and_from_the_cache_are_the_same(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "# A\n\nfirst\n\n# B\n\nsecond"})
    run(job_for(folder, store))
    pages = {"a.md": "# B\n\nsecond\n\n# A\n\nfirst\n\n# C\n\n三つ目"}
    write_pages(folder, pages)
    both = str(tmp_path / "both")
    shutil.copytree(store, both)
    shutil.rmtree(Path(store, "cache"))
    assert run(job_for(folder, store)).embedding["texts"] == 1
    assert run(job_for(folder, both)).embedding["texts"] == 1
    assert rows(store).equals(rows(both))


def test_each_chunk_gets_the_vector_of_its_own_text_however_often_texts_repeat(
    tmp_path: Path, store: str
) -> None:
    texts = ["川は流れる。", "Stones roll.", "山は高い。", "Stones roll.", "川は流れる。", "Stones roll."]
    body = "\n\n".join(f"# H\n\n{text}" for text in texts)
    folder = write_pages(tmp_path / "docs", {f"{n}.md": body + f"\n\n# N\n\n{n}" for n in range(4)})
    run(job_for(folder, store))
    single = str(tmp_path / "single")
    run(job_for(write_pages(tmp_path / "one", {"x.md": f"{body}\n\n# N\n\n2"}), single))
    alone, table = _vectors(rows(single)), rows(store)
    assert len(table) == 28
    seen = 0
    for text_hash, vector in zip(table["text_hash"].to_pylist(), table["vector"].to_pylist(), strict=True):
        if text_hash in alone:
            assert vector == alone[text_hash]
            seen += 1
    assert seen == 4 * 6 + 1
    norms = np.linalg.norm(np.array(table["vector"].to_pylist()), axis=1)
    assert np.allclose(norms, 1, atol=1e-6)


def test_vectors_that_are_nowhere_stop_the_run_with_what_to_do(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first", "b.md": "second"})
    context, _, made = planned(job_for(folder, store))
    embed(context, made, InlineEngine())
    shutil.rmtree(Path(store, "cache"))
    with pytest.raises(VecmillError, match=r"2 texts that were embedded have no vector.* Run the same"):
        assemble(context, InlineEngine())


def test_staged_fragments_are_seen_by_no_reader(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first"})
    run(job_for(folder, store))
    before = rows(store)
    write_pages(folder, {"a.md": "other", "b.md": "new"})
    context, _ = assembled(job_for(folder, store))
    assert context.staging.read_json(FRAGMENTS)["rows"] == 2
    assert rows(store).equals(before)


def test_a_writer_pickles_as_data_also_after_it_has_worked(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first"})
    context, _ = assembled(job_for(folder, store))
    generation = context.staging.read_json(FRAGMENTS)["generation"]
    uri = Objects(store).at(f"tables/docs/{generation}.lance")
    cached = VectorCache(Objects(store), LOCAL).open()
    assert cached is not None
    writer = FragmentWriter(context.job, uri, ((cached.uri, cached.version),))
    places = pa.table({"source": pa.array([0], pa.uint8()), "address": pa.array([0], pa.uint64())})
    part = Part(["chunks/000000"], [places])
    first = writer(part)
    size = len(pickle.dumps(writer))
    copied, same = pickle.loads(pickle.dumps((writer, part)))
    assert copied == writer
    assert (len(first.fragments), first.rows, copied(same).rows) == (1, 1, 1)
    assert size < 2000


class Recorded(InlineEngine):
    """Works like its parent, and remembers what it was given."""

    def __init__(self) -> None:
        self.shards: list[list[str]] = []

    def map(self, step, items: Iterable):  # type: ignore[no-untyped-def, type-arg]
        """Apply a step to each item."""
        for item in items:
            self.shards.append(item.shards)
            yield step(item)


def test_a_shard_whose_every_text_was_rejected_writes_no_fragment(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first"})
    context, _, made = planned(job_for(folder, store))
    embed(context, made, InlineEngine())
    [row] = context.staging.read_table("chunks/000000").to_pylist()
    context.staging.write_json("dead-letters/embed", [{"text_hash": row["text_hash"]}])
    engine = Recorded()
    assert assemble(context, engine) == 0
    assert engine.shards == [["chunks/000000"]]
    assert context.staging.read_json(FRAGMENTS)["fragments"] == []


def test_a_run_without_chunks_stages_no_fragment_but_the_generation_is_there(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"empty.md": ""})
    context, _ = assembled(job_for(folder, store))
    assert context.staging.read_json(FRAGMENTS)["fragments"] == []
    assert Staging(Objects(store), context.job.run_id).shards("chunks") == []
    assert VectorCache(Objects(store), LOCAL).open() is None
    assert any(path.endswith(".manifest") for path in listing(store))
