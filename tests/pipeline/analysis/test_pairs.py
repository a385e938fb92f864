"""Sentence pairs: how well cosines agree with people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from pipeline.analysis.pairs import Pairs, agreement
from pipeline.errors import InputError
from pipeline.ports import Vectors


def _written(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def _pairs(path: Path, count: int = 40) -> Pairs:
    """Pairs of the angles 0 and n degrees, graded from 5 down to 0."""
    rows: list[dict[str, object]] = [
        {"sentence1": "0", "sentence2": str(2 * n), "score": 5 - 5 * n / (count - 1)} for n in range(count)
    ]
    return Pairs.read(_written(path / "pairs.jsonl", rows))


def _angles(texts: Sequence[str]) -> Vectors:
    turned = np.radians(np.array(texts, float))
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def test_cosines_in_the_order_of_the_grades_agree_wholly(tmp_path: Path) -> None:
    found = agreement(_pairs(tmp_path), _angles)
    assert (found.spearman, found.accuracy, found.pairs) == (1.0, 1.0, 40)
    assert found.threshold == pytest.approx(np.cos(np.radians(39)), abs=0.03)


def test_cosines_that_say_nothing_agree_with_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    found = agreement(
        _pairs(tmp_path), lambda texts: random.standard_normal((len(texts), 2)).astype(np.float32)
    )
    assert found.low < 0.0 < found.high
    assert abs(found.spearman) < 0.4


def test_a_threshold_that_is_given_is_kept_and_told_by_all_pairs(tmp_path: Path) -> None:
    found = agreement(_pairs(tmp_path), _angles, threshold=-1.0)
    assert (found.threshold, found.accuracy) == (-1.0, 0.5)


def test_equal_grades_share_their_rank(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"sentence1": "0", "sentence2": str(10 * n), "score": [3, 3, 1, 1][n]} for n in range(4)
    ]
    pairs = Pairs.read(_written(tmp_path / "ties.jsonl", rows))
    assert agreement(pairs, _angles).spearman == pytest.approx(0.8944, abs=1e-3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"sentence1": "a", "sentence2": "b"}] * 5, "has no 'score'"),
        ([{"sentence1": "a", "sentence2": "b", "score": "x"}] * 5, "which is no number"),
        ([{"sentence1": "a", "sentence2": "b", "score": 1}] * 3, "has 3 pairs"),
        ([{"sentence1": "a", "sentence2": "b", "score": 1}] * 5, "gives every pair the score 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, rows: list[dict[str, object]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Pairs.read(_written(tmp_path / "bad.jsonl", rows))
