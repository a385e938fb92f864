"""The semantic splitter: exact spans, every character embedded once, breaks where topics change."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.ids import digest
from pipeline.model import Chunk
from pipeline.ports import TokenCounter, Vectors
from pipeline.space import Space
from pipeline.splitter_spec import BREAKPOINTS, SplitterSpec
from pipeline.splitting import semantic
from pipeline.splitting.breakpoints import Units, segments
from pipeline.splitting.semantic import SemanticSplitter, sentences_of
from pipeline.tokens import counter_for
from pipeline.wordllama import MODEL
from tests.pipeline.splitting.stitched import LANGUAGES, finds_seam, local_vectors, stitched
from tests.pipeline.splitting.support import Clinging, Letters, Quarters, check_chunks, texts

LOCAL = counter_for(Space("local", MODEL, 256))


@dataclass
class Meter:
    """Embeds by the texts' hashes, and remembers what it was given."""

    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """A direction by chance, the same for the same text."""
        self.calls.append(list(texts))
        rows = [
            np.frombuffer(bytes.fromhex(digest(text)), np.uint8).astype(np.float32) - 127 for text in texts
        ]
        vectors = np.array(rows).reshape(len(texts), 16)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    @property
    def texts(self) -> list[str]:
        """All texts, in order."""
        return [text for call in self.calls for text in call]


def _spec(tokens: int = 32, **options: object) -> SplitterSpec:
    return SplitterSpec("semantic", tokens, prefix_headings=False, **options)  # type: ignore[arg-type]


def _sentences(text: str, tokens: int = 1000) -> list[str]:
    return [text[one.start : one.end] for one in sentences_of(text, _spec(tokens), Letters())]


@dataclass
class _Topics:
    """A direction of its own for texts that hold a topic's word."""

    topics: tuple[str, ...]

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors, with a little of each text's own; none for a text of no topic."""
        rows = np.array([[float(topic in text) for topic in self.topics] for text in texts])
        about = np.any(rows, axis=1, keepdims=True)
        vectors = np.where(about, rows + Meter()(texts)[:, : len(self.topics)] / 8, 0)
        return np.asarray(
            vectors / np.where(about, np.linalg.norm(vectors, axis=1, keepdims=True), 1), np.float32
        )


# ---- sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 today. He left, e.g. by train.", ["It costs 3.50 today.", "He left, e.g. by train."]),
        ('She said "no." Then she left.', ['She said "no."', "Then she left."]),
        ("一つ。二つ！三つ？四つ", ["一つ。", "二つ！", "三つ？", "四つ"]),
        ("「はい。」と言う。（終わり。）次", ["「はい。」", "と言う。", "（終わり。）", "次"]),
        ("半角｡次の文。", ["半角｡", "次の文。"]),
        ("円周率は３．１４です。次。", ["円周率は３．１４です。", "次。"]),
        ("a first line\nA second line\n\nA third", ["a first line", "A second line", "A third"]),
        ("見出し\n本文\r\n次の行", ["見出し", "本文", "次の行"]),
        ("a line that is\nwrapped in the middle. Next", ["a line that is\nwrapped in the middle.", "Next"]),
        (
            "a line as long as those that are wrapped at some column by\nJohn. Next",
            ["a line as long as those that are wrapped at some column by\nJohn.", "Next"],
        ),
        ("lift of a wing . the wing is thin .", ["lift of a wing .", "the wing is thin ."]),
        ("- one\n- two\n1. three", ["- one", "- two", "1. three"]),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_sentences_end_where_people_end_them(text: str, sentences: list[str]) -> None:
    assert _sentences(text) == sentences


def test_a_sentence_that_exceeds_the_bound_is_cut_like_any_other_text() -> None:
    text = "Short. " + "Word " * 40 + "end. Short again."
    found = _sentences(text, 64)
    assert (found[0], found[-1]) == ("Short.", "Short again.")
    assert all(len(one) <= 64 and one.startswith(("Word", "end")) for one in found[1:-1])


