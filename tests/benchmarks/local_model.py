"""How well the embedded model finds what it should: nDCG@10 on Cranfield and JSQuAD, by search mode.

    uv run python -m tests.benchmarks.local_model [--queries 300]

A document ranks where its best chunk does.
"""

import argparse
import tempfile
from collections.abc import Mapping
from itertools import islice
from statistics import mean

from infra.settings import be_quiet
from pipeline.analysis.labelled import DEPTH, ndcg
from pipeline.job import Endpoint, SourceSpec
from pipeline.objects import Objects
from pipeline.search.find import search
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.wordllama import MODEL
from tests.benchmarks.corpora import LABELLED, labelled
from tests.support import DATA, job_for, run


def main() -> None:
    """Print a row for each set and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    most = parser.parse_args().queries
    be_quiet()
    for name, prefix in LABELLED.items():
        judged = labelled(prefix)
        asked = dict(islice(judged.queries.items(), most))
        with tempfile.TemporaryDirectory() as store:
            source = SourceSpec("rows", f"{DATA}/{prefix}docs.parquet", text="text", id="doc_id")
            spec = SplitterSpec("recursive", 256, prefix_headings=False)
            run(job_for(source, store, splitter=spec, space=Space("local", MODEL, 256)))
            for mode in ("vector", "text", "hybrid"):
                scores = [_score(store, mode, text, judged.grades[one]) for one, text in asked.items()]
                print(
                    f"{name:<10} {mode:<7} nDCG@10 {100 * mean(scores):.1f} over {len(asked)} queries",
                    flush=True,
                )


def _score(store: str, mode: str, text: str, grades: Mapping[str, float]) -> float:
    hits = search(Objects(store), "docs", text, endpoint=Endpoint(), mode=mode, top_k=2 * DEPTH)
    return ndcg(list(dict.fromkeys(hit["doc_id"] for hit in hits)), grades)


if __name__ == "__main__":
    main()
