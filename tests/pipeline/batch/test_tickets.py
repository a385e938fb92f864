"""Whatever batches a request's texts are in, it has one outcome, and every text is in exactly one."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch.tickets import NOBODY, Tickets
from pipeline.model import Outcome, Request


def _request(number: int, hashes: list[str]) -> Request:
    return Request(number, tuple(f"text {one}" for one in hashes), tuple(hashes), 10 * len(hashes))


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]], list[bool], list[bool]]:
    """Requests of different texts, others' batches with some of them, which go well, and which end early."""
    count = draw(st.integers(1, 20))
    names = [str(n) for n in range(count)]
    cuts = sorted({0, count, *draw(st.lists(st.integers(0, count), max_size=5))})
    groups = [names[a:b] for a, b in pairwise(cuts) if a < b]
    mixed = draw(st.permutations([*names, "strange"]))
    held = mixed[: draw(st.integers(0, len(mixed)))]
    size = draw(st.integers(1, 6))
    lines = [held[at : at + size] for at in range(0, len(held), size)]
    flags = st.lists(st.booleans(), min_size=len(lines), max_size=len(lines))
    return groups, lines, draw(flags), draw(flags)


@given(_cases())
def test_each_request_is_settled_once_with_all_its_texts(
    case: tuple[list[list[str]], list[list[str]], list[bool], list[bool]],
) -> None:
    groups, lines, well, early = case
    tickets, outcomes = Tickets(), list[Outcome]()

    def end(line: list[str], fine: bool) -> Iterator[Outcome]:
        hashes = tuple(line)
        part = Outcome(0, texts=len(line), tokens=7) if fine else Outcome(0, undone=hashes, reason="why")
        yield from tickets.share(part, hashes, None)

    for line in lines:
        tickets.under_way(line)
    for line, fine, soon in zip(lines, well, early, strict=True):
        if soon:  # it ends before the requests come
            outcomes += end(line, fine)
    fresh = [tickets.open(_request(number, group)) for number, group in enumerate(groups)]
    outcomes += tickets.settled()
    for request in fresh:
        if request:
            assert request.tokens == 10 * len(request.hashes)
            outcomes += tickets.add(Outcome(request.number, texts=len(request.hashes)), len(request.hashes))
    for line, fine, soon in zip(lines, well, early, strict=True):
        if not soon:
            outcomes += end(line, fine)

    mine = {outcome.number: outcome for outcome in outcomes if outcome.number != NOBODY}
    assert len(mine) == sum(outcome.number != NOBODY for outcome in outcomes) == len(groups)
    for number, group in enumerate(groups):
        assert mine[number].texts + len(mine[number].undone) == len(group)
        assert set(mine[number].undone) <= set(group)
    assert sum(outcome.tokens for outcome in outcomes) == 7 * sum(well)
