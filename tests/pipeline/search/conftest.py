"""A table of random words in two languages, with deletions, and questions to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.objects import Objects
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from pipeline.search.question import Question
from tests.support import job_for, run, write_pages

_WORDS = ["river", "stone", "bread", "light", "winter", "garden", "山", "川", "雪", "豆腐", "京都", "言葉"]

Asking = Callable[..., Question]


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> str:
    """150 chunks, in several fragments, some of them with deletions; every other document is old."""
    base, random = tmp_path_factory.mktemp("words"), np.random.default_rng(7)

    def text() -> str:
        return "\n\n".join(f"# {n}\n\n{' '.join(random.choice(_WORDS, 5))} {n}" for n in range(10))

    folder = write_pages(base / "docs", {f"{n}.md": text() for n in range(10)})
    at = str(base / "store")
    run(job_for(folder, at))
    write_pages(folder, {f"{n}.md": text() for n in (1, 3, 12, 13, 14, 15, 16)})
    run(job_for(folder, at))
    return at


@pytest.fixture(scope="session", params=["the river in winter", "雪の山", "京都 の 言葉 bread"])
def asking(request: pytest.FixtureRequest, words: str) -> Asking:
    """Asks the same question in different ways."""
    searcher = Searcher(Objects(words), "docs")
    [vector] = searcher.embedded([request.param])

    def ask(**wishes: Any) -> Question:
        allowed = wishes.pop("allowed", None)
        text = wishes.pop("text", request.param)
        question = searcher.question(text, vector, Ask(**{"top_k": 12, **wishes}))
        return replace(question, allowed=allowed)

    return ask
