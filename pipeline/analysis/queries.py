"""Analyses that are one SELECT each: named, documented, with parameters, over the chunks of a version.

`chunks` in a query stands for the columns that it names; `$names` are its parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.analysis.population import Population
from pipeline.datasets import set_operations

# Told by the beginning of a text, its letters and its little words; what is all ASCII is quick to tell.
_LANGUAGES = r"""
with begun as (
  select doc_id, tokens, metadata, left(text, 400) as head, strlen(head) = length(head) as plain from chunks
),
counted as (
  select doc_id, tokens, metadata,
    case when plain then 0 else length(regexp_replace(head, '[^\p{Hiragana}\p{Katakana}]', '', 'g')) end
      as kana,
    case when plain then 0 else length(regexp_replace(head, '[^\p{Hangul}]', '', 'g')) end as hangul,
    case when plain then 0 else length(regexp_replace(head, '[^\p{Han}]', '', 'g')) end as han,
    case when plain then 0 else length(regexp_replace(head, '[^\p{Cyrillic}]', '', 'g')) end as cyrillic,
    case when plain then 0 else length(regexp_replace(head, '[^\p{L}]', '', 'g')) end as letters,
    length(string_split_regex(head, '[A-Za-z]+')) - 1 as words,
    length(string_split_regex(lower(head), '\b(?:the|of|and|to|is|in|this|that|are|be|for|with)\b')) - 1
      as little
  from begun
),
told as (
  select doc_id, tokens, metadata,
    case
      when kana > 0 and kana >= 0.05 * letters then 'ja'
      when hangul > 0 and hangul >= 0.2 * letters then 'ko'
      when han > 0 and han >= 0.2 * letters then 'zh'
      when cyrillic > 0 and cyrillic >= 0.5 * letters then 'cyrillic'
      when little > 0 and 25 * little >= words then 'en'
      when words = 0 and letters = 0 then 'none'
      else 'other'
    end as language
  from counted
),
"""

_COVERAGE = r"""
named as (
  select doc_id, tokens, language, coalesce(case $by
    when 'folder' then regexp_extract(doc_id, '^(.*?)/', 1)
    when 'extension' then regexp_extract(doc_id, '\.([A-Za-z0-9]+)$', 1)
    when 'language' then language
    else json_extract_string(metadata, '$."' || replace($by, '"', '') || '"')
  end, '') as source
  from told
),
sizes as (select source, doc_id, sum(tokens) as size from named group by all),
documents as (
  select source, count(*) as documents, median(size)::bigint as tokens_a_document from sizes group by source
),
languages as (select source, language, count(*) as n from named group by all),
parts as (select *, round(n / sum(n) over (partition by source), 3) as part from languages),
shares as (
  select source, map_from_entries(list((language, part) order by n desc, language)) as languages
  from parts group by source
)
select source, documents, count(*) as chunks, sum(tokens)::bigint as tokens,
  tokens_a_document, quantile_disc(tokens, 0.1) as tokens_low, median(tokens)::bigint as tokens_median,
  quantile_disc(tokens, 0.9) as tokens_high, any_value(languages) as languages
from named join documents using (source) join shares using (source)
group by source, documents, tokens_a_document
order by chunks desc, source
"""

_MEASURED = """
with compared as (
  select *, list_transform($centres::FLOAT[{d}][], lambda c: array_cosine_similarity(vector, c)) as scores
  from chunks
),
measured as (select * exclude (vector, scores), 1 - list_max(scores) as distance from compared)
"""

_SPREAD = """
select avg(distance) as mean, coalesce(stddev_pop(distance), 0) as deviation,
  quantile_cont(distance, $quantile) as bound from measured
"""

_FURTHEST = """
, counted as (
  select *, count(*) filter (distance > $bound) over () as beyond,
    histogram(floor(distance * 100)::int) over () as hundredths
  from measured
)
select chunk_id, doc_id, uri, distance, text, beyond, hundredths
from counted order by distance desc, chunk_id limit $most
"""


@dataclass(frozen=True, slots=True)
class Query:
    """A named SELECT."""

    says: str  # what it answers
    columns: tuple[str, ...]  # of the table, that it reads
    parameters: Mapping[str, str]  # what each means
    sql: str

    def rows(self, population: Population, **parameters: Any) -> list[dict[str, Any]]:
        """Run it over a population; it streams, whatever the size."""
        sql = self.sql.replace("{d}", str(population.space.dimensions))
        with set_operations() as db:
            db.register("chunks", _reader(population, self.columns))
            found = db.execute(sql, parameters)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _reader(population: Population, columns: Sequence[str]) -> pa.RecordBatchReader:
    schema = pa.schema([population.dataset.schema.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, population.stream(*columns))


QUERIES = {
    "coverage": Query(
        "What a table holds of each source: documents, chunks, tokens, sizes and languages.",
        ("doc_id", "tokens", "text", "metadata"),
        {"by": "folder, extension or language, or a field of the metadata"},
        _LANGUAGES + _COVERAGE,
    ),
    "distances": Query(
        "How far chunks are from the nearest of some centres: the mean, its spread, and a quantile.",
        ("vector",),
        {"centres": "vectors", "quantile": "a share"},
        _MEASURED + _SPREAD,
    ),
    "outliers": Query(
        "The chunks that are furthest from the nearest of some centres.",
        ("chunk_id", "doc_id", "uri", "text", "vector"),
        {"centres": "vectors", "bound": "a distance; what is beyond it counts", "most": "rows"},
        _MEASURED + _FURTHEST,
    ),
    "recommend": Query(
        "The documents nearest to any of some profiles, by their best chunk, without those seen.",
        ("chunk_id", "doc_id", "uri", "text", "vector"),
        {"profiles": "vectors", "seen": "doc_ids", "most": "documents"},
        """
with compared as (
  select * exclude (vector),
    list_transform($profiles::FLOAT[{d}][], lambda p: array_cosine_similarity(vector, p)) as scores
  from chunks where doc_id not in $seen
),
scored as (
  select *, list_max(scores) as score, list_position(scores, list_max(scores)) as profile from compared
)
select doc_id, arg_max(uri, score) as uri, max(score) as score, arg_max(profile, score) - 1 as profile,
  arg_max(chunk_id, score) as chunk_id, arg_max(text, score) as text
from scored group by doc_id order by score desc, doc_id limit $most
""",
    ),
}
