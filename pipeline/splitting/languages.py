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
    from tree_sitter import Node, Parser

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


@dataclass(frozen=True, slots=True)
class Language:
    """A programming language with a grammar."""

    name: str
    names: tuple[str, ...]  # that it goes by as well, the endings of its files among them
    word: str = ""  # before a function's name
    package: str = ""  # of its grammar, where it is not named after the language
    function: str = "language"  # gives the grammar

    def parser(self) -> "Parser":
        """A parser; raises InputError where its packages are not installed."""
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
