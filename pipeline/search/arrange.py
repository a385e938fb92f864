"""From ranked rows to hits: diversity, neighbours' text, and what a hit says."""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.search.question import Question, Ranked, Scores
from pipeline.search.rank import reading, scored, vectors_of

Hits = list[dict[str, Any]]

_FOUND = ["chunk_id", "doc_id", "uri", "start", "end", "heading_path", "text"]
_PLACED = ["doc_id", "ordinal", "start", "end", "text"]


def diverse(question: Question, ranked: Ranked, count: int) -> Ranked:
    """Choose one hit after another, each good and unlike those before it.

    Maximal marginal relevance: Carbonell and Goldstein, "The Use of MMR" (SIGIR 1998). Relevance is the
    score from the last candidate, 0, to the best, 1; likeness is the cosine.
    """
    if not len(ranked.rows):
        return ranked
    vectors = vectors_of(question.dataset, ranked.rows)
    spread = ranked.scores[0] - ranked.scores[-1]
    relevance = (ranked.scores - ranked.scores[-1]) / spread if spread > 0 else np.ones(len(ranked.scores))
    penalty = question.ask.diversity
    alike = np.zeros(len(vectors))
    chosen: list[int] = []
    gain = relevance.astype(np.float64)
    for _ in range(min(count, len(vectors))):
        best = int(np.argmax(gain))
        chosen.append(best)
        alike = np.maximum(alike, vectors @ vectors[best])
        gain = (1.0 - penalty) * relevance - penalty * alike
        gain[chosen] = -np.inf
    return ranked.at(chosen)


def hits(question: Question, ranked: Ranked) -> Hits:
    """What is said of each row; beside its score what its vector and its words score, where they count.

    A text_score is None where the row is none of the best by words.
    """
    with reading(question.dataset):
        found = question.dataset._take_rows(ranked.rows.tolist(), columns=[*_FOUND, "ordinal"])
    for name, scores in _scores(question, ranked).items():
        found = found.append_column(name, pa.array(scores, pa.float64(), from_pandas=True))
    rows: Hits = found.to_pylist()
    if question.ask.neighbours:
        _join_neighbours(question, rows)
    for row in rows:
        del row["ordinal"]
    return rows


def _scores(question: Question, ranked: Ranked) -> dict[str, Scores]:
    """The score of each row, and what it is made of."""
    mode, scores = question.ask.mode, {"score": ranked.scores}
    if mode == "hybrid" and ranked.worded is not None:
        return {**scores, "vector_score": scored(question, ranked.rows), "text_score": ranked.worded}
    return {**scores, "text_score" if mode == "text" else "vector_score": ranked.scores}


def _join_neighbours(question: Question, found: Hits) -> None:
    """Give each hit its `context`: its text with that of the chunks around it, and where that lies."""
    reach = question.ask.neighbours
    wanted = {
        (row["doc_id"], ordinal)
        for row in found
        for ordinal in range(row["ordinal"] - reach, row["ordinal"] + reach + 1)
    }
    documents = sorted({doc_id for doc_id, _ in wanted})
    near = ",".join(sorted({str(ordinal) for _, ordinal in wanted}))
    listed = ",".join("'" + doc_id.replace("'", "''") + "'" for doc_id in documents)
    with reading(question.dataset):
        around = question.dataset.to_table(
            columns=_PLACED, filter=f"doc_id in ({listed}) and ordinal in ({near})"
        )
    chunks = {(row["doc_id"], row["ordinal"]): row for row in around.to_pylist()}
    for row in found:
        places = range(row["ordinal"] - reach, row["ordinal"] + reach + 1)
        row["context"] = _joined([chunks[key] for at in places if (key := (row["doc_id"], at)) in chunks])


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Chunks of one document in order as one text: what they share stands in it once."""
    text, end = chunks[0]["text"], chunks[0]["end"]
    for chunk in chunks[1:]:
        if chunk["start"] <= end:
            text += chunk["text"][end - chunk["start"] :]
        else:  # what lies between is white space, or was left out with its reason
            text += "\n" + chunk["text"]
        end = max(end, chunk["end"])
    return {"start": chunks[0]["start"], "end": end, "text": text}
