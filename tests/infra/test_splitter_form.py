"""The form of a splitter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.splitter_form import SplitterConfig
from pipeline.splitter_spec import SplitterSpec

_SPECS = [
    SplitterSpec(),
    SplitterSpec("markdown", 48, overlap_tokens=8, join_sections=True, prefix_headings=False),
    SplitterSpec("markdown", max_characters=500, overlap_characters=20),
    SplitterSpec("recursive", 64, prefix_headings=False, separators=("\n", "。"), keep_separator="end"),
    SplitterSpec("semantic", 64, prefix_headings=False, breakpoints="percentile", threshold=90.0, buffer=2),
    SplitterSpec("code", 100, language="python"),
    SplitterSpec("html", 64, prefix_headings=False),
]


@pytest.mark.parametrize("spec", _SPECS, ids=lambda spec: spec.name)
def test_the_form_of_a_spec_means_that_spec(spec: SplitterSpec) -> None:
    assert SplitterConfig.of(spec).spec() == spec


@given(
    st.sampled_from(["markdown", "recursive", "sentence", "fixed", "html"]),
    st.integers(8, 500),
    st.booleans(),
)
def test_that_holds_for_any_bound(kind: str, most: int, headings: bool) -> None:
    allowed = headings and kind in ("markdown", "html")
    spec = SplitterSpec(kind, most, overlap_tokens=most // 4, prefix_headings=allowed)
    assert SplitterConfig.of(spec).spec() == spec
