"""How smooth the map is: times between frames while a mouse zooms, drags and hovers over it.

    uv run python -m tests.benchmarks.map_frames [--points 50000]

A headless chromium draws without a GPU: what is measured is software rendering, the worst that a browser has.
Events are real ones of a mouse, sent one after another, each as soon as the one before is done.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.analysis.map import COLOURS, Area, Map

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
_SIZE = {"width": 1280, "height": 800}
_EVENTS = 120
# From a frame in which the map was drawn to the next one: frames in which nothing moves are no news.
_WATCH = """() => {
  window.frames_ = []; let before = null, on = true, drawn = false;
  const arrays = WebGLRenderingContext.prototype.drawArrays;
  gl.drawArrays = (...given) => { drawn = true; arrays.apply(gl, given); };
  const next = (now) => {
    if (before !== null && drawn) frames_.push(now - before);
    before = now; drawn = false;
    if (on) requestAnimationFrame(next);
  };
  requestAnimationFrame(next); window.stop_ = () => { on = false; return frames_; };
}"""


def main() -> None:
    """Write a page, use it in a browser, print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=50_000)
    options = parser.parse_args()
    found = shutil.which("chromium")
    if not found:
        sys.exit("there is no chromium here; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="vecmill-map-") as folder, sync_playwright() as playwright:
        path = Path(folder) / "map.html"
        _map(options.points).write_page(path)
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        page = browser.new_page(viewport=_SIZE)  # type: ignore[arg-type]
        page.goto(path.as_uri())
        page.wait_for_function("typeof names !== 'undefined'")
        size = f"{path.stat().st_size / 1e6:.1f} MB, {_SIZE['width']} x {_SIZE['height']}"
        print(f"{options.points:,} points, {size}")
        print(page.evaluate("gl.getExtension('WEBGL_debug_renderer_info') ? gl.getParameter(0x9246) : '?'"))
        print(f"{'':<10}{'frames':>8}{'median ms':>12}{'95 % ms':>10}{'longest ms':>12}")
        for name, use in (("zoom", _zoom), ("drag", _drag), ("hover", _hover)):
            page.evaluate("home()")
            page.evaluate(_WATCH)
            use(page)
            _show(name, page.evaluate("stop_()"))
        browser.close()


def _show(name: str, frames: list[float]) -> None:
    if not frames:
        print(f"{name:<10}{0:>8}")
        return
    median, most, longest = np.percentile(frames, [50, 95, 100])
    print(f"{name:<10}{len(frames):>8}{median:>12.1f}{most:>10.1f}{longest:>12.1f}", flush=True)


def _zoom(page: "Page") -> None:
    page.mouse.move(750, 400)
    for number in range(_EVENTS):
        page.mouse.wheel(0, -60 if number < _EVENTS / 2 else 60)


def _drag(page: "Page") -> None:
    page.mouse.move(750, 400)
    page.mouse.down()
    _round(page, 200)
    page.mouse.up()


def _hover(page: "Page") -> None:
    _round(page, 250)


def _round(page: "Page", radius: float) -> None:
    for turn in np.linspace(0, 4 * np.pi, _EVENTS):
        page.mouse.move(750 + radius * np.cos(turn), 400 + radius * np.sin(turn))


def _map(count: int) -> Map:
    """Points in groups, as t-SNE lays them, with texts in both languages."""
    random = np.random.default_rng(0)
    middles = random.uniform(0.15, 0.85, (16, 2))
    labels = random.integers(0, 16, count)
    points = np.clip(middles[labels] + 0.05 * random.standard_normal((count, 2)), 0, 1).astype(np.float32)
    texts = [f"Text {n}: rivers carry water to the sea. 川は水を海へ運ぶ。" * 4 for n in range(count)]
    areas = tuple(
        Area(f"group {n} 星座", int((labels == n).sum()), float(x), float(y), COLOURS[n])
        for n, (x, y) in enumerate(middles)
    )
    names = [f"docs/{n // 8}.md" for n in range(count)]
    return Map("made", 1, "none", "made", count, points, labels, areas, names, texts)


if __name__ == "__main__":
    main()
