"""Backfills from end to end: beside the live generation, level with it, switched to, and back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, OverBudget, TooManyFailures
from pipeline.job import Budget, Endpoint
from pipeline.ledger import Ledger
from pipeline.letters import DeadLetters
from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.ports import P, T
from pipeline.run import ingest, plan_only
from pipeline.search.find import search
from pipeline.search.index import Indexes, Wish, is_indexed
from pipeline.search.indexing import index_table
from pipeline.search.sketches import Kept
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.generations import drop
from pipeline.store.history import rollback
from pipeline.store.log import Log, under_way
from pipeline.store.table import open_version
from pipeline.store.versions import generation_beside
from tests.backfills import SPLITTER, WIDE, engines, fill, filling_job, live, switched
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import job_for, metered, rows, run, write_pages

_PAGES = {
    **{
        f"en/{n:02}.md": f"# River {n}\n\nIt rose by {n} inches.\n\n## Fields\n\nWet on day {n}."
        for n in range(12)
    },
    **{
        f"ja/{n:02}.md": f"# 川{n}\n\n川は{n}センチ増水した。\n\n## 畑\n\n{n}日目は水浸し。"
        for n in range(12)
    },
}


@pytest.fixture
def folder(tmp_path: Path, store: str) -> Path:
    folder = write_pages(tmp_path / "docs", _PAGES)
    run(job_for(folder, store))
    return folder


def _fresh(folder: Path, tmp_path: Path, **changes: Any) -> Any:
    """What a table of its own holds after one ingest."""
    aside = str(tmp_path / "fresh")
    run(job_for(folder, aside, **{"space": WIDE, **changes}))
    return rows(aside)


class Meanwhile:
    """A runner that lets something happen before a stage, once at each time that it is asked for."""

    def __init__(self, stage: str, happens: Callable[[], object], times: int = 1) -> None:
        self._stage = stage
        self._happens = happens
        self.left = times

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage here."""
        if stage.__name__ == self._stage and self.left:
            self.left -= 1
            self._happens()
        return stage(*args, **kwargs)


def test_after_the_switch_the_table_is_as_if_freshly_ingested(
    folder: Path, store: str, tmp_path: Path
) -> None:
    before = rows(store)
    job = filling_job(store)
    filling = fill(job)
    assert filling.documents == DocumentCounts(new=24)
    assert (filling.level_with, filling.parts, filling.rebuilt, filling.partial) == (1, 1, 0, False)
    assert rows(store).equals(before)
    assert live(store).version == 1
    entry = switched(job, filling)
    assert (entry.version, entry.kind, entry.generation) == (2, "switch", job.generation)
    assert rows(store).equals(_fresh(folder, tmp_path))
    assert under_way(Objects(store), "docs") == []


@pytest.mark.slow
def test_what_is_ingested_during_a_backfill_is_taken_along(folder: Path, store: str, tmp_path: Path) -> None:
    number = iter(range(99))

    def ingests() -> None:
        n = next(number)
        write_pages(folder, {f"new/{n}.md": f"# New {n}\n\nWords.", "en/03.md": f"# Changed\n\n{n} times."})
        (folder / f"ja/{n:02}.md").unlink()
        run(job_for(folder, store))

    job = filling_job(store)
    filling = fill(job, part=9, runner=Meanwhile("embed", ingests, times=3))
    assert live(store).version == filling.level_with == 4
    switched(job, filling)
    assert rows(store).equals(_fresh(folder, tmp_path))


def test_an_ingest_right_before_the_switch_is_taken_along(folder: Path, store: str, tmp_path: Path) -> None:
    job = filling_job(store)
    filling = fill(job)
    write_pages(folder, {"late.md": "# Late\n\nBut not too late."})
    run(job_for(folder, store))
    entry = switched(job, filling)
    assert entry.version == 3
    assert rows(store).equals(_fresh(folder, tmp_path))


def test_a_backfill_that_is_repeated_does_nothing_and_pays_nothing(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url)
        first = fill(filling_job(store, **access))
        again = fill(filling_job(store, **access))
        assert first.embedding["texts"] == endpoint.ledger.texts_billed > 0
        assert (again.parts, again.documents) == (0, DocumentCounts(unchanged=24))
        assert again.embedding["texts"] == 0
        assert again.generation == first.generation


