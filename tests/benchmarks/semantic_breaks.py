"""How often semantic breaks are where topics change: documents of two pages, in English and Japanese.

    uv run python -m tests.benchmarks.semantic_breaks [--documents 100] [--max-tokens 1024]

The seam counts as found where a chunk starts within one sentence of it. `by chance` is the share that as
many breaks would find anywhere: a method that breaks often finds more without knowing more. Judged is the
default; the thresholds of the others are LangChain's.
"""

import argparse
from collections.abc import Sequence
from statistics import mean

from infra.settings import be_quiet
from pipeline.space import Space
from pipeline.splitter_spec import BREAKPOINTS, SplitterSpec
from pipeline.splitting.semantic import SemanticSplitter, sentences_of
from pipeline.tokens import counter_for
from pipeline.wordllama import MODEL
from tests.pipeline.splitting.stitched import LANGUAGES, Stitched, finds_seam, local_vectors, stitched

_WANTED = 0.9


def main() -> None:
    """Print a row for each language and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--max-tokens", type=int, default=1024)
    options = parser.parse_args()
    be_quiet()
    for language in LANGUAGES:
        documents = list(stitched(language, options.documents, seed=1))
        for method, usual in BREAKPOINTS.items():
            spec = SplitterSpec("semantic", options.max_tokens, breakpoints=method, prefix_headings=False)
            print(f"{language:<9} {method:<19} {usual:>5g}  {_measured(spec, documents)}", flush=True)


def _measured(spec: SplitterSpec, documents: Sequence[Stitched]) -> str:
    counter = counter_for(Space("local", MODEL, 256))
    splitter = SemanticSplitter(spec, counter, local_vectors)
    found, breaks, chances = 0, 0, []
    for document in documents:
        sentences = sentences_of(document.text, spec, counter)
        chunks = splitter.join(document.text, sentences)
        found += finds_seam(document, sentences, chunks)
        breaks += len(chunks) - 1
        chances.append(1 - (1 - min(1, 3 / len(sentences))) ** (len(chunks) - 1))
    verdict = "enough" if found >= _WANTED * len(documents) else "TOO FEW"
    judged = f" ({verdict})" if spec.breakpoints == SplitterSpec().breakpoints else ""
    return (
        f"found {found:>3} of {len(documents)}{judged}, by chance {mean(chances):.2f}, "
        f"{breaks / len(documents):.1f} breaks a document"
    )


if __name__ == "__main__":
    main()
