"""sentences: the semantic splitter's own round, staged and planned before there are chunks."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import ids
from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.errors import TooManyFailures
from pipeline.job import Budget, Endpoint, Job, Secret
from pipeline.model import DocumentCounts, Outcome, Plan
from pipeline.objects import Objects
from pipeline.run import plan_only
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.semantic import SemanticSplitter, sentences_of
from pipeline.spool import Spool
from pipeline.stages.context import Context
from pipeline.stages.embed import embed_sentences
from pipeline.stages.plan import SENTENCE_TEXTS, plan_sentences
from pipeline.stages.recall import recalling
from pipeline.stages.sentences import SENTENCES, sentences
from pipeline.stages.split import CHUNKS, split
from pipeline.staging import read_shards
from pipeline.tokens import counter_for
from tests.endpoint import MeteredEndpoint
from tests.pipeline.splitting.stitched import LANGUAGES, stitched
from tests.pipeline.stages.steps import compared
from tests.support import LOCAL, OPENAI, job_for, metered, run, write_pages

SPEC = SplitterSpec("semantic", 64, prefix_headings=False)
PAGES = {
    "a.md": "Rivers run to the sea. The sea is wide.\n\nBread is baked in ovens. Ovens are hot.",
    "b.md": "川は海へ流れる。海は広い。\n\nThe sea is wide. パンは窯で焼く。",
}
_TEXTS = [
    "Rivers run to the sea.",
    "The sea is wide.",
    "Bread is baked in ovens.",
    "Ovens are hot.",
    "川は海へ流れる。",
    "海は広い。",
    "パンは窯で焼く。",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _staged(context: Context, name: str) -> list[dict[str, object]]:
    return [row for shard in read_shards(context.staging, name) for row in shard.to_pylist()]


def _first_plan(job: Job) -> tuple[Context, DocumentCounts, Plan]:
    context, found = compared(job)
    return context, found, plan_sentences(context, sentences(context, found))


def test_sentences_are_staged_as_they_are_embedded_and_planned_once_each(folder: Path, store: str) -> None:
    space = Space("openai", "text-embedding-3-small", 64, document_prefix="passage: ")
    context, _, made = _first_plan(job_for(folder, store, **{**_priced(), "space": space}, splitter=SPEC))
    staged = _staged(context, SENTENCES)
    assert len(staged) == 8
    wanted = _staged(context, SENTENCE_TEXTS)
    assert [row["text"] for row in wanted] == [f"passage: {text}" for text in _TEXTS]
    assert [row["text_hash"] for row in wanted] == [ids.digest(str(row["text"])) for row in wanted]
    assert [row["tokens"] for row in wanted] == counter_for(space).count([str(row["text"]) for row in wanted])
    assert made.rounds
    assert (made.rounds[0].texts, made.rounds[0].requests) == (7, 1)
    assert made.rounds[0].tokens == sum(int(str(row["tokens"])) for row in wanted)
    assert made.documents == DocumentCounts(new=2)


def _priced() -> dict[str, object]:
    return {"space": OPENAI, "endpoint": Endpoint("http://127.0.0.1:9/v1", Secret("sk-test"))}


def test_a_plan_says_what_is_exact_and_what_is_at_most(folder: Path, store: str) -> None:
    made = plan_only(job_for(folder, store, **_priced(), splitter=SPEC))
    record = made.record()
    assert set(record["rounds"]) == {"sentences", "chunks_at_most"}
    sums = [
        sum(amounts[name] for amounts in record["rounds"].values())
        for name in ("texts", "tokens", "requests")
    ]
    assert list(record["to_embed"].values()) == sums
    assert record["rounds"]["sentences"]["texts"] == 7
    assert record["cost_usd"] == pytest.approx(sums[1] * 0.02 / 1e6)
    assert set(record["chunks"].values()) == {None}
    assert not Path(store).exists()


def test_a_plan_is_exact_once_all_sentences_are_known(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        context, _, made = _first_plan(job_for(folder, store, splitter=SPEC, **metered(endpoint.url)))
        outcome = embed_sentences(context, made, InlineEngine())
        assert (outcome.texts, endpoint.ledger.texts_billed) == (7, 7)
        planned = plan_only(job_for(folder, store, splitter=SPEC, **metered(endpoint.url)))
        assert "rounds" not in planned.record()
        report = run(job_for(folder, store, splitter=SPEC, **metered(endpoint.url)))
        assert endpoint.ledger.billed_more_than_once() == {}
    assert (planned.texts, planned.tokens, planned.requests) == tuple(
        report.embedding[name] for name in ("texts", "tokens", "requests")
    )
    assert (planned.cache_hits, planned.chunks) == (report.embedding["cache_hits"], report.chunks)


def test_vectors_in_the_spool_are_not_paid_again_but_leave_the_plan_inexact(folder: Path, store: str) -> None:
    job = job_for(folder, store, splitter=SPEC)
    context, _, made = _first_plan(job)
    embed_sentences(context, made, InlineEngine())
    cache = VectorCache(Objects(store), LOCAL).open()
    assert cache is not None
    held = cache.to_table()
    for path in Objects(store).paths("cache"):
        Objects(store).delete(path)
    vectors = held["vector"].combine_chunks().flatten().to_numpy().reshape(len(held), -1)
    Spool(Objects(store), LOCAL).put(held["text_hash"].to_pylist(), vectors, Outcome(0, texts=7))
    planned = plan_only(job_for(folder, store, splitter=SPEC))
    assert planned.rounds
    assert (planned.rounds[0].texts, planned.cache_hits) == (0, 7)
    report = run(job_for(folder, store, splitter=SPEC))
    assert report.embedding["cache_hits"] == 7


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "options", [{}, {"overlap_tokens": 32}, {"breakpoints": "percentile"}, {"max_characters": 300}]
)
@pytest.mark.parametrize("space", [LOCAL, OPENAI])
def test_the_chunks_never_come_to_more_than_the_plan_says(
    tmp_path: Path, store: str, language: str, options: dict[str, object], space: Space
) -> None:
    pages = {f"{n:02}.md": one.text for n, one in enumerate(stitched(language, 12, seed=7))}
    folder = write_pages(tmp_path / "docs", pages)
    spec = SplitterSpec("semantic", 64, prefix_headings=False, **options)  # type: ignore[arg-type]
    context, found, made = _first_plan(job_for(folder, store, **{**_priced(), "space": space}, splitter=spec))
    split(context, found)  # without vectors: the bound alone decides
    staged = _staged(context, CHUNKS)
    assert made.rounds
    tokens = sum(int(str(row["tokens"])) for row in staged)
    assert len(staged) <= made.rounds[1].texts
    assert tokens <= made.rounds[1].tokens <= tokens * (2.5 if spec.overlap else 1.3)


def test_a_sentence_too_long_for_the_provider_is_not_sent(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "word " * 9000 + ". Short."})
    spec = SplitterSpec("semantic", max_characters=90_000, prefix_headings=False)
    context, found, made = _first_plan(
        job_for(folder, store, **_priced(), splitter=spec, budget=Budget(failures=1))
    )
    assert [row["text"] for row in _staged(context, SENTENCE_TEXTS)] == ["Short."]
    assert made.rounds
    assert made.rounds[1].texts == 2
    assert split(context, found) == DocumentCounts(new=1)


def test_unreadable_documents_stop_a_run_before_its_sentences_are_paid(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", PAGES)
    (folder / "c.md").write_bytes(b"\x00\xff" * 40)
    with MeteredEndpoint(key="sk-test") as endpoint:
        with pytest.raises(TooManyFailures):
            run(job_for(folder, store, splitter=SPEC, budget=Budget(failures=0), **metered(endpoint.url)))
        assert endpoint.ledger.arrived == 0
        report = run(job_for(folder, store, splitter=SPEC, **metered(endpoint.url)))
    assert report.documents == DocumentCounts(new=2, failed=1)


# ---- recalling vectors


def test_recalled_vectors_are_those_of_the_texts_and_zero_where_nothing_holds_them(
    folder: Path, store: str
) -> None:
    context, _, made = _first_plan(job_for(folder, store, splitter=SPEC))
    with recalling(context) as recall:
        assert not recall(["The sea is wide."]).any()
    embed_sentences(context, made, InlineEngine())
    with recalling(context) as recall:
        found = recall(["The sea is wide.", "Nobody wrote this.", "海は広い。", "The sea is wide."])
        assert found.shape == (4, LOCAL.dimensions)
        assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 0, 1, 1], abs=1e-5)
        assert found[0] == pytest.approx(found[3])
        recall.load(["海は広い。", "Nobody wrote this."])
        assert recall(["海は広い。"])[0] == pytest.approx(found[2])
        assert recall(["The sea is wide."])[0] == pytest.approx(found[0])


def test_vectors_that_the_cache_has_lost_are_recalled_from_the_table(folder: Path, store: str) -> None:
    alone = {"alone.md": "A document of one sentence."}
    run(job_for(write_pages(folder.parent / "alone", alone), store, splitter=SPEC))
    for path in Objects(store).paths("cache"):
        Objects(store).delete(path)
    write_pages(folder.parent / "alone", {"alone.md": f"{alone['alone.md']}\n"})
    context, _, made = _first_plan(job_for(folder.parent / "alone", store, splitter=SPEC))
    assert not made.texts
    with recalling(context) as recall:
        assert recall([alone["alone.md"]]).any()


def test_the_stage_cuts_as_the_splitter_does_in_memory(folder: Path, store: str) -> None:
    long = {f"{n}.md": one.text for n, one in enumerate(stitched("English", 3, seed=5))}
    write_pages(folder, long)
    context, found, made = _first_plan(job_for(folder, store, splitter=SPEC))
    embed_sentences(context, made, InlineEngine())
    split(context, found)
    staged = {(row["doc_id"], row["start"], row["end"]) for row in _staged(context, CHUNKS)}
    counter = counter_for(LOCAL)
    with recalling(context) as recall:
        splitter = SemanticSplitter(SPEC, counter, recall)
        expected = {
            (name, chunk.start, chunk.end)
            for name, text in {**PAGES, **long}.items()
            for chunk in splitter.split(text)
        }
    assert staged == expected
    assert len(staged) < sum(len(sentences_of(text, SPEC, counter)) for text in long.values())
