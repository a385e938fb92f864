"""The programming languages that the code splitter reads, and how definitions in them are called.

The grammars are tree-sitter's own packages, one a language; they are in the extra `code`.
"""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

_SHEBANG = re.compile(r"#![^\n]*?\b(python|bash|sh|zsh|ksh|dash|node|ruby|php)[\d.]*\b")

# What goes before a definition's name, by its kind of node; of functions, the language has its own word.
_WORDS = {
    "abstract_class_declaration": "class",
    "class": "class",
    "class_declaration": "class",
    "class_definition": "class",
    "class_specifier": "class",
    "constructor_declaration": "",
    "destructor_declaration": "",
    "enum_declaration": "enum",
    "enum_item": "enum",
    "enum_specifier": "enum",
    "impl_item": "impl",
    "interface_declaration": "interface",
    "internal_module": "namespace",
    "macro_definition": "macro_rules!",
    "method_definition": "",
    "mod_item": "mod",
    "module": "module",
    "namespace_declaration": "namespace",
    "namespace_definition": "namespace",
    "record_declaration": "record",
    "struct_declaration": "struct",
    "struct_item": "struct",
    "struct_specifier": "struct",
    "trait_declaration": "trait",
    "trait_item": "trait",
    "type_alias_declaration": "type",
    "type_spec": "type",
    "union_item": "union",
    "union_specifier": "union",
}
_FUNCTIONS = frozenset((
    "function_declaration", "function_definition", "function_item", "generator_function_declaration",
    "method", "method_declaration", "singleton_method",
))  # fmt: skip
# What gives a function or a class its name from without, and the fields that hold the two.
_NAMINGS = {
    "assignment_expression": ("left", "right"),
    "field_definition": ("property", "value"),
    "pair": ("key", "value"),
    "public_field_definition": ("name", "value"),
    "variable_declarator": ("name", "value"),
}
_NAMED = frozenset(("arrow_function", "function_expression", "generator_function", "class"))
# What can hold one definition and nothing else, and the field that holds it, where it has a name.
_WRAPPERS = {
    "ambient_declaration": "",
    "decorated_definition": "definition",
    "export_statement": "declaration",
    "expression_statement": "",
    "lexical_declaration": "",
    "template_declaration": "",
    "type_declaration": "",
    "variable_declaration": "",
}
_NAME = 200  # characters: it is repeated for all that is in the definition

_READ = 65536  # bytes given to a parser at once
_REPORTS = 500  # of a parser's, beyond those it may give
_REPORTS_A_BYTE = 0.15  # code takes a quarter of it
_DEEPEST = 1000  # brackets within one another
_LONGEST = 300  # signs in a row that may be brackets, or may put what follows into what is before
_SIGN = re.compile(rb"[()\[\]{}<=;,\n]")


@dataclass(frozen=True, slots=True)
class Language:
    """A programming language with a grammar."""

    name: str
    names: tuple[str, ...]  # that it goes by as well, the endings of its files among them
    word: str = ""  # before a function's name
    package: str = ""  # of its grammar, where it is not named after the language
    function: str = "language"  # gives the grammar

    def parse(self, source: bytes) -> "Tree | None":
        """The syntax tree of a text in UTF-8; None where it is too far from any code.

        Some text that is no code takes a parser quadratic time and memory: what is nested too deep is not
        parsed, and a parser that does not get on is stopped. Raises InputError where the packages that it
        takes are not installed.
        """
        parser = self.parser()
        if _is_nested(source):
            return None
        try:
            return parser.parse(lambda at, _: source[at : at + _READ], progress_callback=_Pace())
        except ValueError:  # that is how a parser says that it was stopped
            return None

    def parser(self) -> "Parser":
        """A parser; raises InputError where the packages that it takes are not installed."""
        package = self.package or f"tree-sitter-{self.name}"
        try:
            import tree_sitter

            grammar = import_module(package.replace("-", "_"))
        except ImportError as error:
            raise InputError(
                f"splitting {self.name} as code needs the packages tree-sitter and {package}; install them "
                "with pip install 'vecmill[code]', or uv sync --extra code"
            ) from error
        return tree_sitter.Parser(tree_sitter.Language(getattr(grammar, self.function)()))


def _is_nested(source: bytes) -> bool:
    """Whether a text has more within one another than any code has."""
    depth = less = equal = 0
    for match in _SIGN.finditer(source):
        sign = match[0]
        if sign == b"\n":
            equal = 0
        elif sign == b"=":
            equal += 1
        elif sign == b"<":
            less += 1
        else:
            less = equal = 0
            depth = depth + 1 if sign in b"([{" else max(0, depth - (sign in b")]}"))
        if depth > _DEEPEST or less > _LONGEST or equal > _LONGEST:
            return True
    return False


