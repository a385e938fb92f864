"""Dead letters from the run that wrote them until they go through or are dismissed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import TooManyFailures
from pipeline.job import Budget, Job, SourceSpec
from pipeline.ledger import Ledger
from pipeline.letters import DeadLetters, Letter
from pipeline.objects import Objects
from tests.endpoint import Faults, MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import Ran, job_for, metered, rows, run, write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {
    "a.md": "# One\n\nA page that is fine.",
    "egg.md": "# Egg\n\nA bad egg.\n\n## 良い所\n\n良い段落です。" + "とても良い。" * 20,
    "山.md": "# 山\n\n腐った卵の話、bad egg。",
}
BROKEN = b"\x00\x01\x02\xff"
KEYS = {"id", "run_id", "table", "uri", "stage", "reason", "excerpt", "at"}  # as the design has them


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the endpoints of these tests ask for."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, **more: Any) -> Job:
    return job_for(folder, store, **{"budget": Budget(failures=1), **metered(endpoint.url), **more})


def _letters(store: str, state: str = "open") -> list[Letter]:
    return [letter for letter in DeadLetters(Objects(store)).all() if letter.state == state]


def _docs(store: str) -> list[tuple[str, str]]:
    return sorted((letter.doc_id, letter.stage) for letter in _letters(store))


def _ask(capsys: Captured, store: str, *words: str) -> Ran:
    return vecmill_here(capsys, "dead-letters", *words, "--store", store)


# ---- what becomes of them


def test_a_letter_of_a_later_run_takes_the_place_of_the_same_one_before(folder: Path, store: str) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    for _ in range(2):
        last = job_for(folder, store)
        run(last)
    [letter] = _letters(store)
    assert (letter.doc_id, letter.stage, letter.run_id) == ("broken.md", "split", last.run_id)


def test_letters_are_filed_where_the_run_fails_for_them_too(folder: Path, store: str) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    with pytest.raises(TooManyFailures):
        run(job_for(folder, store, budget=Budget(failures=0)))
    assert _docs(store) == [("broken.md", "split")]


@pytest.mark.parametrize("mended", [b"# Mended\n\nFine now.", None], ids=["mended", "removed"])
def test_an_ordinary_run_clears_what_was_mended_or_removed(
    mended: bytes | None, folder: Path, store: str
) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    run(job_for(folder, store))
    (folder / "broken.md").write_bytes(mended) if mended else (folder / "broken.md").unlink()
    run(job_for(folder, store))
    assert _letters(store) == []


def test_a_chunk_that_was_rejected_stays_a_letter_while_nobody_tries_it_again(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(faults=Faults(poison_marker="bad egg")) as endpoint:
        run(_job(folder, store, endpoint))
        both = [("egg.md", "embed"), ("山.md", "embed")]
        assert _docs(store) == both
        endpoint.faults = Faults()
        (folder / "a.md").write_text("# One\n\nAnother text.", "utf-8")
        run(_job(folder, store, endpoint))  # which finds egg.md unchanged, and 山.md still new
        assert _docs(store) == both[:1]
        write_pages(folder, {"egg.md": "# Egg\n\nA good egg."})
        run(_job(folder, store, endpoint))
    assert _docs(store) == []


def test_letters_of_another_source_or_table_are_left_alone(folder: Path, tmp_path: Path, store: str) -> None:
    other = write_pages(tmp_path / "other", {"b.md": "# B\n\nAnother page."})
    (folder / "broken.md").write_bytes(BROKEN)
    run(job_for(folder, store))
    run(job_for(other, store))
    run(job_for(other, store, table="second"))
    assert _docs(store) == [("broken.md", "split")]


def test_dismissed_letters_are_no_failures_until_the_reason_is_another(folder: Path, store: str) -> None:
    strict = Budget(failures=0)
    (folder / "broken.md").write_bytes(BROKEN)
    with pytest.raises(TooManyFailures):
        run(job_for(folder, store, budget=strict))
    DeadLetters(Objects(store)).dismiss(_letters(store), "花子", "it is a picture")
    assert run(job_for(folder, store, budget=strict)).published
    assert _letters(store) == []
    [kept] = _letters(store, "dismissed")
    assert (kept.by, kept.why, kept.dismissed_at is not None) == ("花子", "it is a picture", True)
    (folder / "broken.md").write_bytes("日本語".encode("shift-jis"))  # no picture any more
    with pytest.raises(TooManyFailures):
        run(job_for(folder, store, budget=strict))
    assert _docs(store) == [("broken.md", "split")]


# ---- replay


def test_a_replay_pays_for_what_failed_and_for_nothing_else(
    folder: Path, store: str, capsys: Captured
) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        run(_job(folder, store, endpoint))
        before = rows(store)
        paid = endpoint.ledger.texts_billed
        endpoint.faults = Faults()
        done = _ask(capsys, store, "replay", "--json").json
        assert (done["letters"], done["cleared"], done["open"]) == (2, 2, 0)
        [report] = done["runs"]
        assert report["embedding"]["texts"] == endpoint.ledger.texts_billed - paid == 2
        assert endpoint.ledger.billed_more_than_once() == {}
        whole = str(Path(store).parent / "whole")
        run(_job(folder, whole, endpoint))
    assert len(rows(store)) == len(before) + 2
    assert rows(store).equals(rows(whole))
    assert _letters(store) == []
    assert Ledger(Objects(store)).run(report["run_id"])["kind"] == "replay"


def test_a_replay_that_fails_again_keeps_its_letters_and_publishes_what_goes_through(
    folder: Path, store: str, capsys: Captured
) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        run(_job(folder, store, endpoint))
        first = {letter.id: letter.run_id for letter in _letters(store)}
        nothing = _ask(capsys, store, "replay", "--json").json
        assert (nothing["cleared"], nothing["open"]) == (0, 2)
        assert [report["published"] for report in nothing["runs"]] == [False]
        again = {letter.id: letter.run_id for letter in _letters(store)}
        assert again.keys() == first.keys()
        assert not set(again.values()) & set(first.values())

        endpoint.faults = Faults(poison_marker="腐った")
        some = _ask(capsys, store, "replay")
    assert "1 of 2 dead letters went through" in some.out
    assert _docs(store) == [("山.md", "embed")]
    assert "A bad egg." in " ".join(rows(store)["text"].to_pylist())


def test_a_replay_touches_no_other_document(folder: Path, store: str, capsys: Captured) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="A bad egg")) as endpoint:
        run(_job(folder, store, endpoint))
        endpoint.faults = Faults()
        write_pages(folder, {"a.md": "# One\n\nChanged meanwhile.", "new.md": "# New\n\nNot yet."})
        (folder / "山.md").unlink()
        _ask(capsys, store, "replay", "--json")
    held = dict(zip(rows(store)["doc_id"].to_pylist(), rows(store)["text"].to_pylist(), strict=True))
    assert held["a.md"] == PAGES["a.md"]
    assert "山.md" in held
    assert "new.md" not in held


def test_a_replay_reads_again_what_could_not_be_read(folder: Path, store: str, capsys: Captured) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    (folder / "gone.md").write_bytes(BROKEN)
    run(job_for(folder, store, budget=Budget(failures=1)))
    write_pages(folder, {"broken.md": "# Mended\n\n直りました。"})
    (folder / "gone.md").unlink()
    done = _ask(capsys, store, "replay", "--stage", "split", "--json").json
    assert (done["cleared"], done["open"]) == (2, 0)
    assert "broken.md" in rows(store)["doc_id"].to_pylist()


def test_rows_without_an_id_cannot_be_replayed_and_the_person_is_told(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("key,body\n1,A row.\n,A row without its key.\n", "utf-8")
    run(job_for(SourceSpec("rows", str(source), text="body", id="key"), store))
    [letter] = _letters(store)
    assert (letter.doc_id, letter.stage) == ("", "list")
    ran = _ask(capsys, store, "replay")
    assert "0 of 1 dead letter went through" in ran.out
    assert "mend the source, and ingest it" in ran.err


def test_a_replay_needs_a_key_and_says_so(
    folder: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        run(_job(folder, store, endpoint))
        monkeypatch.delenv("OPENAI_API_KEY")
        refused = _ask(capsys, store, "replay", "--json")
        assert refused.code == 6  # an endpoint with an address might ask for none: this one does
        assert "without a key" in refused.json["error"]["message"]
        monkeypatch.setenv("MY_KEY", "sk-test")
        endpoint.faults = Faults()
        assert _ask(capsys, store, "replay", "--api-key-env", "MY_KEY", "--json").json["open"] == 0


# ---- the commands


def test_letters_are_listed_in_both_languages_and_chosen_by_what_they_are(
    folder: Path, store: str, capsys: Captured
) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="bad egg")) as endpoint:
        job = _job(folder, store, endpoint)
        run(job)
    everything = _ask(capsys, store, "--json").json
    assert len(everything) == 3
    assert all(letter.keys() >= KEYS for letter in everything)
    assert _ask(capsys, store, "list", "--json").json == everything
    shown = _ask(capsys, store).out
    assert "山.md" in shown
    assert "# 山 腐った卵の話、bad egg。" in shown
    by = {
        ("--stage", "split"): {"broken.md"},
        ("--stage", "embed"): {"egg.md", "山.md"},
        ("--reason", "BINARY"): {"broken.md"},
        ("--run", job.run_id): {"broken.md", "egg.md", "山.md"},
        ("--run", "another"): set(),
        ("--table", "docs", "--stage", "list"): set(),
        (everything[0]["id"][:8],): {everything[0]["doc_id"]},
    }
    for words, docs in by.items():
        assert {one["doc_id"] for one in _ask(capsys, store, "list", *words, "--json").json} == docs
    assert _ask(capsys, store, "list", "--table", "nope").out == "no dead letters\n"
    of_a_run = vecmill_here(capsys, "runs", job.run_id, "--store", store).out
    assert "dead letters  3 open" in of_a_run


def test_a_dismissal_keeps_who_when_and_why_and_the_letter_is_reported_no_more(
    folder: Path, store: str, capsys: Captured
) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    job = job_for(folder, store)
    run(job)
    assert _ask(capsys, store, "dismiss", "--why", "no text").code == 2  # which ones?
    assert _ask(capsys, store, "dismiss", "--stage", "split", "--why", " ").code == 2
    words = ("--stage", "split", "--why", "写真です", "--by", "花子")
    assert _ask(capsys, store, "dismiss", *words).out == "1 dead letter dismissed\n"
    assert _ask(capsys, store, "--json").json == []
    [kept] = _ask(capsys, store, "list", "--dismissed", "--json").json
    assert (kept["state"], kept["by"], kept["why"]) == ("dismissed", "花子", "写真です")
    assert kept["dismissed_at"]
    assert "1 dismissed" in vecmill_here(capsys, "runs", job.run_id, "--store", store).out
    found = vecmill_here(
        capsys, "sql", 'select doc_id, state, "by" from dead_letters', "--store", store, "--json"
    ).json
    assert found == [{"doc_id": "broken.md", "state": "dismissed", "by": "花子"}]
    assert _ask(capsys, store, "dismiss", kept["id"], "--why", "again").code == 3


def test_an_id_that_no_letter_has_is_refused(folder: Path, store: str, capsys: Captured) -> None:
    run(job_for(folder, store))
    refused = _ask(capsys, store, "replay", "abc123", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (3, "InputError")
    assert "'abc123'; vecmill dead-letters lists them" in refused.json["error"]["message"]


def test_the_letters_of_a_run_that_published_nothing_go_over_to_the_next(folder: Path, store: str) -> None:
    (folder / "broken.md").write_bytes(BROKEN)
    with pytest.raises(TooManyFailures):
        run(job_for(folder, store, budget=Budget(failures=0)))
    later = replace(job_for(folder, store), run_id="later")
    run(later)
    assert [letter.run_id for letter in _letters(store)] == ["later"]
