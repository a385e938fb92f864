"""How well the embedded model finds what it should: nDCG@10 on Cranfield and JSQuAD, by search mode.

    uv run python -m tests.benchmarks.local_model [--queries 300]

nDCG with binary relevance, after Jaervelin and Kekaelaeinen (2002); a document ranks where its best
chunk does.
"""

import argparse
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from statistics import mean

import pyarrow.parquet as pq

from infra.settings import be_quiet
from pipeline.model import Endpoint, SourceSpec, Space, SplitterSpec
from pipeline.objects import Objects
from pipeline.search.find import search
from pipeline.wordllama import MODEL
from tests.support import DATA, job_for, run

_SETS = {"Cranfield": "cranfield-en/", "JSQuAD": "jglue-ja/jsquad-valid-"}
_TOP = 10


def main() -> None:
    """Print a row for each set and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    most = parser.parse_args().queries
    be_quiet()
    for name, prefix in _SETS.items():
        relevant = _relevant(prefix)
        asked = [row for row in _rows(prefix, "queries") if str(row["query_id"]) in relevant][:most]
        questions = {str(row["query_id"]): str(row["text"]) for row in asked}
        with tempfile.TemporaryDirectory() as store:
            source = SourceSpec("rows", f"{DATA}/{prefix}docs.parquet", text="text", id="doc_id")
            spec = SplitterSpec("recursive", 256, prefix_headings=False)
            run(job_for(source, store, splitter=spec, space=Space("local", MODEL, 256)))
            for mode in ("vector", "text", "hybrid"):
                score = _score(store, mode, questions, relevant)
                print(
                    f"{name:<10} {mode:<7} nDCG@10 {100 * score:.1f} over {len(questions)} queries",
                    flush=True,
                )


def _score(store: str, mode: str, questions: Mapping[str, str], relevant: Mapping[str, set[str]]) -> float:
    scores = []
    for query_id, text in questions.items():
        hits = search(Objects(store), "docs", text, endpoint=Endpoint(), mode=mode, top_k=2 * _TOP)
        documents = list(dict.fromkeys(hit["doc_id"] for hit in hits))
        scores.append(_ndcg(documents, relevant[query_id]))
    return mean(scores)


def _ndcg(found: list[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(rank + 2) for rank, doc in enumerate(found[:_TOP]) if doc in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(_TOP, len(relevant))))


def _relevant(prefix: str) -> dict[str, set[str]]:
    relevant: dict[str, set[str]] = defaultdict(set)
    for row in _rows(prefix, "qrels"):
        if int(str(row["relevance"])) > 0:
            relevant[str(row["query_id"])].add(str(row["doc_id"]))
    return relevant


def _rows(prefix: str, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(f"{DATA}/{prefix}{name}.parquet").to_pylist()
    return rows


if __name__ == "__main__":
    main()