class _Pace:
    """Stops a parser that does not get on; it reports every hundred steps.

    Steps are counted, never time, so that a text is always cut alike.
    """

    def __init__(self) -> None:
        self._reports = 0
        self._at = 0

    def __call__(self, at: int, _: bool) -> bool:
        """Whether to stop a parser that has come to a byte."""
        self._at = max(self._at, at)
        self._reports += 1
        return self._reports > _REPORTS + self._at * _REPORTS_A_BYTE


LANGUAGES = (
    Language("bash", ("sh", "shell", "zsh", "ksh", "dash"), "function"),
    Language("c", ()),
    Language("c-sharp", ("c#", "csharp", "cs")),
    Language("cpp", ("c++", "cc", "cxx", "h", "hh", "hpp", "hxx")),
    Language("go", ("golang",), "func"),
    Language("java", ()),
    Language("javascript", ("js", "mjs", "cjs", "jsx", "node"), "function"),
    Language("php", (), "function", function="language_php"),
    Language("python", ("py", "pyi", "pyw"), "def"),
    Language("ruby", ("rb", "rake", "gemspec"), "def"),
    Language("rust", ("rs",), "fn"),
    Language("tsx", (), "function", "tree-sitter-typescript", "language_tsx"),
    Language("typescript", ("ts", "mts", "cts"), "function", function="language_typescript"),
)
_BY_NAME = {name: language for language in LANGUAGES for name in (language.name, *language.names)}


def named_language(name: str) -> Language:
    """The language of a name, an alias or a file's ending; raises InputError where there is none."""
    language = _BY_NAME.get(name.lower().lstrip("."))
    if language is None:
        known = ", ".join(language.name for language in LANGUAGES)
        raise InputError(f"{name!r} is no language that can be split as code; choose one of {known}")
    return language


def language_of(name: str) -> str:
    """The language that a file's name tells; "" where it tells none."""
    language = _BY_NAME.get(PurePath(name).suffix.lower()[1:])
    return language.name if language else ""


def language_within(text: str) -> Language | None:
    """The language that a text's first line tells, where it names the program that runs it."""
    found = _SHEBANG.match(text)
    return _BY_NAME[found[1]] if found else None


def definition_of(node: "Node", language: Language) -> "tuple[str, Node] | None":
    """The one definition that a node is or holds: what it is called, and its own node; None for no such."""
    while node.type in _WRAPPERS:
        held = node.child_by_field_name(_WRAPPERS[node.type]) if _WRAPPERS[node.type] else None
        if held is None:
            # The parameters of a template go before what it is of.
            held = node.named_child(node.named_child_count - 1) if _single(node) else None
        if held is None:
            return None
        node = held
    name = _name(node)
    if not name:
        return None
    word = language.word if node.type in _FUNCTIONS else _WORDS.get(node.type, language.word)
    label = " ".join(f"{word} {name}".split())
    return (label if len(label) <= _NAME else label[: _NAME - 1] + "…"), node


def _single(node: "Node") -> bool:
    return node.named_child_count == 1 or node.type == "template_declaration"


def _name(node: "Node") -> str:
    """What a node defines; "" where it defines nothing, or nothing with a name."""
    if node.type in _NAMINGS:
        left, right = (node.child_by_field_name(field) for field in _NAMINGS[node.type])
        return _text(left) if right is not None and right.type in _NAMED else ""
    if node.type not in _FUNCTIONS and node.type not in _WORDS:
        return ""
    if node.type == "impl_item":
        trait, type_ = _text(node.child_by_field_name("trait")), _text(node.child_by_field_name("type"))
        return f"{trait} for {type_}" if trait else type_
    if receiver := node.child_by_field_name("receiver"):  # Go
        return f"{_text(receiver)} {_text(node.child_by_field_name('name'))}"
    if on := node.child_by_field_name("object"):  # Ruby
        return f"{_text(on)}.{_text(node.child_by_field_name('name'))}"
    named = node.child_by_field_name("name")
    return _text(named) or _declared(node)


def _declared(node: "Node") -> str:
    """The name in a declarator of C, which can be wrapped in others."""
    inner = node.child_by_field_name("declarator")
    while inner is not None and inner.type.endswith("_declarator"):
        # Those of references have no field.
        inner = inner.child_by_field_name("declarator") or inner.named_child(0)
    return _text(inner)


def _text(node: "Node | None") -> str:
    """A node's text, if it is short enough to be a name."""
    if node is None or node.text is None or node.end_byte - node.start_byte > 4 * _NAME:
        return ""
    return node.text.decode("utf-8", "replace")
