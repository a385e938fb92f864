"""The engine: goes through a stretch of text in windows as wide as the bound, one step a chunk.

In each window it ends the chunk at the strongest boundary within reach, and looks at nothing else: work
grows with the text, whatever the text is made of.
"""

from typing import NamedTuple

from pipeline.splitting.prose import LINES, Style, first_shared, grapheme_boundary, next_grapheme, skip_space
from pipeline.splitting.rulers import Characters, Ruler
from pipeline.splitting.structure import Whole

Span = tuple[int, int]  # start and end, characters


_TAIL = 4  # a last window of less than so manieth of the bound shares evenly with the one before


class Bounds(NamedTuple):
    """What a stretch's chunks may measure at most, and share with the one before."""

    first: int  # the first chunk; its prefix can be another than that of later ones
    later: int
    overlap: int = 0


class Windows:
    """Cuts stretches of one text. Spans neither begin nor end with white space."""

    def __init__(
        self, text: str, scan: str, ruler: Ruler, style: Style, costs: dict[str, int] | None = None
    ) -> None:
        self._text = text
        self._scan = scan  # the text with plain line ends
        self._ruler = ruler
        self._style = style
        self._costs = costs or {}  # of the headers of wholes
        self._ruler_erred = False  # whether a chunk as it was to be turned out to be too long
        self._exact = isinstance(ruler, Characters)

    def cut(
        self, start: int, end: int, bounds: Bounds, wholes: tuple[Whole, ...] = (), body: int = 0
    ) -> list[Span]:
        """The spans of text[start:end], in order; none lies within another.

        `wholes` are those that begin in it, in order; they do not meet. No chunk ends before `body`, where
        what stands under a heading begins. A span exceeds the bound only where a single grapheme does.
        """
        scan = self._scan
        spans: list[Span] = []
        bound, later, overlap = bounds
        start = new = skip_space(scan, start, end)  # what begins at `new` is in no chunk yet
        floor = skip_space(scan, body, end) if body else start  # the chunk's end has to lie behind it
        number = 0  # of the first whole that ends behind the start
        limit = end  # where a chunk has to end earlier than the ruler told
        quick, exact, count = self._style.paragraphs, self._exact, len(wholes)
        while start < end:
            while number < count and wholes[number][1] <= start:
                number += 1
            if quick:
                clear = wholes[number][0] if number < count else end
                state = self._paragraphs(spans, (start, new, floor, bound), clear, later, overlap)
                start, new, floor, bound = state
            room = bound - self._header(start, wholes, number) if count else bound
            reach = self._reach(start, end, limit, room, overlap)
            at, by_grapheme = end, False
            if reach < end:
                at = self._end(start, new, floor, reach, wholes, number, later)
                by_grapheme = not at
                at = at or grapheme_boundary(self._text, start, reach, end)
                if at <= new and start < new:
                    # Nothing new fits beside what is shared.
                    start, limit, self._ruler_erred = new, end, False
                    continue
            stop = without_space(scan, start, at)
            if not exact and (over := self._ruler.over(start, stop, room)) > 0:
                limit, self._ruler_erred = self._earlier(start, stop, room, over), True
                if limit < stop:
                    continue
            limit, self._ruler_erred = end, False
            spans.append((start, stop))
            bound = later
            new = floor = skip_space(scan, at, end)
            if overlap and new < end:
                free = self._behind(wholes, number, start, stop)
                start = self._shared(free, stop, overlap, by_grapheme) or new
            else:
                start = new
        return spans

    def _paragraphs(
        self, spans: list[Span], at: tuple[int, int, int, int], clear: int, later: int, overlap: int
    ) -> tuple[int, int, int, int]:
        """Cut chunks that end at a blank line, as most do, before `clear`: the steps of `cut`, made short.

        Takes and gives `start`, `new`, `floor` and `bound`.
        """
        scan, late, exact, ruler = self._scan, self._style.late, self._exact, self._ruler
        start, new, floor, bound = at
        while (reach := start + bound if exact else ruler.reach(start, bound)) < clear:
            if scan[reach].isspace() and (scan[reach] != " " or scan[reach + 1 : reach + 2].isspace()):
                break
            stop = scan.rfind("\n\n", reach - (reach - start) * late // 16, reach)
            if stop < floor or scan[stop + 2].isspace() or scan[stop - 1].isspace():
                break
            if not exact and ruler.over(start, stop, bound) > 0:
                break
            spans.append((start, stop))
            new = floor = stop + 2
            start = (self._shared(start + 1, stop, overlap) or new) if overlap else new
            bound = later
        return start, new, floor, bound

    def _reach(self, start: int, end: int, limit: int, room: int, overlap: int) -> int:
        """How far a chunk that begins at `start` may go."""
        scan, ruler = self._scan, self._ruler
        reach = start + room if self._exact else ruler.reach(start, room)
        if limit < reach:
            reach = limit
        elif end - (end - start) // 8 < reach < end and ruler.fits(start, end, room):
            reach = end  # the ruler tells but about how far it is
        elif self._style.even and reach < end < ruler.reach(reach, (room - overlap) // _TAIL):
            reach = (end + ruler.reach(start, overlap) + 1) // 2
        return skip_space(scan, reach, end) if reach < end else reach

    def _earlier(self, start: int, stop: int, room: int, over: int) -> int:
        """How far to reach instead of `stop`; `stop` itself where nothing but a grapheme is left."""
        if grapheme_boundary(self._text, start, start, stop) >= stop:
            return stop
        return max(start, min(stop - 1, start + (stop - start) * room // (room + over)))

    def _end(
        self, start: int, new: int, floor: int, reach: int, wholes: tuple[Whole, ...], number: int, later: int
    ) -> int:
        """Where a chunk ends that begins at `start`; 0 where there is nothing but graphemes."""
        scan, style = self._scan, self._style
        middle = reach - (reach - start) * style.late // 16
        low = start + (reach - start) // 4
        if low < floor:
            low = floor if floor < reach else new
            middle = max(low, middle)
        if number < len(wholes) and wholes[number][0] < reach:
            return self._beside(wholes, number, (start, max(start, new), low, middle, reach), later)
        at = style.strong(scan, middle, reach)
        return at if at > middle else style.last(scan, low, middle, reach)

    def _header(self, start: int, wholes: tuple[Whole, ...], number: int) -> int:
        """What the header costs that goes before a later piece of a whole."""
        if number >= len(wholes) or wholes[number][0] >= start:
            return 0
        return self._costs.get(wholes[number][2], 0)

    def _beside(
        self, wholes: tuple[Whole, ...], number: int, window: tuple[int, int, int, int, int], bound: int
    ) -> int:
        """Where a chunk ends that wholes begin or end in; 0 where there is nothing but graphemes."""
        start, new, low, middle, reach = window
        passed = 0
        while number < len(wholes) and wholes[number][1] <= reach:
            passed = wholes[number][1]
            number += 1
        if number < len(wholes) and wholes[number][0] < reach:
            begins, ends, _ = wholes[number]
            fits = begins >= new and self._fits(begins, ends, bound)
            if begins > new and (begins >= middle or fits):
                return begins
            if fits and start < begins and not self._fits(start, ends, bound):
                return begins  # what is shared gives way to it
            if fits and not self._ruler_erred:
                return ends  # the ruler tells but about how far the bound reaches
            low = max(low, begins)
            within = self._style.within or LINES
            return within.last(self._scan, low, (2 * low + reach) // 3, reach)
        if passed > middle:
            return self._style.last_strong(self._scan, passed, reach) or passed
        return self._style.last(self._scan, max(low, passed), middle, reach)

    def _fits(self, start: int, end: int, bound: int) -> bool:
        return self._ruler.fits(start, without_space(self._scan, start, end), bound)

    def _behind(self, wholes: tuple[Whole, ...], number: int, start: int, stop: int) -> int:
        """From where on a chunk can share its end with the next: wholes are not repeated."""
        low = start + 1
        while number < len(wholes) and wholes[number][0] < stop:
            low = max(low, min(wholes[number][1], stop))
            number += 1
        return low

    def _shared(self, low: int, stop: int, overlap: int, by_grapheme: bool = False) -> int:
        """Where in [low, stop) the whole pieces begin that two chunks share; 0 where there is none."""
        start = low - 1
        back = stop - overlap if self._exact else self._ruler.back(stop, overlap)
        if low < back:
            low = back
        while low < stop:
            at = first_shared(self._scan, low, stop) if self._style.weak else 0
            if not at and by_grapheme:
                at = next_grapheme(self._text, start, low, stop)
                at = at and skip_space(self._scan, at, stop)
            if not at or self._exact or self._ruler.fits(at, stop, overlap):
                return at
            low = at + 1
        return 0


def without_space(scan: str, start: int, end: int) -> int:
    """Where the last character before `end` that is no white space ends, or `start`."""
    for at in range(end, max(start, end - 3), -1):
        if not scan[at - 1].isspace():
            return at
    return start + len(scan[start:end].rstrip())
