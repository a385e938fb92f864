"""The map: a page that needs nothing beside itself, and a picture."""

import base64
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.map import Area, Map
from pipeline.analysis.picture import _apart, draw
from pipeline.errors import InputError
from tests.pipeline.analysis.made import around, made

_ODD = '</script><img src="https://example.com/x"> & 川'


@pytest.fixture
def drawn(tmp_path: Path) -> Map:
    texts = (
        [f"river {number}" for number in range(20)] + [f"流星群 {number}" for number in range(19)] + [_ODD]
    )
    return Map.of(made(tmp_path, around(2, 20), texts), method="pca", k=2)


def _data(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, object] = json.loads(found[1])
    return data


def test_the_page_holds_every_point_with_its_text_and_area(drawn: Map) -> None:
    data = _data(drawn.page())
    points = np.frombuffer(base64.b64decode(str(data["points"])), np.uint16).reshape(-1, 2)
    assert np.abs(points / 65535 - drawn.points).max() < 1e-4
    assert np.frombuffer(base64.b64decode(str(data["labels"])), np.uint16).tolist() == drawn.labels.tolist()
    texts = data["texts"]
    assert isinstance(texts, list)
    assert texts[-1] == _ODD
    assert [one.chunks for one in drawn.areas] == [20, 20]
    assert {one.name for one in drawn.areas} == {"river", "流星群"}


def test_the_page_asks_no_host_and_no_text_ends_its_element(drawn: Map) -> None:
    page = drawn.page()
    assert page.count("</script>") == 2
    assert "default-src 'none'" in page
    without = page.replace(json.dumps(_ODD, ensure_ascii=False)[1:-1].replace("<", "\\u003c"), "")
    assert not re.search(r"https?://", without)


def test_a_large_version_is_shown_by_a_sample(tmp_path: Path) -> None:
    drawn = Map.of(made(tmp_path, around(2, 50)), method="pca", most=30)
    assert (len(drawn.points), drawn.total) == (30, 100)
    assert len(drawn.record()["points"]) == 30
    with pytest.raises(InputError, match="take at least 2"):
        Map.of(made(tmp_path, around(2, 50)), most=1)


def test_the_picture_is_a_png_with_points_in_the_areas_colours(drawn: Map, tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw(drawn, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    pixels = imread(tmp_path / "map.png")[:, :, :3]
    for area in drawn.areas:
        colour = np.array([int(area.colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        paled = 1 - 0.6 * (1 - colour)
        assert (np.abs(pixels - paled).max(axis=2) < 0.02).sum() > 50
    with pytest.raises(InputError, match="cannot be written"):
        draw(drawn, tmp_path / "nowhere" / "map.png")


def test_without_the_extra_the_picture_says_how_to_get_it(
    drawn: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.analysis.picture.find_spec", lambda name: None)
    assert importlib.util.find_spec("matplotlib")
    with pytest.raises(InputError, match=r"a PNG needs an extra .*vecmill\[analysis\]"):
        draw(drawn, tmp_path / "map.png")


def test_of_two_names_that_would_overlap_the_picture_shows_the_larger_areas() -> None:
    one, near, far = (
        Area(name, size, x, 0.5, "#000000")
        for name, size, x in [("b", 9, 0.52), ("a", 5, 0.5), ("c", 1, 0.9)]
    )
    assert [area.name for area in _apart([near, one, far])] == ["b", "c"]
