"""split: staged chunks, exact to the character, and counts as reading corrects them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import ids, schema
from pipeline.embedding import limits
from pipeline.errors import InputError, TooManyFailures
from pipeline.job import Budget, Endpoint, Secret
from pipeline.ledger import Ledger
from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.context import Context
from pipeline.stages.split import CHUNKS, split
from pipeline.staging import read_shards
from pipeline.tokens import counter_for
from tests.endpoint import MeteredEndpoint
from tests.pipeline.stages.steps import compared
from tests.support import job_for, metered, rows, run, write_pages

_JAPANESE = "# 川\n\n川は水を運ぶ。\n\n## 源流\n\n" + "".join(f"{n}番目の沢の水が集まる。" for n in range(20))
_NOWHERE = Endpoint("http://127.0.0.1:9/v1", Secret("sk-test"))  # nothing must be sent
_ENGLISH = "# Rivers\n\n" + "\n\n".join(f"River number {n} carries water to the sea." for n in range(30))


def _split(context: Context, found: DocumentCounts) -> tuple[DocumentCounts, list[dict[str, object]]]:
    documents = split(context, found)
    return documents, [row for shard in read_shards(context.staging, CHUNKS) for row in shard.to_pylist()]


@pytest.mark.parametrize("text", [_JAPANESE, _ENGLISH])
@pytest.mark.parametrize("kind", ["markdown", "recursive"])
def test_a_staged_chunk_is_the_document_from_its_start_to_its_end(
    tmp_path: Path, store: str, text: str, kind: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"page.md": text})
    spec = SplitterSpec(kind, max_tokens=48, prefix_headings=kind == "markdown")
    job = job_for(folder, store, splitter=spec)
    context, found = compared(job)
    documents, staged = _split(context, found)
    assert documents == DocumentCounts(new=1)
    assert len(staged) > 3
    assert [row["ordinal"] for row in staged] == list(range(len(staged)))
    for row in staged:
        start, end = row["start"], row["end"]
        assert isinstance(start, int)
        assert isinstance(end, int)
        assert row["text"] == text[start:end]
        text_hash = ids.digest(f"{row['prefix']}{row['text']}")
        assert row["text_hash"] == text_hash
        assert row["chunk_id"] == ids.chunk_id("page.md", spec.fingerprint, text_hash, 0)
        assert row["doc_hash"] == ids.digest(text, "{}")
    assert schema.STAGED.equals(context.staging.read_table(f"{CHUNKS}/000000").schema)
    assert context.staging.read_json("chunks") == {"rows": len(staged)}


def test_equal_texts_of_one_document_are_told_apart_by_their_count(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "# A\n\nsame\n\n# A\n\nsame\n\n# A\n\nsame"})
    context, found = compared(job_for(folder, store))
    _, staged = _split(context, found)
    hashes = {str(row["text_hash"]) for row in staged}
    assert (len(staged), len(hashes)) == (3, 1)
    spec = context.job.splitter.fingerprint
    assert [row["chunk_id"] for row in staged] == [
        ids.chunk_id("a.md", spec, hash_, count) for hash_ in hashes for count in range(3)
    ]


def test_the_prefix_of_the_space_is_embedded_and_counted_but_never_stored(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": _ENGLISH})
    space = Space("openai", "text-embedding-3-small", 64, document_prefix="passage: ")
    plain, found = compared(
        job_for(folder, store, space=Space("openai", "text-embedding-3-small", 64), endpoint=_NOWHERE)
    )
    _, bare = _split(plain, found)
    context, found = compared(job_for(folder, store, space=space, endpoint=_NOWHERE))
    _, staged = _split(context, found)
    assert {str(row["prefix"])[:9] for row in staged} == {"passage: "}
    assert not any(str(row["text"]).startswith("passage") for row in staged)
    assert {row["text_hash"] for row in staged}.isdisjoint(row["text_hash"] for row in bare)
    assert all(isinstance(row["tokens"], int) and row["tokens"] <= 64 for row in staged)


def test_a_document_whose_content_is_as_before_is_not_staged_again(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b.md": "b"})
    run(job_for(folder, store))
    (folder / "a.md").touch()
    write_pages(folder, {"b.md": "other"})
    context, found = compared(job_for(folder, store))
    assert found.changed == 2
    documents, staged = _split(context, found)
    assert documents == DocumentCounts(changed=1, unchanged=1)
    assert [row["doc_id"] for row in staged] == ["b.md"]
    assert context.staging.read_table("touched")["doc_id"].to_pylist() == ["b.md"]


def test_an_empty_page_is_nothing_to_hold_and_an_emptied_one_is_taken_out(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"empty.md": "", "blank.md": " \n\n\t\n", "a.md": "a"})
    assert run(job_for(folder, store)).documents == DocumentCounts(new=1, unchanged=2)
    write_pages(folder, {"a.md": "\n"})
    report = run(job_for(folder, store))
    assert (report.documents.changed, report.chunks.deleted) == (1, 1)
    assert len(rows(store)) == 0
    again = run(job_for(folder, store))
    assert (again.published, again.version) == (False, 2)


def test_a_document_that_cannot_be_read_is_a_dead_letter_and_keeps_its_place(
    tmp_path: Path, store: str
) -> None:
    pages = {f"{name}.md": f"Page {name}." for name in "abc"}
    folder = write_pages(tmp_path / "docs", pages)
    run(job_for(folder, store))
    (folder / "b.md").write_bytes("日本".encode("shift_jis") * 9)
    write_pages(folder, {"c.md": "other"})
    job = job_for(folder, store)
    report = run(job)
    assert report.documents == DocumentCounts(changed=1, unchanged=1, failed=1)
    assert "Page b." in rows(store)["text"].to_pylist()
    assert "other" in rows(store)["text"].to_pylist()


def test_beyond_the_failure_budget_nothing_is_published(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}." for n in range(3)})
    run(job_for(folder, store))
    for name in ("0.md", "1.md"):
        (folder / name).write_bytes(b"\x00\xff" * 40)
    write_pages(folder, {"2.md": "other"})
    context, found = compared(job_for(folder, store, budget=Budget(failures=0.34)))
    split(context, found)  # two of three are allowed: the share is rounded up
    with pytest.raises(TooManyFailures, match=r"2 of 3 documents failed, .* allows 1; .* The first: 0\.md"):
        run(job_for(folder, store, budget=Budget(failures=0.33)))
    with pytest.raises(TooManyFailures, match="allows 0"):
        run(job_for(folder, store, budget=Budget(failures=0)))
    assert sorted(rows(store)["text"].to_pylist()) == ["Page 0.", "Page 1.", "Page 2."]


def test_a_bound_beyond_what_the_provider_takes_is_refused(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a"})
    space = Space("openai", "text-embedding-3-small", 64)
    job = job_for(folder, store, space=space, splitter=SplitterSpec(max_tokens=9000))
    context, found = compared(job)
    with pytest.raises(InputError, match=r"max_tokens is 9000, but openai/.* takes at most"):
        split(context, found)


def test_a_bound_in_characters_or_in_tokens_leaves_room_for_the_prefix_of_the_space(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": _ENGLISH, "b.md": _JAPANESE})
    space = Space("openai", "text-embedding-3-small", 64, document_prefix="passage: ")
    bounds: list[dict[str, Any]] = [{"max_characters": 60}, {"max_tokens": 16}]
    for bound in bounds:
        spec = SplitterSpec("recursive", prefix_headings=False, **bound)
        context, found = compared(job_for(folder, store, space=space, endpoint=_NOWHERE, splitter=spec))
        _, staged = _split(context, found)
        sizes = [
            len(f"{row['prefix']}{row['text']}") if spec.max_characters else int(str(row["tokens"]))
            for row in staged
        ]
        assert spec.bound * 0.8 < max(sizes) <= spec.bound
        texts = [f"{row['prefix']}{row['text']}" for row in staged]
        assert [row["tokens"] for row in staged] == counter_for(space).count(texts)


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"max_tokens": 20}, "'passage passage passage .*', takes 15 of the 20 tokens of a chunk"),
        ({"max_characters": 103}, "takes 104 of the 103 characters of a chunk; raise max_characters"),
    ],
)
def test_a_prefix_that_leaves_no_room_is_refused(
    tmp_path: Path, store: str, bound: dict[str, Any], said: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a"})
    space = Space("openai", "text-embedding-3-small", 64, document_prefix="passage " * 13)
    spec = SplitterSpec("recursive", **bound)
    context, found = compared(job_for(folder, store, space=space, endpoint=_NOWHERE, splitter=spec))
    with pytest.raises(InputError, match=said):
        split(context, found)


def test_a_chunk_with_more_tokens_than_the_provider_takes_is_a_dead_letter_and_the_rest_goes_on(
    tmp_path: Path, store: str
) -> None:
    long, short = "word " * 9000, "短い。" * 20
    folder = write_pages(
        tmp_path / "docs", {"a.md": f"{long}\n\n{short}", "b.md": "fine", "c.md": "# C\n\n" + "wind " * 9000}
    )
    spec = SplitterSpec(max_characters=45_010)
    with MeteredEndpoint() as endpoint:
        job = job_for(folder, store, splitter=spec, budget=Budget(failures=0.5), **metered(endpoint.url))
        report = run(job)
        assert sorted(charge.text for charge in endpoint.ledger.charges) == ["fine", short]
    letters = Ledger(Objects(store)).run(job.run_id)["dead_letters"]
    assert [(letter["doc_id"], letter["stage"]) for letter in letters] == [
        ("a.md", "split"),
        ("c.md", "split"),
    ]
    bound = f"takes at most {limits(job.space).tokens_an_input} a text"
    assert all(bound in letter["reason"] for letter in letters)
    assert letters[0]["reason"].startswith("a chunk of 9000 tokens")
    assert letters[0]["excerpt"] == long[:200]
    assert report.documents == DocumentCounts(new=3)
    assert (report.chunks.inserted, report.chunks.dead) == (2, 2)
    assert sorted(rows(store)["text"].to_pylist()) == ["fine", short]


def test_chunks_too_long_for_the_provider_count_against_the_failure_budget(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "word " * 9000})
    context, found = compared(
        job_for(
            folder,
            store,
            space=Space("openai", "text-embedding-3-small", 64),
            endpoint=_NOWHERE,
            splitter=SplitterSpec(max_characters=90_000),
            budget=Budget(failures=0),
        )
    )
    with pytest.raises(TooManyFailures, match="1 of 1 documents failed"):
        split(context, found)
