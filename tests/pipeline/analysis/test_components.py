"""Connected components of edges that come in batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import components
from pipeline.analysis.components import Components

_EDGES = st.lists(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20), max_size=5)


@given(_EDGES)
def test_nodes_have_one_root_exactly_where_edges_lead_from_one_to_the_other(
    batches: list[list[tuple[int, int]]],
) -> None:
    found = Components(30)
    group = list(range(30))
    for batch in batches:
        found.join(np.array([a for a, _ in batch], np.int64), np.array([b for _, b in batch], np.int64))
        for a, b in batch:
            old, new = max(group[a], group[b]), min(group[a], group[b])
            group = [new if one == old else one for one in group]
    assert found.roots().tolist() == group


def test_edges_are_folded_whenever_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_FOLDED", 4)
    found = Components(100)
    for start in range(0, 99, 3):
        found.join(np.arange(start, start + 3) % 99, np.arange(start + 1, start + 4))
    assert set(found.roots().tolist()) == {0}
