"""The page of a comparison."""

import xml.etree.ElementTree as ElementTree
from base64 import b64decode
from typing import Any

from tasks.comparison_page import in_markdown, page
from tasks.figures import comparison_rows

_SIDE: dict[str, Any] = {
    "generation": "1-aa",
    "space": "local/a<b>@64",
    "splitter": "markdown/64",
    "dimensions": 64,
    "chunks": 1200,
    "tokens": 3400,
    "bytes": 2_500_000,
    "cost_usd": 0.25,
    "search_ms": 4.0,
    "search_ms_95": 8.0,
    "embed_ms": None,
    "recall": None,
    "ndcg": None,
}
_VALUES: dict[str, Any] = {
    "table": "docs",
    "top_k": 10,
    "questions": 3,
    "overlap": 0.5,
    "correlation": 0.25,
    "overlaps": [0.0, 0.5, 1.0],
    "correlations": [-1.0, 0.75, 1.0],
    "live": _SIDE,
    "next": {**_SIDE, "generation": "2-bb", "space": "local/c@128", "embed_ms": 2.0},
}


def test_the_page_is_whole_asks_nothing_elsewhere_and_takes_names_as_text() -> None:
    html = page(_VALUES)
    assert "a&lt;b&gt;" in html
    assert "a<b>" not in html
    for word in ("<script", "src=", "href=", "url("):
        assert word not in html
    assert html.count("http") == html.count('xmlns="http://www.w3.org/2000/svg"') == 3
    body = html.removeprefix("<!doctype html>").replace('<meta charset="utf-8">', "")
    ElementTree.fromstring(body)


def test_each_question_is_in_one_bar_of_each_histogram() -> None:
    html = page(_VALUES)
    heights = [part.split('height="')[1].split('"')[0] for part in html.split("<rect")[1:]]
    assert sum(float(height) > 0 for height in heights[:10]) == 3
    assert sum(float(height) > 0 for height in heights[10:20]) == 3
    assert "Labelled" not in html


def test_labels_have_a_plot_of_their_own() -> None:
    sides = {name: {**_VALUES[name], "recall": 0.9, "ndcg": 0.6} for name in ("live", "next")}
    assert "recall@10" in page({**_VALUES, **sides})


def test_a_dashboard_gets_the_same_with_its_plots_as_images() -> None:
    text = in_markdown(_VALUES)
    assert "| overlap of the first 10 | 0.500 | of both, 3 questions |" in text
    images = [part.partition(")")[0] for part in text.split("base64,")[1:]]
    assert len(images) == 3
    for image in images:
        assert ElementTree.fromstring(b64decode(image)).tag.endswith("svg")


def test_rows_show_what_was_measured_and_leave_out_what_was_not() -> None:
    rows = {name: (a, b) for name, a, b in comparison_rows(_VALUES)}
    assert rows["overlap of the first 10"] == ("0.500", "of both, 3 questions")
    assert rows["size"] == ("2.5 MB", "2.5 MB")
    assert rows["to embed it all"][0] == "0.250000 USD, 3,400 tokens"
    assert rows["embed a question"] == ("", "2.0 ms")
    assert "recall@10" not in rows
