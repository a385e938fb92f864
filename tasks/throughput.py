"""How quickly a run has sent over its whole time, beside what its quota permits, as a plot."""

from base64 import b64encode
from dataclasses import dataclass, field
from html import escape

from pipeline.ports import Advance

_WIDE, _HIGH = 640, 220  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 26, 34  # margins
_POINTS = 400  # that a plot has at most


@dataclass(slots=True)
class Throughput:
    """Tokens a minute over the seconds of a run that sent texts."""

    points: list[tuple[float, float]] = field(default_factory=list)  # seconds, tokens a minute
    quota: int | None = None  # tokens a minute
    _before: float = 0.0  # seconds of the stages before this one
    _stage: str = ""
    _last: tuple[float, int] = (0.0, 0)  # seconds and tokens of the stage's latest point

    def see(self, advance: Advance) -> None:
        """Take in how far a stage has come; every second at most."""
        sending = advance.sending
        if sending is None:
            return
        if advance.stage != self._stage:
            self._before = self.points[-1][0] if self.points else 0.0
            self._stage, self._last = advance.stage, (0.0, 0)
        self.quota = sending.tpm or self.quota
        seconds, tokens = self._last
        done = advance.total is not None and advance.done >= advance.total
        passed = sending.seconds - seconds
        if sending.tokens > tokens and (passed >= 1 or (done and passed > 0)):
            self.points.append((self._before + sending.seconds, 60 * (sending.tokens - tokens) / passed))
            self._last = (sending.seconds, sending.tokens)
        if len(self.points) > _POINTS:
            self.points = [_joined(pair) for pair in zip(self.points[::2], self.points[1::2], strict=False)]

    def image(self) -> str:
        """The plot as a data URI, which a page shows without asking any host; "" where nothing was seen."""
        if not self.points:
            return ""
        return f"data:image/svg+xml;base64,{b64encode(self._svg().encode()).decode()}"

    def _svg(self) -> str:
        ends = max(seconds for seconds, _ in self.points) or 1.0
        most = 1.1 * max([rate for _, rate in self.points] + ([self.quota] if self.quota else []))
        wide, high = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
        floor = _TOP + high

        def at(seconds: float, rate: float) -> str:
            return f"{_LEFT + wide * seconds / ends:.1f},{floor - high * rate / most:.1f}"

        line = " ".join([at(0, self.points[0][1]), *(at(*point) for point in self.points)])
        shape = f"{_LEFT},{floor} {line} {at(ends, 0)}"
        parts = [
            f'<polygon points="{shape}" fill="#4b8bf5" fill-opacity="0.25"/>',
            f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>',
            f'<path d="M{_LEFT},{_TOP}V{floor}H{_LEFT + wide}" fill="none" stroke="#888"/>',
            *(
                _text(_LEFT - 6, floor - high * share + 4, f"{most * share:,.0f}", "end")
                for share in (0, 0.5, 1)
            ),
            *(
                _text(_LEFT + wide * share, floor + 16, f"{ends * share:,.0f} s", "middle")
                for share in (0, 0.5, 1)
            ),
            _text(_LEFT, 14, "tokens a minute", "start"),
        ]
        if self.quota:
            level = floor - high * self.quota / most
            parts.append(
                f'<path d="M{_LEFT},{level:.1f}H{_LEFT + wide}" stroke="#dc2626" stroke-dasharray="6 4"/>'
            )
            parts.append(_text(_LEFT + wide, level - 5, f"quota {self.quota:,}", "end"))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" '
            f'height="{_HIGH}" font-family="sans-serif" font-size="11" fill="#333">'
            f'<rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>{"".join(parts)}</svg>'
        )


def _joined(pair: tuple[tuple[float, float], tuple[float, float]]) -> tuple[float, float]:
    (_, first), (seconds, second) = pair
    return seconds, (first + second) / 2


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(said)}</text>'
