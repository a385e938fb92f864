"""Dead letters of the live generation and of those beside it."""

from typing import Any

import pytest

from pipeline.letters import DeadLetters
from pipeline.model import DeadLetter
from pipeline.objects import Objects


@pytest.fixture
def letters(store: str) -> DeadLetters:
    return DeadLetters(Objects(store, create=True))


def _found(*found: DeadLetter) -> list[dict[str, Any]]:
    fields = ("doc_id", "uri", "stage", "reason", "excerpt", "text_hash")
    return [{"id": one.id, **{name: getattr(one, name) for name in fields}} for one in found]


_CHUNK = DeadLetter("a.md", "u", "embed", "rejected", "a", "1")
_OTHER = DeadLetter("b.md", "u", "embed", "rejected", "b", "2")
_WHOLE = DeadLetter("c.md", "u", "split", "is no text")


def test_the_same_failure_in_two_generations_is_two_letters(letters: DeadLetters) -> None:
    letters.file("docs", "r1", _found(_CHUNK))
    letters.file("docs", "r2", _found(_CHUNK), "2-ab")
    assert sorted((one.run_id, one.generation) for one in letters.all("docs")) == [("r1", ""), ("r2", "2-ab")]
    letters.clear(one for one in letters.all() if one.generation)
    assert [one.run_id for one in letters.all()] == ["r1"]


def test_a_generation_that_becomes_live_brings_its_letters_and_chunks_of_the_old_one_are_no_more(
    letters: DeadLetters,
) -> None:
    letters.file("docs", "r1", _found(_CHUNK, _WHOLE))
    letters.file("docs", "r2", _found(_OTHER), "2-ab")
    letters.file("docs", "r3", _found(_OTHER), "3-cd")
    letters.adopt("docs", "2-ab")
    found = {(one.doc_id, one.generation): one.run_id for one in letters.all("docs")}
    assert found == {("c.md", ""): "r1", ("b.md", ""): "r2", ("b.md", "3-cd"): "r3"}


def test_a_letter_that_both_have_is_the_new_ones_afterwards(letters: DeadLetters) -> None:
    letters.file("docs", "r1", _found(_CHUNK))
    letters.file("docs", "r2", _found(_CHUNK), "2-ab")
    letters.adopt("docs", "2-ab")
    assert [(one.run_id, one.generation) for one in letters.all("docs")] == [("r2", "")]
