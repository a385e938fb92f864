"""What is in a batch: the lines of its input file, and what becomes of each of them.

`Faults` befall lines as they befall requests; what a reset or a hang is to a request, to a line is that
neither file has it afterwards, and garbage is an output line that breaks off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .answers import answer
from .faults import Fault, Faults
from .ledger import Ledger
from .wire import Bounds, Call, CountText, WireError, parse_call

_MISSING = (Fault.RESET_BEFORE_BILLING, Fault.RESET_AFTER_BILLING, Fault.HANG)


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch."""

    custom_id: str
    body: dict[str, Any]
    inputs: int  # texts
    tokens: int  # of its texts, as they count against the queue


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a batch is failed before any of its lines is looked at by a model."""

    code: str
    message: str
    line: int | None = None  # of the input file, from 1

    def record(self) -> dict[str, Any]:
        """As the batch's `errors.data` has it."""
        return {"code": self.code, "message": self.message, "line": self.line, "param": None}


@dataclass(frozen=True, slots=True)
class Written:
    """One line that a batch leaves: in which of its files, and what it says; b"" where neither has it."""

    succeeded: bool
    data: bytes = b""


def read_lines(data: bytes, url: str, count: CountText) -> tuple[list[Line], list[Problem]]:
    """The lines of an input file, and what is wrong with them."""
    lines: list[Line] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, raw in enumerate(data.splitlines(), start=1):
        try:
            line = _line(raw, url, seen, count)
        except _Invalid as error:
            problems.append(Problem(error.code, str(error), number))
        else:
            seen.add(line.custom_id)
            lines.append(line)
    if not lines and not problems:
        problems.append(Problem("empty_file", "The input file has no lines."))
    if len({line.body.get("model") for line in lines}) > 1:
        problems.append(Problem("mismatched_model", "All requests of a batch must be for one model."))
    return lines, problems


class _Invalid(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _line(raw: bytes, url: str, seen: set[str], count: CountText) -> Line:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _Invalid("invalid_json_line", "This line is not parseable as valid JSON.") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("body"), dict):
        raise _Invalid("invalid_request", "A line is an object with custom_id, method, url and body.")
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        raise _Invalid("missing_required_parameter", "A line needs a custom_id.")
    if custom_id in seen:
        raise _Invalid("duplicate_custom_id", f"The custom_id {custom_id} was used before in this file.")
    if fields.get("method") != "POST":
        raise _Invalid("invalid_method", "The method must be POST.")
    if fields.get("url") != url:
        raise _Invalid("invalid_url", f"The URL of each line must be the batch's endpoint, {url}.")
    given = fields["body"].get("input")
    texts = given if isinstance(given, list) else [given]
    tokens = sum(count(text) for text in texts if isinstance(text, str))
    return Line(custom_id, fields["body"], len(texts), tokens)


def executed(
    line: Line, number: int, bounds: Bounds, count: CountText, faults: Faults, ledger: Ledger
) -> Written:
    """Do one line's work, and bill it."""
    try:
        call = parse_call(orjson.dumps(line.body), bounds, count)
        if faults.poisons(call.texts):
            raise WireError(400, "'input' is invalid. Please check the API reference.")
        fault = faults.draw()
        if fault is Fault.INSUFFICIENT_QUOTA or faults.insufficient_quota:
            code = "insufficient_quota"
            raise WireError(429, "You exceeded your current quota.", kind=code, code=code)
        if fault is Fault.SERVER_ERROR:
            raise WireError(faults.next_status(), "The server failed to answer.", kind="server_error")
    except WireError as error:
        return Written(False, _record(line, number, error.status, orjson.dumps({"error": error.error})))
    if fault is None or fault.bills:
        ledger.bill(call.texts, call.tokens, batch=True)
    return _answered(line, number, call, fault)


def _answered(line: Line, number: int, call: Call, fault: Fault | None) -> Written:
    if fault in _MISSING:
        return Written(True)
    data = _record(line, number, 200, answer(call, None if fault is Fault.GARBAGE else fault))
    return Written(True, data[: len(data) // 2] if fault is Fault.GARBAGE else data)


def _record(line: Line, number: int, status: int, body: bytes) -> bytes:
    # NaN has no JSON: the body is put in as it stands, as a service in Python would write it.
    response = {"status_code": status, "request_id": f"req_{number}", "body": orjson.Fragment(body)}
    return orjson.dumps(_entry(line, number, response, None))


def unexecuted(line: Line, number: int, code: str, message: str) -> bytes:
    """The error line of a request that was never done."""
    return orjson.dumps(_entry(line, number, None, {"code": code, "message": message}))


def _entry(line: Line, number: int, response: Any, error: Any) -> dict[str, Any]:
    return {
        "id": f"batch_req_{number:06d}",
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }


def total(lines: Sequence[Line]) -> tuple[int, int]:
    """Inputs and tokens of all lines."""
    return sum(line.inputs for line in lines), sum(line.tokens for line in lines)
