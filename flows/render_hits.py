"""What people see of a search: each hit with the words of the query marked in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from flows import render

_SHOWN = 280  # characters
_NAMES = {"vector_score": "vector", "text_score": "text"}


def hits(query: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The hits of one query."""
    from pipeline.search.marks import words_of

    words = words_of(query)
    render.out.print(f"[bold]{render.escape(query)}[/]")
    for rank, hit in enumerate(found, start=1):
        path = " > ".join(hit["heading_path"])
        line = (
            f"{rank:>3}. {hit['score']:.3f}  [cyan]{render.escape(hit['doc_id'])}[/]  {render.escape(path)}"
        )
        render.out.print(line + _made_of(hit))
        render.out.print(_excerpt(hit.get("context", hit)["text"], words, whole="context" in hit))
    if not found:
        render.out.print("nothing found")


def _made_of(hit: Mapping[str, Any]) -> str:
    """Of a score that two make up, both."""
    if not set(_NAMES) <= set(hit):
        return ""
    told = (f"{said} {'–' if hit[name] is None else f'{hit[name]:.3f}'}" for name, said in _NAMES.items())
    return f"  [dim]({', '.join(told)})[/]"


def _excerpt(text: str, words: Sequence[str], *, whole: bool) -> Text:
    """The part of a text that holds most of the query's words, with these marked."""
    from pipeline.search.marks import around, marked

    text = render.safe(" ".join(text.split()))
    spans = marked(text, words)
    start, end = (0, len(text)) if whole else around(text, spans, _SHOWN)
    shown = Text(f"     {'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}", style="dim")
    shift = 5 + bool(start) - start
    for first, last in spans:
        if start <= first and last <= end:
            shown.stylize("bold not dim yellow", first + shift, last + shift)
    return shown