def test_japanese_documents_are_split_at_japanese_sentence_ends() -> None:
    for document in stitched("Japanese", 10, seed=3):
        chunks = SemanticSplitter(_spec(1024), LOCAL, local_vectors).split(document.text)
        assert len(chunks) > 1
        assert all(document.text[chunk.start : chunk.end][-1] in "。！？」』）)." for chunk in chunks)


# ---- what holds for every text


@given(
    text=texts,
    bound=st.integers(8, 48),
    overlap=st.integers(0, 8),
    method=st.sampled_from(list(BREAKPOINTS)),
    characters=st.booleans(),
    counter=st.sampled_from([Letters(), Clinging()]),
)
@settings(max_examples=250, deadline=None)
@example("Water.\r\n\r\n川は流れる。e\u0301. \0 A. " + "長い" * 60, 16, 4, "optimal", False, Letters())
@example("Water.\r\n\r\n川は流れる。e\u0301. \0 A. " + "長い" * 60, 16, 4, "optimal", False, Clinging())
@example("終わり。\u3099次。A.\u0301 B", 8, 0, "optimal", True, Letters())
def test_chunks_are_exact_ordered_bounded_and_complete(
    text: str, bound: int, overlap: int, method: str, characters: bool, counter: TokenCounter
) -> None:
    overlap = min(overlap, bound // 2)
    spec = (
        _spec(max_characters=bound, overlap_characters=overlap, breakpoints=method)
        if characters
        else _spec(bound, overlap_tokens=overlap, breakpoints=method)
    )
    chunks = SemanticSplitter(spec, counter, Meter()).split(text)
    assert chunks == SemanticSplitter(spec, counter, Meter()).split(text)
    check_chunks(text, chunks, spec, counter)


@given(texts, st.integers(8, 48))
@settings(max_examples=200, deadline=None)
def test_each_character_is_embedded_once(text: str, bound: int) -> None:
    meter = Meter()
    SemanticSplitter(_spec(bound), Quarters(), meter).split(text)
    assert "".join("".join(meter.texts).split()) == "".join(text.split())


def test_a_long_document_is_taken_in_stretches_and_each_sentence_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = " ".join(
        f"Sentence {number} is about {'wings' if number % 80 < 40 else 'bread'}." for number in range(900)
    )
    topics = _Topics(("wings", "bread"))
    whole = SemanticSplitter(_spec(4000), Letters(), topics).split(text)
    monkeypatch.setattr(semantic, "_AT_ONCE", 100)
    meter = Meter()
    SemanticSplitter(_spec(4000), Letters(), meter).split(text)
    assert [len(call) for call in meter.calls] == [100] * 9
    assert meter.texts == _sentences(text)
    parts = SemanticSplitter(_spec(4000), Letters(), topics).split(text)
    assert [chunk.start for chunk in parts] == [chunk.start for chunk in whole]
    assert len(whole) == 23


# ---- breaks


def _cut(text: str, embed: semantic.Embed, tokens: int = 1000, **options: object) -> list[str]:
    chunks = SemanticSplitter(_spec(tokens, **options), Letters(), embed).split(text)
    return [text[chunk.start : chunk.end] for chunk in chunks]


_WINGS = " ".join(f"The wings of number {number} are thin." for number in range(12))
_BREAD = " ".join(f"A loaf of bread number {number} is warm." for number in range(12))


@pytest.mark.parametrize(
    ("method", "threshold"), [("optimal", None), ("percentile", 96), ("standard_deviation", None)]
)
def test_a_chunk_ends_where_the_topic_changes(method: str, threshold: float | None) -> None:
    chunks = _cut(
        f"{_WINGS} {_BREAD}",
        _Topics(("wings", "bread")),
        breakpoints=method,
        threshold=threshold,
        buffer=1,
    )
    assert chunks == [_WINGS, _BREAD]


def test_a_sentence_without_a_vector_has_no_break_of_its_own() -> None:
    lost = "Nothing is known of this."
    for at in (0, 5, 12, 24):
        parts = f"{_WINGS} {_BREAD}".replace(". ", ".\n").split("\n")
        text = " ".join([*parts[:at], lost, *parts[at:]])
        first, second = _cut(text, _Topics(("wings", "bread")))
        assert (lost in first) == (at <= 12)
        assert ("bread" in first, "wings" in second) == (False, False)


def test_a_text_none_of_whose_sentences_has_a_vector_is_cut_by_the_bound_alone() -> None:
    found = _cut(_WINGS, lambda texts: np.zeros((len(texts), 4), np.float32), 200)
    assert all(100 < len(chunk) <= 200 for chunk in found)


def test_no_break_parts_a_heading_from_what_follows() -> None:
    text = f"{_WINGS}\n\n# bread\n\n{_WINGS}"
    for chunk in _cut(text, _Topics(("wings", "bread")), threshold=0.1):
        assert not chunk.endswith("# bread")


def test_chunks_are_not_below_the_minimum_where_the_bound_leaves_room() -> None:
    chunks = _cut(f"{_WINGS} {_BREAD}", Meter(), threshold=0.1, min_tokens=100)
    assert len(chunks) > 3
    assert all(len(chunk) >= 99 for chunk in chunks)


# ---- growth


@pytest.mark.parametrize("bound", [256, 8192])
@pytest.mark.parametrize("sentence", ["A. ", "水。", "# h\n", "An ordinary sentence of some length.\n"])
def test_what_is_weighed_for_each_sentence_does_not_grow_with_the_text_or_the_bound(
    sentence: str, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[int] = []

    def counted(units: Units, spec: SplitterSpec) -> list[int]:
        first = np.searchsorted(units.starts, units.ends - spec.bound)
        weighed.append(int((np.arange(len(units)) - first).max()))
        return segments(units, spec)

    monkeypatch.setattr(semantic, "segments", counted)
    SemanticSplitter(_spec(bound), Letters(), Meter()).split(sentence * 6_000)
    assert max(weighed) <= 512


_PATTERNS = [
    "x",
    ".",
    "。",
    " ",
    "\n",
    "a\n",
    "A\n",
    "A. ",
    "# h\n",
    "word ",
    "A b c d e f g h. ",
    "a\u0301",
    "```\n",
]


@pytest.mark.parametrize("pattern", _PATTERNS)
@pytest.mark.parametrize("method", ["optimal", "percentile"])
def test_sixteen_times_the_text_takes_less_than_forty_times_the_time(pattern: str, method: str) -> None:
    splitter = SemanticSplitter(_spec(64, breakpoints=method), Quarters(), _flat)
    small, large = (pattern * (size // len(pattern)) for size in (6_000, 96_000))
    ratios = (_seconds(splitter, large) / _seconds(splitter, small) for _ in range(8))
    assert any(ratio < 40 for ratio in ratios)


def _flat(texts: Sequence[str]) -> Vectors:
    return np.resize(np.eye(4, dtype=np.float32), (len(texts), 4))


def _seconds(splitter: SemanticSplitter, text: str) -> float:
    started = time.process_time()
    splitter.split(text)
    return time.process_time() - started


# ---- the whole, on real text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("bound", [256, 1024])
def test_the_break_between_two_topics_is_found_within_one_sentence_in_nine_of_ten(
    language: str, bound: int
) -> None:
    spec = _spec(bound)
    splitter = SemanticSplitter(spec, LOCAL, local_vectors)
    found = []
    for document in stitched(language, 40, seed=1):
        sentences: list[Chunk] = sentences_of(document.text, spec, LOCAL)
        found.append(finds_seam(document, sentences, splitter.join(document.text, sentences)))
    assert sum(found) >= 36
