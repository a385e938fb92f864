"""The code splitter: functions and classes stay whole where they fit, and are cut between what they hold."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.languages import Language, definition_of, language_within, named_language
from pipeline.splitting.markdown import prefix_of
from pipeline.splitting.prose import LINES, Style, inside_grapheme, plain_lines
from pipeline.splitting.rulers import Ruler
from pipeline.splitting.sections import Cutter, Section, cut_sections, ruler_for
from pipeline.splitting.structure import Whole

if TYPE_CHECKING:
    from tree_sitter import Node

_CLOSING = re.compile(r"(?:[\s)}\];,]|(?:end|fi|done|esac)\b)*+")
_DEEPEST = 8  # definitions within one another: those further in are not named, or paths would grow with them
_INDENT = 1000  # bytes of white space before a line's first word
_SHORT = 200  # characters


def _joint(scan: str, low: int, high: int) -> int:
    """Behind a bracket or a semicolon, where code without lines or spaces can be cut."""
    at = max(scan.rfind(mark, low, high) for mark in ";}") + 1
    return 0 if inside_grapheme(scan, at) else at


_WITHIN = Style(LINES.late, False, LINES.strong, (*LINES.weak[:1], _joint, *LINES.weak[1:]))
CODE = replace(_WITHIN, within=_WITHIN)


@dataclass(frozen=True, slots=True)
class CodeSplitter:
    """Cuts source code along its syntax. Where nothing tells its language, it is cut at lines alone."""

    spec: SplitterSpec
    counter: TokenCounter

    def __post_init__(self) -> None:
        if self.spec.language:
            named_language(self.spec.language)

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; a chunk's path names the definitions that hold all of it."""
        spec, scan = self.spec, plain_lines(text)
        language = named_language(spec.language) if spec.language else language_within(text)
        ruler = ruler_for(text, spec, self.counter)
        outline = _Outline(scan, spec, ruler, language)
        outline.read()
        cutter = Cutter(text, spec, ruler, CODE, scan)
        return [outline.named(chunk) for chunk in cut_sections(cutter, outline.sections, self.counter)]


@dataclass(slots=True)
class _Level:
    """What is within one node, as far as it is read."""

    nodes: "Iterator[Node]"
    behind: int = -1  # the row behind a definition; -1: this is no definition
    lead: int = -1  # the first row of the comments right above; -1 where there are none
    last: int = -1  # the last row of what was read last
    members: int = 0  # how many nodes were read that are no comments


class _Outline:
    """Reads which parts of a text are definitions, and which of them fit.

    What does not fit is looked into, down to what fits. Everything is told in whole lines, which
    tree-sitter numbers as they are numbered here: no byte has to become a character.
    """

    def __init__(self, scan: str, spec: SplitterSpec, ruler: Ruler, language: Language | None) -> None:
        self._scan = scan
        self._spec = spec
        self._ruler = ruler
        self._language = language
        self._data = scan.encode("utf-8", "surrogatepass")
        self._lines = array("q", (0, *(match.end() for match in re.finditer("\n", scan)), len(scan)))
        self._paths: list[tuple[str, ...]] = [()]  # down to each open definition
        self._rooms = [spec.bound]  # what the bound leaves in each
        self._begun = 0  # what is before this is in a section
        self._over: tuple[str, ...] | None = None  # the path above the definition that starts there, if any
        self._wholes: list[Whole] = []
        self._starts: list[int] = []  # of definitions that are whole
        self._named: list[tuple[int, str]] = []  # their ends, and what they are called
        self.sections: list[Section] = []

    def read(self) -> None:
        """Read all of the text; raises InputError where the language's grammar is not installed."""
        tree = self._language.parse(self._data) if self._language else None
        levels = [_Level(iter(tree.root_node.children))] if tree else []
        while levels:
            level = levels[-1]
            for node in level.nodes:
                if within := self._take(node, level):
                    levels.append(within)
                    break
            else:
                levels.pop()
                if level.behind >= 0:
                    self._end_section(self._lines[level.behind])
                    self._paths.pop()
                    self._rooms.pop()
        self._end_section(len(self._scan))

    def named(self, chunk: Chunk) -> Chunk:
        """A chunk whose path also names the definition that it is, or is a part of."""
        number = bisect_right(self._starts, chunk.start) - 1
        if number < 0 or self._named[number][0] < chunk.end:
            return chunk
        return chunk._replace(heading_path=(*chunk.heading_path, self._named[number][1]))

    def _take(self, node: "Node", level: _Level) -> _Level | None:
        """Take a node; gives what is in it, where that has to be looked into."""
        first, last = node.start_point.row, node.end_point.row
        last -= last > first and node.end_point.column == 0
        before, level.last = level.last, last
        top = level.lead if level.lead >= 0 and first == before + 1 else first
        if "comment" in node.type or node.type == "attribute_item":
            level.lead = top if first > before else -1
            return None
        level.lead = -1
        level.members += node.is_named
        if first == last:
            return None
        start, end = self._lines[top], self._lines[last + 1]
        apart = start >= max(self._begun, self._wholes[-1][1] if self._wholes else 0) and self._leads(node)
        found = None
        if apart and self._language and len(self._paths) <= _DEEPEST:
            found = definition_of(node, self._language)
        if self._ruler.reach(start, self._rooms[-1]) >= end - 1:
            if apart:
                self._wholes.append((start, end, ""))
            if found:
                self._starts.append(start)
                self._named.append((end, found[0]))
            return None
        if not found:
            return _Level(iter(node.children))
        label, own = found
        self._open(start, label, alone=level.members == 1)
        return _Level(iter(own.children), last + 1)

    def _leads(self, node: "Node") -> bool:
        """Whether nothing is before a node in its line."""
        column = node.start_point.column
        before = self._data[node.start_byte - column : node.start_byte] if column < _INDENT else b"x"
        return not before.strip()

    def _open(self, start: int, label: str, *, alone: bool) -> None:
        """Open a definition; a short line of nothing but the one around it joins its section."""
        if self._over is None or not alone or self._wholes or start - self._begun > _SHORT:
            self._end_section(start)
            self._over = self._paths[-1]
        path = (*self._paths[-1], label)
        size = self._ruler.sizes([prefix_of(path)])[0] if self._spec.prefix_headings else 0
        self._paths.append(path)
        self._rooms.append(self._spec.bound - size)

    def _end_section(self, end: int) -> None:
        """End a section of the innermost open definition."""
        start, self._begun = self._begun, end
        over, self._over = self._over, None
        wholes, self._wholes = tuple(self._wholes), []
        text = self._scan[start:end]
        if not text or text.isspace():
            return
        if self.sections and len(text) < _SHORT and _CLOSING.fullmatch(text):
            self.sections[-1].end = end
            return
        path, prefixed = self._paths[-1], self._spec.prefix_headings
        prefix = prefix_of(path) if prefixed else ""
        first = prefix_of(over) if over is not None and prefixed else prefix
        self.sections.append(Section(start, end, path, first, prefix, wholes))
