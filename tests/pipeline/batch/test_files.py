"""Files are filled in order up to every bound, lazily, and nothing is lost."""

from itertools import count, pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch.files import Bounds, Sized, pack_files
from pipeline.model import Request


def _sized(number: int, inputs: int, size: int, tokens: int) -> Sized:
    return Sized(Request(number, ("x",) * inputs, ("h",) * inputs, tokens), size)


_LINES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(0, 30)), max_size=60)


@given(_LINES, st.integers(1, 20), st.integers(1, 100), st.one_of(st.none(), st.integers(1, 60)))
def test_each_file_keeps_the_bounds_or_is_one_request_and_could_not_have_taken_the_next(
    sizes: list[tuple[int, int, int]], inputs: int, size: int, tokens: int | None
) -> None:
    lines = [_sized(number, *values) for number, values in enumerate(sizes)]
    files = list(pack_files(lines, Bounds(inputs, size, tokens)))
    assert [line for file in files for line in file] == lines
    assert all(files)

    def fits(file: list[Sized]) -> bool:
        return (
            sum(len(line.request.texts) for line in file) <= inputs
            and sum(line.size for line in file) <= size
            and (tokens is None or sum(line.request.tokens for line in file) <= tokens)
        )

    assert all(len(file) == 1 or fits(file) for file in files)
    assert not any(fits([*file, after[0]]) for file, after in pairwise(files))


def test_no_more_is_taken_than_one_file_and_the_next_request() -> None:
    taken = count()
    endless = (_sized(next(taken), 1, 1, 1) for _ in iter(int, 1))
    files = pack_files(endless, Bounds(3, 100))
    assert [line.request.number for line in next(files)] == [0, 1, 2]
    assert next(taken) == 4


def test_a_bound_that_shrinks_holds_for_the_files_after() -> None:
    bounds = Bounds(100, 1000, 10)
    files = pack_files([_sized(n, 1, 1, 2) for n in range(12)], bounds)
    assert len(next(files)) == 5
    bounds.tokens = 4
    assert [len(file) for file in files] == [2, 2, 2, 1]
