"""Generations beside the live one, seen from the store."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.search.index import Wish
from pipeline.search.indexing import index_table
from pipeline.store.generations import begin, drop, generation_for, size, switch
from pipeline.store.history import rollback
from pipeline.store.keep import Keep
from pipeline.store.log import Log, beside, under_way
from pipeline.store.names import Names
from pipeline.store.retention import Reclaimed, retain
from pipeline.store.versions import entry_at, generation_beside
from pipeline.upkeep import Upkeep
from tests.backfills import SPLITTER, WIDE, fill, filling_job, live, switched
from tests.support import LOCAL, job_for, rows, run, write_pages


@pytest.fixture
def objects(tmp_path: Path, store: str) -> Objects:
    run(job_for(write_pages(tmp_path / "docs", {"a.md": "# A\n\nRivers.", "b.md": "# 山\n\n山。"}), store))
    return Objects(store)


def test_a_generation_that_is_begun_is_there_and_empty_and_begun_once(objects: Objects) -> None:
    name = generation_for(objects, "docs", WIDE, SPLITTER)
    assert under_way(objects, "docs") == []
    log = begin(objects, "docs", name, WIDE, SPLITTER, "r1")
    begin(objects, "docs", name, WIDE, SPLITTER, "r2")
    assert [(one.version, one.chunks, one.run_id) for one in log.entries()] == [(1, 0, "r1")]
    assert generation_for(objects, "docs", WIDE, SPLITTER) == name
    assert log.live().specs() == (WIDE, SPLITTER)


def test_what_the_live_generation_is_already_cannot_be_begun(objects: Objects) -> None:
    with pytest.raises(InputError, match=r"is of the embedding space local/wordllama@64 .* already"):
        generation_for(objects, "docs", LOCAL, SPLITTER)
    with pytest.raises(InputError, match="there is no table 'nope'"):
        generation_for(objects, "nope", WIDE, SPLITTER)


def test_the_next_generation_is_meant_by_a_word_or_by_its_name(objects: Objects, store: str) -> None:
    with pytest.raises(InputError, match="no generation of table 'docs' is under way"):
        entry_at(objects, "docs", "next")
    job = filling_job(store)
    fill(job)
    assert job.generation is not None
    for at in ("next", job.generation):
        assert entry_at(objects, "docs", at).generation == job.generation
    with pytest.raises(InputError, match=f"no generation 7-00000000 under way; it has {job.generation}"):
        entry_at(objects, "docs", "7-00000000")


def test_no_version_can_be_called_next(objects: Objects) -> None:
    with pytest.raises(InputError, match="'next' is always the generation"):
        Names(objects, "docs").give(1, "next")


def test_a_switch_onto_another_version_than_was_seen_does_nothing(objects: Objects, store: str) -> None:
    fill(filling_job(store))
    seen = live(store)
    Log(objects, "docs").append(replace(seen, version=2, kind="maintain"))
    assert switch(objects, generation_beside(objects, "docs"), seen, "r") is None
    assert live(store).kind == "maintain"
    assert len(under_way(objects, "docs")) == 1


def test_a_switch_that_is_killed_before_it_tidies_up_is_still_one(objects: Objects, store: str) -> None:
    job = filling_job(store)
    fill(job)
    left = {path: objects.get(path) or b"" for path in objects.paths(beside("docs"))}
    switched(job, fill(job))
    for path, data in left.items():
        objects.put(path, data)
    assert under_way(objects, "docs") == []
    assert rollback(objects, "docs", 1).version == 3
    assert under_way(objects, "docs") == []


def test_numbers_of_generations_are_never_used_again(objects: Objects, store: str) -> None:
    job = filling_job(store)
    switched(job, fill(job))
    rollback(objects, "docs", 1)
    again = filling_job(store)
    assert (job.generation or "").split("-") == ["2", (again.generation or "").split("-")[1]]
    assert (again.generation or "").startswith("3-")


def test_maintenance_leaves_a_generation_under_way_alone_and_old_ones_as_versions_say(
    objects: Objects, store: str
) -> None:
    job = filling_job(store)
    filling = fill(job)
    keep = Keep(versions=1, days=0, grace=0)
    Upkeep(objects, keep).run()
    assert fill(job).parts == 0
    before = live(store)
    switched(job, replace(filling, level_with=before.version))
    assert retain(objects, "docs", Keep()).generations == 0
    assert retain(objects, "docs", keep, {before.version}).generations == 0
    assert len(rows(store, version=before.version)) == 2
    assert size(objects, "docs", before.generation) > 0
    assert retain(objects, "docs", keep).generations == 1
    assert size(objects, "docs", before.generation) == 0
    assert len(rows(store)) == 2


def test_what_searches_had_beside_a_generation_goes_with_its_last_version(
    objects: Objects, store: str
) -> None:
    job, keep = filling_job(store), Keep(versions=1, days=0, grace=0)
    index_table(objects, "docs", Wish("none"), sketches=True)
    before = live(store)
    switched(job, fill(job))

    def left() -> list[str]:
        return [path for path in objects.paths("tables/docs") if before.generation in path]

    beside = [path for path in left() if ".lance/" not in path]
    assert {path.split("/")[2] for path in beside} == {"indexes", "sketches"}
    told = retain(objects, "docs", keep, dry_run=True)
    assert (told.versions, told.generations) == (1, 1)
    assert set(beside) < set(left())
    assert retain(objects, "docs", keep) == told
    assert left() == []
    objects.put(beside[0], b"left by one that was killed")
    assert retain(objects, "docs", keep) == Reclaimed(0, 1, 27)
    assert left() == []
    assert len(rows(store)) == 2


def test_a_dropped_generation_leaves_nothing_but_the_cache(objects: Objects, store: str) -> None:
    fill(filling_job(store))
    log = generation_beside(objects, "docs")
    index_table(objects, "docs", Wish("none"), sketches=True, generation=log.generation)
    kept = len(objects.paths("cache"))
    assert drop(objects, log) > 0
    assert objects.paths(beside("docs")) == []
    assert [path for path in objects.paths("tables/docs") if str(log.generation) in path] == []
    assert len(objects.paths("cache")) == kept
