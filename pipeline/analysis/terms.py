"""The terms that set groups of texts apart, in English and in Japanese, found without a dictionary.

A word of Latin letters is a term, and so is a run of kanji or of katakana: what is written in hiragana
between them is mostly grammar. Terms are weighed by how much they tell: the share p of a group's texts that
have one, times the logarithm of p over its share among all texts, so that what all texts have weighs nothing.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.analysis.kmeans import Labels
from pipeline.datasets import set_operations

_TERM = r"[\p{Han}々]{2,}|[\p{Katakana}ー]{3,}|[a-z][a-z0-9_-]*[a-z0-9]"
_JAPANESE = r"[\p{Han}\p{Katakana}]"
_GRAMMAR = """
a about after all also an and any are as at be been but by can could did do does for from had has have he
her his how i if in into is it its just may more most must my no not of on only or other our out so some
such than that the their them then there these they this those to up us use used using was we were what when
where which while who will with would you your
"""
_LEAST_TEXTS = 3  # of a group that have a term
_LEAST_SHARE = 0.02  # of a group's texts that have a term

_SQL = """
with words as (
  select label, unnest(list_distinct(regexp_extract_all(lower(text), $term))) as term from texts
),
counts as (select label, term, count(*) as n from words where term not in $grammar group by all),
sizes as (select label, count(*) as size from texts group by all),
weighed as (
  select label, term, n / size as p,
    sum(n) over (partition by term) / (select count(*) from texts) as q,
    regexp_matches(term, $japanese) as japanese
  from counts join sizes using (label)
  where n >= least($least_texts, size)
)
select label, term, japanese from weighed
where p >= $least_share and (p > q or (select count(*) from sizes) = 1)
qualify row_number() over (partition by label, japanese order by p * ln(p / q) desc, term) <= $most
order by label, p * ln(p / q) desc, term
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What sets a group apart, the most telling first."""

    english: tuple[str, ...] = ()
    japanese: tuple[str, ...] = ()


def terms(texts: pa.Array, labels: Labels, most: int = 5) -> dict[int, Terms]:
    """The most telling terms of each group of texts, up to `most` of each language."""
    bounds = {
        "term": _TERM,
        "japanese": _JAPANESE,
        "grammar": _GRAMMAR.split(),
        "least_texts": _LEAST_TEXTS,
        "least_share": _LEAST_SHARE,
        "most": most,
    }
    with set_operations() as db:
        db.register("texts", pa.table({"text": texts, "label": pa.array(labels)}))
        rows = db.execute(_SQL, bounds).fetchall()
    found: dict[int, Terms] = {}
    for label in np.unique(labels).tolist():
        mine = [(term, japanese) for group, term, japanese in rows if group == label]
        found[label] = Terms(
            tuple(term for term, japanese in mine if not japanese),
            tuple(term for term, japanese in mine if japanese),
        )
    return found
