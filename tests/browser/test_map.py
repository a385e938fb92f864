"""The map in a browser: it is drawn, it zooms, it tells what is under the mouse, and asks no host."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.analysis.map import Map
from tests.pipeline.analysis.made import around, made

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

_INK = """() => {
  draw(); return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    const { width, height } = canvas, pixels = new Uint8Array(width * height * 4);
    thin(1); gl.clear(gl.COLOR_BUFFER_BIT); gl.drawArrays(gl.POINTS, 0, count);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    let ink = 0; for (let at = 3; at < pixels.length; at += 4) ink += pixels[at] > 0; done(ink);
  })));
}"""


def test_a_page_of_fifty_thousand_points_can_be_looked_into(browser: "Browser", tmp_path: Path) -> None:
    texts = [f"river {n}" if n < 25_000 else f"流星群 {n}" for n in range(50_000)]
    drawn = Map.of(made(tmp_path, around(2, 25_000, dimensions=8), texts), method="pca", k=2)
    drawn.write_page(tmp_path / "map.html")
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri())
    page.wait_for_function("typeof grid !== 'undefined'")
    assert page.evaluate("data.texts.length") == 50_000
    before = page.evaluate(_INK)
    assert before > 1000
    page.evaluate("zoom(0.5, 500, 350)")
    assert page.evaluate(_INK) < before
    page.evaluate("home()")
    x, y = page.evaluate(
        "[places[0] / 65535 * Math.min(innerWidth, innerHeight) * .92 + left,"
        " places[1] / 65535 * Math.min(innerWidth, innerHeight) * .92 + top_]"
    )
    page.evaluate("([x, y]) => hover(x, y)", [x, y])
    assert "river" in page.inner_text("#tip")
    moved = "coarse = 8; move(); new Promise((done) => requestAnimationFrame(() => done(thinned)))"
    assert page.evaluate(moved) == 8  # fewer while it moves, where frames are slow
    rested = "new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(thinned)), 400))"
    assert page.evaluate(rested) == 1  # the page's own timer is the earlier one
    page.fill("input", "流星群")
    page.wait_for_function("document.querySelector('#found').textContent !== ''")
    assert page.inner_text("#found") == "25,000 found"
    assert (asked, wrong) == ([(tmp_path / "map.html").as_uri()], [])
