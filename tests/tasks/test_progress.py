"""How often a run's progress is shown on a board."""

from dataclasses import dataclass, field, replace

from pipeline.ports import Advance, Sending, silent
from tasks.progress import Paced, listen, telling
from tests.endpoint.probe import Clock

SENDING = Sending(0, 100, 0, 10, 0, None, 0.0, 0.0, 0.0, None, None, None)


@dataclass
class Remembering:
    """A board that keeps all it has shown."""

    shown: list[tuple[str, int]] = field(default_factory=list)

    def show(self, advance: Advance) -> None:
        """Keep the stage and the count."""
        self.shown.append((advance.stage, advance.done))


def _embed(done: int) -> Advance:
    return Advance("embed", done, 10, SENDING)


def test_a_board_is_told_at_once_then_every_two_seconds_and_at_the_end() -> None:
    board, clock = Remembering(), Clock()
    paced = Paced(board, clock)
    for done, seconds in ((0, 0.0), (1, 1.9), (2, 0.2), (3, 1.0), (4, 0.5), (9, 1.0), (10, 0.0)):
        clock.now += seconds
        paced(_embed(done))
    assert board.shown == [("embed", 0), ("embed", 2), ("embed", 9), ("embed", 10)]


def test_stages_are_paced_apart_and_those_that_send_nothing_are_not_shown() -> None:
    board, clock = Remembering(), Clock()
    paced = Paced(board, clock)
    paced(Advance("split", 1, 2))
    paced(replace(_embed(1), stage="sentences"))
    paced(_embed(1))
    assert board.shown == [("sentences", 1), ("embed", 1)]


def test_a_flow_tells_its_listener_everything() -> None:
    heard, board = list[Advance](), Remembering()
    listen(heard.append)
    try:
        tell = telling(board)
        for done in range(3):
            tell(_embed(done))
    finally:
        listen(silent)
    assert [one.done for one in heard] == [0, 1, 2]
    assert board.shown == [("embed", 0)]
