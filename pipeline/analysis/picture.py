"""A map as a PNG, with names in both languages."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.analysis.projection import NEEDS
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.analysis.map import Area, Map

_INCHES, _DOTS = 10.0, 140  # a side; an inch
_MOST_NAMES = 24
_WIDE, _HIGH = 0.14, 0.045  # a name, of the whole map


def lettering() -> Any:
    """A font for both languages; raises InputError where the extra that draws is not installed."""
    package = find_spec("matplotlib_fontja")
    if package is None or find_spec("matplotlib") is None:
        raise InputError(f"a PNG needs an extra that is not installed: {NEEDS}")
    from matplotlib.font_manager import FontProperties  # takes a second to import

    # The package itself would change the settings of every figure; its font is all that is wanted.
    return FontProperties(fname=Path(str(package.origin)).parent / "fonts" / "ipaexg.ttf")


@cache
def signs() -> frozenset[int]:
    """The characters that the font has, by their code points: emoji are none of them."""
    from matplotlib.font_manager import get_font

    return frozenset(get_font(lettering().get_file()).get_charmap())


def sheet(width: float, height: float) -> Any:
    """An empty picture of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DOTS)


def write(figure: Any, path: Path) -> None:
    """Write a picture; raises InputError where it cannot be written."""
    try:
        figure.savefig(path, format="png", facecolor="white")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def draw(found: "Map", path: Path) -> None:
    """Draw a map into a file; raises InputError where the extra that draws is not installed."""
    font = lettering()
    from matplotlib.patheffects import withStroke

    figure = sheet(_INCHES, _INCHES)
    axes: Any = figure.add_axes((0.01, 0.01, 0.98, 0.94))
    axes.set_axis_off()
    axes.set_aspect("equal")
    colours = [found.areas[label].colour for label in found.labels]
    size = min(20.0, max(1.5, 30_000 / len(found.points)))
    axes.scatter(found.points[:, 0], -found.points[:, 1], s=size, c=colours, alpha=0.6, linewidths=0)
    for area in _apart(found.areas):
        outline = [withStroke(linewidth=3, foreground="white")]
        axes.text(
            area.x,
            -area.y,
            area.name.replace(" ", "\n", 1),
            fontproperties=font,
            fontsize=11,
            ha="center",
            va="center",
            path_effects=outline,
        )
    title = f"{found.table}, version {found.version}: {len(found.points):,} of {found.total:,} chunks"
    figure.text(0.02, 0.965, title, fontproperties=font, fontsize=13)
    write(figure, path)


def _apart(areas: Sequence["Area"]) -> list["Area"]:
    """The areas whose names can be read: of two that would overlap, the larger one's."""
    chosen: list[Area] = []
    for area in sorted(areas, key=lambda one: -one.chunks)[:_MOST_NAMES]:
        if all(abs(area.x - one.x) > _WIDE or abs(area.y - one.y) > _HIGH for one in chosen):
            chosen.append(area)
    return chosen
