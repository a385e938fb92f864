"""The HTML splitter: sections by headings, cut between blocks, over the text of the file itself."""

from bisect import bisect_right
from dataclasses import dataclass

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.elements import within_entity
from pipeline.splitting.markdown import Paths, sections_of
from pipeline.splitting.markup import Ints, Page, read_page
from pipeline.splitting.prose import LINES, SECTIONS, Style, tied
from pipeline.splitting.sections import Cutter, cut_sections, ruler_for
from pipeline.splitting.structure import Structure


@dataclass(frozen=True, slots=True)
class HtmlSplitter:
    """Cuts HTML along its structure; chunks keep their markup, apart from what stands at their edges."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks, each with something that people see."""
        spec = self.spec
        ruler = ruler_for(text, spec, self.counter)
        page = read_page(
            text, lambda start, end: ruler.reach(start, spec.bound) >= end, max(1, spec.bound // 2)
        )
        structure = Structure(0, page.headings, page.wholes)
        paths = Paths(lambda _, heading: page.titles[heading[0]], spec.prefix_headings)
        sections = sections_of(page.scan, structure, spec, paths)
        cutter = Cutter(text, spec, ruler, _style(text, page), page.scan)
        return [chunk for chunk in cut_sections(cutter, sections, self.counter) if _shows(page.seen, chunk)]


def _shows(seen: Ints, chunk: Chunk) -> bool:
    number = bisect_right(seen, chunk.start)
    return number % 2 == 1 or (number < len(seen) and seen[number] < chunk.end)


def _style(text: str, page: Page) -> Style:
    """Between blocks, and within tables at rows; within text as in prose, never in a tag or an entity."""

    def at_block(_: str, low: int, high: int) -> int:
        return _last(page.blocks, low, high)

    def between_blocks(scan: str, low: int, high: int) -> int:
        return _last(page.blocks, low, high) or SECTIONS.strong(scan, low, high)

    def between_rows(scan: str, low: int, high: int) -> int:
        return _last(page.rows, low, high) or LINES.strong(scan, low, high)

    def beside_markup(_: str, low: int, high: int) -> int:
        number = bisect_right(page.seen, high)
        if number % 2:  # in what is seen, where it can be cut anywhere
            at = high if page.seen[number - 1] == high else within_entity(text, high)
        else:
            at = page.seen[number - 1] if number else 0
            at = at if at > low else text.rfind("<", low + 1, high + 1)
        return at if at > low and not tied(text, at) else 0

    within = Style(LINES.late, True, between_rows, (at_block, *LINES.weak, beside_markup))
    return Style(SECTIONS.late, False, between_blocks, (*SECTIONS.weak, beside_markup), within)


def _last(places: Ints, low: int, high: int) -> int:
    """The last of some places in (low, high]; 0 where there is none."""
    number = bisect_right(places, high) - 1
    return places[number] if number >= 0 and places[number] > low else 0
