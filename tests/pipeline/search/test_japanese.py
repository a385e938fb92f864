"""Japanese questions put in other words than the text's own, on a corpus of a thousand paragraphs."""

import pytest

from pipeline.job import Endpoint, SourceSpec
from pipeline.objects import Objects
from pipeline.search.find import search
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from tests.support import DATA, corpus, job_for, run

_PARAGRAPHS = "jglue-ja/jsquad-valid-docs.parquet"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    paragraphs = corpus(_PARAGRAPHS)
    at = str(tmp_path_factory.mktemp("japanese") / "store")
    source = SourceSpec("rows", str(DATA / _PARAGRAPHS), text="text", id="doc_id")
    splitter = SplitterSpec("recursive", max_tokens=256, prefix_headings=False)
    report = run(job_for(source, at, splitter=splitter, space=Space("local", "wordllama", 256)))
    assert report.documents.new == len(paragraphs)
    return at


@pytest.mark.parametrize(
    ("question", "answered_by"),
    [
        # 南部の経済特別区に日系中小企業向けの特区が開設され、安い労働力を求める企業の注目を集めている
        ("賃金の安い東南アジアの国に日本の会社向けの工業団地がある?", "d0208"),
        # イギリスとハノーファー選帝侯国の君主位が1714年から1837年の間、兼ねられていた
        ("イギリスの王様がドイツの領主も兼ねていた時代はいつ?", "d0642"),
        # 真打昇進の順番で香盤が決まり、人気や実力が変動しても順位は入れ替わらない
        ("真打になった順番は、あとで逆転することがある?", "d0592"),
        # 『ケルン年代記』の記述から、印刷技術はオランダから始まったという説が唱えられた
        ("印刷機はオランダ人が考え出したという説はどこから来た?", "d0849"),
        # タイからのテレビ放送を視聴している人も多い
        ("隣の国の放送を見て楽しむラオスの人は多い?", "d0231"),
    ],
)
def test_a_question_in_other_words_finds_its_paragraph(store: str, question: str, answered_by: str) -> None:
    hits = search(Objects(store), "docs", question, endpoint=Endpoint(), mode="hybrid", top_k=3)
    assert answered_by in [hit["doc_id"] for hit in hits]
