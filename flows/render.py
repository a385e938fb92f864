"""What people see: small tables on stdout, progress and errors on stderr."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table
from rich.text import Text

_SHOWN_ROWS = 100
_LEAST_SHOWN = 0.000001  # USD

_BLOCKS = "▁▂▃▄▅▆▇█"

_WIDTH_OF_A_PIPE = 240  # columns, where no terminal says how many it has

# A document's text must not move the cursor or change the terminal's title; a tab or a new line may stay.
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}


class _Console(Console):
    """A console for whose reader it is no failure to have read enough, as in `| head`."""

    def on_broken_pipe(self) -> None:
        """End the command, and successfully; Rich would not."""
        _read_enough()


out = _Console(
    highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
)
err = _Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def escape(text: str) -> str:
    """Text as it stands: neither Rich nor the terminal takes a part of it for an instruction."""
    return escape_markup(safe(text))


def safe(text: str) -> str:
    """Text without what a terminal takes for an instruction, for a `Text`, which has no markup."""
    return text.translate(_CONTROLS).encode("utf-8", "replace").decode()


def width(most: int) -> int:
    """The columns to fill, up to `most`."""
    return min(out.width, most)


def lines(texts: Iterable[Text]) -> None:
    """Lines on stdout, as they stand."""
    for text in texts:
        out.print(text)


def json_document(value: Any) -> None:
    """One JSON document on stdout."""
    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2).decode()
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _read_enough()


def complain(message: str) -> None:
    """Say what is wrong, for a person."""
    err.print(f"[bold red]error:[/] {escape(message)}")


def note(message: str) -> None:
    """Say what a person should know, and nothing is wrong with."""
    err.print(f"[yellow]note:[/] {escape(message)}")


def report(values: Mapping[str, Any]) -> None:
    """What a run did."""
    documents, chunks, embedding = values["documents"], values["chunks"], values["embedding"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("documents", counts(documents))
    table.add_row("chunks", counts(chunks))
    known = f", {embedding['cache_hits']:,} known already" if embedding["cache_hits"] else ""
    table.add_row("embedded", f"{embedding['texts']:,} texts, {embedding['tokens']:,} tokens{known}")
    if embedding.get("batch_tokens"):
        table.add_row("by batch", f"{embedding['batch_tokens']:,} of the tokens, at half the price")
    table.add_row("space", escape(embedding["space"]))
    if embedding["retries"]:
        table.add_row("retries", f"{embedding['retries']:,}; texts paid again: {embedding['paid_again']:,}")
    table.add_row("cost", usd(values["cost_usd"]))
    table.add_row("time", f"{values['seconds']['total']:.1f} s")
    table.add_row("run", values["run_id"])
    out.print(table)
    if values["published"]:
        out.print(f"[green]version {values['version']} of {escape(values['table'])} is live[/]")
    else:
        version = f"; version {values['version']} stays live" if values["version"] else ""
        out.print(f"nothing changed, nothing was embedded, nothing was published{version}")


def plan(values: Mapping[str, Any]) -> None:
    """What a run would do."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("documents", counts(values["documents"]))
    rounds = values.get(
        "rounds"
    )  # where only the sentences are known, and of the chunks what they can come to
    if rounds:
        table.add_row("sentences", _amount(rounds["sentences"]))
        table.add_row("chunks", f"at most {_amount(rounds['chunks_at_most'])}")
    else:
        table.add_row("chunks", counts(values["chunks"]))
    at_most = "at most " if rounds else ""
    table.add_row("to embed", at_most + _amount(values["to_embed"]))
    table.add_row("known already", f"{values['cache_hits']:,} texts")
    over = " — over the budget" if values["over_budget"] else ""
    cost = (at_most if values["cost_usd"] else "") + usd(values["cost_usd"])
    table.add_row("cost", cost + price(values.get("price")) + over)
    if values.get("hours_at_most") is not None:
        table.add_row("by batch", f"half the price, within {values['hours_at_most']} h")
    if values["seconds_at_quota"] is not None:
        table.add_row("at the quota", f"{values['seconds_at_quota']:.0f} s")
    out.print(table)


def rows(found: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Any rows as a table; the first hundred of many."""
    iterator = iter(found)
    first = [row for _, row in zip(range(_SHOWN_ROWS), iterator, strict=False)]
    names = list(columns or (first[0] if first else ()))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(escape(name), overflow="fold")
    for row in first:
        table.add_row(*(escape(_cell(row.get(name))) for name in names))
    out.print(table if first else "no rows")
    if next(iterator, None) is not None:
        out.print(f"… the first {_SHOWN_ROWS} rows; --json gives all of them")


def size(count: int) -> str:
    """So many bytes, for people."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def seeded(values: Mapping[str, Any]) -> None:
    """What an import of vectors came to."""
    bad = values["bad"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("rows", f"{values['rows']:,}")
    table.add_row("taken in", f"{values['taken']:,} vectors of {escape(values['space'])}")
    for name in ("known", "duplicates"):
        if values[name]:
            table.add_row(name, f"{values[name]:,}")
    if values["scaled"]:
        table.add_row("scaled", f"{values['scaled']:,} to length 1")
    if bad["rows"]:
        table.add_row("left out", f"{bad['rows']:,} bad rows, such as")
    for reason in bad["reasons"]:
        table.add_row("", escape(reason))
    out.print(table)


def spark(counts: Sequence[int]) -> str:
    """A histogram as blocks in a line; a space where there is nothing."""
    most = max(counts, default=0)
    return "".join(_BLOCKS[-(-count * len(_BLOCKS) // most) - 1] if count else " " for count in counts)


def _read_enough() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush would complain
    raise typer.Exit


def _plain(value: Any) -> Any:
    """What JSON has no form for: SQL's sums are decimals, and a decimal is a number."""
    if not isinstance(value, Decimal):
        return str(value)
    return int(value) if value == int(value) and abs(value) < 2**63 else float(value)


def counts(values: Mapping[str, int]) -> str:
    """Counts by name, for people."""
    return ", ".join(f"{count:,} {name}" for name, count in values.items() if count) or "none"


def _amount(values: Mapping[str, int]) -> str:
    return f"{values['texts']:,} texts, {values['tokens']:,} tokens, {values['requests']:,} requests"


def usd(cost: float | None) -> str:
    """Money, for people."""
    if not cost:
        return "price not known" if cost is None else "nothing"
    return f"{cost:.6f} USD" if cost >= _LEAST_SHOWN else f"less than {_LEAST_SHOWN:.6f} USD"


def price(value: Mapping[str, Any] | None) -> str:
    """What a cost is told from, for people; nothing where that is nothing."""
    if not value or not value["usd"]:
        return ""
    of = f", {value['as_of']}" if value["as_of"] else ""
    return f" ({value['usd']:g} a million tokens, {escape(value['source'])}{of})"


def _cell(value: Any) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"[{len(value)} values]"
    return "" if value is None else str(value)
