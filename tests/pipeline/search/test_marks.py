"""What is marked in a text, and which part of it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.marks import around, marked, words_of


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Who should be called at night?", ["called", "should", "night"]),
        ("暗さに目が慣れるまで何分かかりますか", ["何分", "慣", "暗", "目"]),
        ("カメラの設定", ["カメラ", "設定"]),
        ("the who", ["the", "who"]),
        ("naïve Σ2 café", ["naïve", "café", "σ2"]),
        ("?!", []),
    ],
)
def test_the_words_of_a_query_are_those_that_say_something(query: str, words: list[str]) -> None:
    assert words_of(query) == words


@pytest.mark.parametrize(
    ("text", "query", "parts"),
    [
        ("Stars and a startled STAR.", "star", ["Stars", "STAR"]),
        ("味噌汁に豆腐を入れる。", "豆腐の味噌汁", ["味噌汁", "豆腐"]),
        ("電源の装置がある。", "電源装置", ["電源", "装置"]),
        ("a.b.c", "a.b", ["b"]),
        ("so it goes on", "it", ["it"]),
        ("nothing of it", "(regex[", []),
    ],
)
def test_words_are_marked_where_they_stand(text: str, query: str, parts: list[str]) -> None:
    spans = marked(text, words_of(query))
    assert [text[start:end] for start, end in spans] == parts


def test_the_part_shown_is_the_one_with_most_of_the_words() -> None:
    text = "river " + "x" * 500 + " the river meets the sea, and the sea the river " + "y" * 500
    start, end = around(text, marked(text, ["river", "sea"]), 100)
    assert text[start:end].count("river") == 2
    assert text[start:end].count("sea") == 2


@given(st.text(max_size=400), st.text(max_size=30), st.integers(1, 100))
def test_what_is_shown_lies_in_the_text_and_is_no_longer_than_asked_for(
    text: str, query: str, width: int
) -> None:
    spans = marked(text, words_of(query))
    assert spans == sorted(spans)
    start, end = around(text, spans, width)
    assert 0 <= start <= end <= len(text)
    assert end - start == min(width, len(text))
