"""Identities: the same for ever, and never the same for two things."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline import ids

_text = st.text(st.characters(exclude_categories=()))  # lone surrogates included


def test_a_digest_never_changes_from_one_release_to_the_next() -> None:
    """Were these to change, every store would embed everything again."""
    assert ids.digest("Rivers carry water.") == "60a18594dd3c97f3fe42c26ce3d05613"
    assert ids.digest("山", "川") == "0012a5b56812785fc3073b1a3242c70a"
    assert ids.fingerprint({"kind": "markdown", "max_tokens": 256}) == "90af1e3ff1e2c712fab90aa0bc056fc1"
    assert ids.chunk_id("a.md", "spec", "hash", 0) == "55e9bea948d7c6cf13528764eff17ded"


@given(st.lists(_text, max_size=4), st.lists(_text, max_size=4))
def test_two_lists_of_parts_share_a_digest_only_if_they_are_equal(one: list[str], other: list[str]) -> None:
    assert (ids.digest(*one) == ids.digest(*other)) == (one == other)


@given(_text)
def test_a_digest_is_128_bits_in_hexadecimal(text: str) -> None:
    assert len(ids.digest(text)) == 32
    assert set(ids.digest(text)) <= set("0123456789abcdef")


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans()))
def test_a_fingerprint_does_not_depend_on_the_order_of_parameters(parameters: dict[str, object]) -> None:
    assert ids.fingerprint(parameters) == ids.fingerprint(dict(reversed(parameters.items())))


def test_every_part_of_a_chunk_counts_towards_its_id() -> None:
    variants = [
        ("a", "s", "h", 0),
        ("b", "s", "h", 0),
        ("a", "t", "h", 0),
        ("a", "s", "i", 0),
        ("a", "s", "h", 1),
    ]
    assert len({ids.chunk_id(*variant) for variant in variants}) == 5


def test_run_ids_sort_by_time_and_differ_within_a_second() -> None:
    now = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    first, second, later = (
        ids.new_run_id(now),
        ids.new_run_id(now),
        ids.new_run_id(now + timedelta(seconds=1)),
    )
    assert first.startswith("20260131T235959-")
    assert first != second
    assert max(first, second) < later