@pytest.mark.slow
def test_parts_are_kept_and_a_failed_backfill_goes_on_behind_them(
    folder: Path, store: str, tmp_path: Path
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url, batch_inputs=4)
        job = filling_job(store, **access)

        def fails() -> None:
            if endpoint.ledger.texts_billed > 20:
                raise RuntimeError("the machine is on fire")

        with pytest.raises(RuntimeError):
            fill(job, part=10, runner=Meanwhile("publish", fails, times=99))
        kept = Log(Objects(store), "docs", job.generation).live().chunks
        assert 0 < kept < live(store).chunks
        assert Ledger(Objects(store)).run(job.run_id)["state"] == "failed"
        filling = fill(replace(job, run_id="again"), part=10)
        assert filling.documents.unchanged > 0
        assert endpoint.ledger.billed_more_than_once() == {}
        switched(job, filling)
        assert rows(store).equals(_fresh(folder, tmp_path, **access))


def test_a_plan_tells_the_price_and_leaves_the_store_alone(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = filling_job(store, **metered(endpoint.url))
        planned = plan_only(job)
        assert under_way(Objects(store), "docs") == []
        filling = fill(job)
        assert (planned.texts, planned.tokens) == (
            endpoint.ledger.texts_billed,
            endpoint.ledger.tokens_billed,
        )
        assert planned.cost_usd == filling.cost_usd


@pytest.mark.slow
def test_a_backfill_over_its_budget_pays_nothing_however_small_its_parts(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = filling_job(store, **metered(endpoint.url))
        tokens = plan_only(job).tokens
        with pytest.raises(OverBudget):
            fill(replace(job, budget=Budget(tokens=tokens - 1)), part=3)
        assert endpoint.ledger.arrived == 0
        fill(replace(job, run_id="2", budget=Budget(tokens=tokens)), part=3)


def test_the_new_space_is_searched_before_the_switch_and_spaces_never_mix(folder: Path, store: str) -> None:
    objects = Objects(store)
    fill(filling_job(store))
    found = search(objects, "docs", "川は3センチ増水した。", endpoint=Endpoint(), at="next", space=WIDE)
    assert found[0]["doc_id"] == "ja/03.md"
    for at, space in (("next", Space("local", "wordllama", 64)), (None, WIDE)):
        with pytest.raises(InputError, match="vectors of two spaces cannot be compared"):
            search(objects, "docs", "rivers", endpoint=Endpoint(), at=at, space=space)


def test_an_ingest_in_the_old_space_is_refused_after_the_switch_with_both_names(
    folder: Path, store: str
) -> None:
    job = filling_job(store)
    switched(job, fill(job))
    with pytest.raises(
        InputError, match=r"is of the embedding space local/wordllama@128.*local/wordllama@64"
    ):
        run(job_for(folder, store))
    assert run(job_for(folder, store, space=WIDE)).published is False


def test_an_ingest_that_the_switch_overtakes_is_refused_and_changes_nothing(folder: Path, store: str) -> None:
    job = filling_job(store)
    filling = fill(job)
    write_pages(folder, {"late.md": "# Late\n\nToo late."})
    late = Meanwhile("publish", lambda: switched(job, filling))
    with pytest.raises(InputError, match="local/wordllama@128"):
        ingest(job_for(folder, store), engines, late)
    assert live(store).kind == "switch"
    assert "late.md" not in rows(store)["doc_id"].to_pylist()


def test_a_switch_is_taken_back_and_made_again_without_paying(
    folder: Path, store: str, tmp_path: Path
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url)
        before = rows(store)
        job = filling_job(store, **access)
        switched(job, fill(job))
        entry = rollback(Objects(store), "docs", 1)
        assert (entry.version, entry.generation) == (3, "1-" + live(store).generation[2:])
        assert rows(store).equals(before)
        write_pages(folder, {"more.md": "# More\n\nWords."})
        run(job_for(folder, store))
        billed = endpoint.ledger.texts_billed
        again = filling_job(store, **access)
        assert again.generation is not None
        assert again.generation.startswith("3-")
        switched(again, fill(again))
        assert endpoint.ledger.texts_billed == billed + 1
        assert endpoint.ledger.billed_more_than_once() == {}
        assert len(rows(store)) == len(before) + 1
        assert rollback(Objects(store), "docs", 2).generation == job.generation


def test_another_splitter_is_another_generation_in_the_same_space(
    folder: Path, store: str, tmp_path: Path
) -> None:
    spec = SplitterSpec("recursive", 16, prefix_headings=False)
    job = filling_job(store, splitter=spec, space=Space("local", "wordllama", 64))
    switched(job, fill(job))
    assert rows(store).equals(_fresh(folder, tmp_path, splitter=spec, space=Space("local", "wordllama", 64)))


@pytest.mark.slow
def test_a_part_of_the_table_is_filled_kept_in_step_and_completed(
    folder: Path, store: str, tmp_path: Path
) -> None:
    part = fill(filling_job(store, where="doc_id like 'ja/%'"))
    assert (part.documents, part.partial) == (DocumentCounts(new=12), True)
    write_pages(folder, {"ja/00.md": "# 変更", "en/00.md": "# Changed"})
    (folder / "ja/01.md").unlink()
    run(job_for(folder, store))
    again = fill(filling_job(store, where="doc_id = 'ja/02.md'"))
    assert again.documents == DocumentCounts(changed=1, deleted=1, unchanged=10)
    with pytest.raises(InputError, match="holds a part of table 'docs' only"):
        switched(filling_job(store), again)
    job = filling_job(store)
    whole = fill(job)
    assert whole.documents == DocumentCounts(new=12, unchanged=11)
    switched(job, whole)
    assert rows(store).equals(_fresh(folder, tmp_path))


@pytest.mark.parametrize("where", ["doc_id like 'ko/%'", "nonsense", "1"])
def test_a_filter_that_finds_nothing_or_is_none_is_refused(folder: Path, store: str, where: str) -> None:
    with pytest.raises(InputError, match="--where"):
        fill(filling_job(store, where=where))


def test_sources_that_are_gone_or_changed_are_rebuilt_from_the_table_and_named(
    folder: Path, store: str, tmp_path: Path
) -> None:
    odd = {"odd.md": "# Odd\n\n\n\n\tA text   \n\n   with odd\twhite space.  \n\n\n# End\n\n\n"}
    write_pages(folder, {"en/00.md": "# Not ingested yet"})  # its old text is told by its hash
    (folder / "en/01.md").unlink()
    write_pages(folder, odd)
    run(job_for(folder, store, only=("odd.md",)))
    (folder / "odd.md").unlink()
    job = filling_job(store)
    filling = fill(job)
    assert (filling.rebuilt, list(filling.rebuilt_ids)) == (1, ["odd.md"])
    switched(job, filling)
    held = set(rows(store)["doc_id"].to_pylist())
    assert {"en/00.md", "en/01.md", "odd.md"} <= held
    write_pages(folder, odd)
    report = run(job_for(folder, store, space=WIDE))
    assert (report.documents.changed, report.documents.deleted) == (2, 1)
    assert rows(store).equals(_fresh(folder, tmp_path))


def test_texts_that_the_new_space_rejects_are_letters_of_the_new_generation(
    tmp_path: Path, store: str
) -> None:
    pages = {f"{n}.md": f"# {n}\n\nWords of page {n}." for n in range(6)}
    folder = write_pages(tmp_path / "docs", {**pages, "bad.md": "# Bad\n\nA bad egg."})
    (folder / "binary.md").write_bytes(b"\0\1\2")
    run(job_for(folder, store, budget=Budget(failures=1.0)))
    letters = DeadLetters(Objects(store))
    assert [(one.doc_id, one.generation) for one in letters.all()] == [("binary.md", "")]
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        access = metered(endpoint.url)
        job = filling_job(store, budget=Budget(failures=0.0), **access)
        with pytest.raises(TooManyFailures):
            fill(job, part=2)
        allowed = replace(job, run_id="2", budget=Budget(failures=0.5))
        filling = fill(allowed, part=2)
        assert (filling.documents.failed, filling.chunks.dead) == (1, 1)
        mine = {one.doc_id: one.generation for one in letters.all()}
        assert mine == {"binary.md": "", "bad.md": job.generation}
        [shown] = Ledger(Objects(store)).run("2")["dead_letters"]
        assert (shown["doc_id"], shown["state"]) == ("bad.md", "open")
        switched(allowed, filling)
        assert {one.doc_id: one.generation for one in letters.all()} == {"binary.md": "", "bad.md": ""}


def test_a_generation_is_dropped_and_what_it_paid_for_is_kept(folder: Path, store: str) -> None:
    objects = Objects(store)
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url)
        fill(filling_job(store, **access))
        billed = endpoint.ledger.texts_billed
        filled = generation_beside(objects, "docs")
        assert drop(objects, filled) > 0
        assert under_way(objects, "docs") == []
        assert objects.paths(f"tables/docs/{filled.generation}.lance") == []
        job = filling_job(store, **access)
        switched(job, fill(job))
        assert endpoint.ledger.texts_billed == billed


def test_two_candidates_grow_side_by_side_and_are_told_apart(folder: Path, store: str) -> None:
    objects = Objects(store)
    first = filling_job(store)
    fill(first)
    second = filling_job(store, space=Space("local", "wordllama", 256))
    fill(second)
    assert [log.generation for log in under_way(objects, "docs")] == [second.generation, first.generation]
    with pytest.raises(InputError, match="more than one generation under way"):
        generation_beside(objects, "docs")
    entry = generation_beside(objects, "docs", first.generation).live()
    assert entry.specs() == (WIDE, SPLITTER)
    switched(second, fill(second))
    assert [log.generation for log in under_way(objects, "docs")] == [first.generation]


def test_a_backfill_of_a_backfilled_table_finds_the_same_sources(
    folder: Path, store: str, tmp_path: Path
) -> None:
    job = filling_job(store)
    switched(job, fill(job))
    space = Space("local", "wordllama", 256)
    again = filling_job(store, space=space)
    filling = fill(again)
    assert filling.rebuilt == 0
    switched(again, filling)
    assert rows(store).equals(_fresh(folder, tmp_path, space=space))


@pytest.mark.slow
def test_a_backfill_on_object_storage_is_as_one_in_a_folder(tmp_path: Path, remote: str) -> None:
    folder = write_pages(tmp_path / "docs", dict(list(_PAGES.items())[::6]))
    run(job_for(folder, remote))
    job = filling_job(remote)
    filling = fill(job, part=4, runner=Meanwhile("publish", lambda: run(job_for(folder, remote))))
    assert filling.parts > 1
    switched(job, filling)
    assert rows(remote).equals(_fresh(folder, tmp_path))
    assert under_way(Objects(remote), "docs") == []


@pytest.mark.slow
def test_two_backfills_at_once_come_to_one_and_pay_once(folder: Path, store: str, tmp_path: Path) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url, batch_inputs=4)
        job = filling_job(store, **access)
        other = replace(job, run_id="other")
        filling = fill(job, part=10, runner=Meanwhile("split", lambda: fill(other, part=7)))
        assert endpoint.ledger.billed_more_than_once() == {}
        switched(job, filling)
        assert rows(store).equals(_fresh(folder, tmp_path, **access))


@pytest.mark.slow
def test_a_generation_becomes_live_with_the_index_and_the_sketches_of_the_old_one(
    tmp_path: Path, store: str
) -> None:
    pages = {f"{n:03}.md": f"# Page {n}\n\nWords of page {n}, 川{n}。" for n in range(300)}
    folder = write_pages(tmp_path / "docs", pages)
    run(job_for(folder, store))
    objects, wish = Objects(store), Wish("ivf_flat", 0.9, 5)
    index_table(objects, "docs", wish, sketches=True)
    job = filling_job(store)
    entry = switched(job, fill(job))
    known = Indexes(objects, "docs").of(entry.generation)
    assert known is not None
    assert (known.kind, known.wish, known.rows) == ("ivf_flat", wish, 300)
    assert is_indexed(open_version(objects, "docs", entry))
    assert Kept(objects, "docs", entry.generation).plan() is not None
    assert entry.version == live(store).version == 3
    for mode in ("vector", "funnel"):
        found = search(objects, "docs", "Words of page 7, 川7。", mode=mode, top_k=3)
        assert "007.md" in [hit["doc_id"] for hit in found]
