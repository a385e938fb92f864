"""What people see of `vecmill analyze`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows import render

if TYPE_CHECKING:
    from pipeline.analysis.clusters import Clusters
    from pipeline.analysis.drift import Difference, Drift
    from pipeline.analysis.duplicates import Duplicates
    from pipeline.analysis.outliers import Outliers
    from pipeline.analysis.terms import Terms

_TEXT = 60  # characters
_UNSURE = 5  # rows
_GROUPS = 8  # whose shares are shown


def clusters(found: "Clusters") -> None:
    """A line for each group."""
    rows = [
        {
            "group": one.cluster,
            "chunks": f"{one.chunks:,}",
            "share": _share(one.share),
            "alike": f"{one.likeness:.2f}",
            "terms": _terms(one.terms),
            "in the middle": f"{one.doc_id}: {_excerpt(one.text)}",
        }
        for one in found.clusters
    ]
    render.out.print(render.escape(f"{found.k} groups in version {found.version} of {found.table}"))
    render.rows(rows)


def duplicates(found: "Duplicates") -> None:
    """What there is of them, and the largest groups."""
    told = "no text of the sample has any"
    if found.recall is not None:
        told = f"{found.recall:.3f}, of {found.sampled:,} texts that were compared with all"
    _pairs(
        {
            "chunks": f"{found.chunks:,}, of {found.texts:,} different texts",
            "equal": f"{found.exact:,} chunks have the text of another",
            "nearly": f"{found.near:,} texts have a cosine of {found.threshold:g} or more to another "
            f"({found.pairs:,} pairs)",
            "groups": f"{found.groups:,}",
            "recall": told,
        }
    )
    rows = [
        {
            "chunks": f"{one.chunks:,}",
            "texts": f"{one.texts:,}",
            "documents": f"{one.documents:,}",
            "least": f"{one.least:.3f}",
            "such as": f"{one.doc_ids[0]}: {_excerpt(one.text)}",
        }
        for one in found.largest
    ]
    if rows:
        render.rows(rows)


def outliers(found: "Outliers") -> None:
    """The furthest chunks."""
    _pairs(
        {
            "usual": f"{found.mean:.3f} from the centre, give or take {found.deviation:.3f}",
            "beyond": f"{found.beyond:,} of {found.chunks:,} chunks are further than {found.bound:.3f}, "
            f"within which {found.quantile:.1%} of the reference keep",
        }
    )
    render.rows(
        {
            "distance": f"{one.distance:.3f}",
            "deviations": f"{one.deviations:.1f}",
            "doc_id": one.doc_id,
            "text": _excerpt(one.text),
        }
        for one in found.furthest
    )


def drift(found: "Drift") -> None:
    """What differs, and whether that is an alarm."""
    sides = [(f"{found.before} and {found.after}", found.whole)]
    if found.new:
        sides.append((f"{found.before} and what is new in {found.after}", found.new))
    for name, difference in sides:
        render.out.print(f"[bold]{render.escape(name)}[/]")
        _pairs(_differs(difference))
        rows = [
            {
                "before": _share(one.before),
                "after": _share(one.after),
                "p": f"{one.p:.4f}",
                "terms": _terms(one.terms),
            }
            for one in difference.shares[:_GROUPS]
        ]
        render.rows(rows)
    if found.same_texts_cosine is not None:
        render.out.print(
            f"{found.same_texts:,} texts are in both: the mean cosine of their vectors is "
            f"{found.same_texts_cosine:.4f}"
        )
    for reason in found.reasons:
        render.out.print(f"[bold red]alarm:[/] {render.escape(reason)}")
    if not found.alarm:
        render.out.print("[green]no alarm[/]")


def coverage(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each source."""
    render.rows(
        {
            "source": row["source"] or "(none)",
            **{name: f"{row[name]:,}" for name in ("documents", "chunks", "tokens")},
            "a chunk": f"{row['tokens_low']:,} to {row['tokens_high']:,}, median {row['tokens_median']:,}",
            "a document": f"{row['tokens_a_document']:,}",
            "languages": ", ".join(
                f"{name} {_share(part)}" for name, part in row["languages"].items() if part >= 0.01
            ),
        }
        for row in rows
    )


def classes(found: Mapping[str, Any]) -> None:
    """How many are in each class, and of which it is least sure."""
    total = sum(found["classes"].values())
    render.rows(
        {"class": name, "count": f"{count:,}", "share": _share(count / total)}
        for name, count in found["classes"].items()
    )
    cascade = found["cascade"]
    if cascade:
        render.out.print(
            f"a cascade compares {cascade['dimensions']:.0f} dimensions on average; it is right in "
            f"{cascade['accuracy']:.1%} of {cascade['examples']:,} examples, all dimensions in "
            f"{cascade['accuracy_full']:.1%}"
        )
    render.out.print("[bold]least sure[/]")
    unsure = sorted(found["rows"], key=lambda row: row["probability"])[:_UNSURE]
    render.rows({**row, "probability": f"{row['probability']:.3f}"} for row in unsure)


def recommendations(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each document."""
    render.rows(
        {
            "score": f"{row['score']:.3f}",
            "doc_id": row["doc_id"],
            "because": row["because"],
            "text": _excerpt(row["text"]),
        }
        for row in rows
    )


def _differs(difference: "Difference") -> dict[str, str]:
    told = "too few documents to tell"
    if difference.p is not None:
        told = f"{difference.effect:.4f} of 1, p {difference.p:.4f}"
    return {
        "documents": f"{difference.documents_before:,} and {difference.documents_after:,}",
        "chunks": f"{difference.chunks_before:,} and {difference.chunks_after:,}",
        "difference": told,
        "centroid": f"moved by {difference.centroid_shift:.4f}; from the first one, chunks are "
        f"{difference.distance_before:.3f} and {difference.distance_after:.3f} away",
    }


def _pairs(values: Mapping[str, str]) -> None:
    width = max(map(len, values))
    for name, value in values.items():
        render.out.print(f"{name:<{width}}  {render.escape(value)}")


def _terms(terms: "Terms") -> str:
    return " ".join([*terms.english, *terms.japanese])


def _share(share: float) -> str:
    return f"{share:.1%}"


def _excerpt(text: str) -> str:
    plain = " ".join(text.split())
    return plain[:_TEXT] + ("…" if len(plain) > _TEXT else "")
