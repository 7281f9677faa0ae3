"""corpus.jsonl, queries.jsonl and qrels."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mox.corpus import corpora
from mox.corpus.beir import BeirSpec
from mox.errors import DataError, MissingError, SpecError
from mox.testing.corpus import CorpusContract

DOCUMENTS = [
    {"_id": "d1", "title": "Title", "text": "text"},
    {"_id": "d2", "title": "", "text": "only text", "metadata": {"url": "x"}},
    {"_id": "d3", "text": "no title"},
]
QUERIES = [{"_id": "q1", "text": "one?", "metadata": {}}, {"_id": "q2", "text": "two?"}]
HEAD = "query-id\tcorpus-id\tscore"


@pytest.fixture
def load(write, tmp_path):
    """Load a corpus with these qrels: file → lines."""

    def of(qrels, documents=DOCUMENTS, queries=QUERIES, **settings):
        write("corpus.jsonl", documents)
        write("queries.jsonl", queries)
        for name, lines in qrels.items():
            write(f"qrels/{name}.tsv", lines)
        spec = BeirSpec(path=".", **settings)
        return corpora[spec](spec, tmp_path)

    return of


def refused(tmp_path, file, line, what):
    return pytest.raises(DataError, match=re.escape(f"{tmp_path / file}:{line}: ") + what)


class TestBeir(CorpusContract):
    @pytest.fixture
    def spec(self, load):
        load({"test": [HEAD, "q1\td1\t1"], "train": [HEAD, "q2\td2\t2"]})
        return BeirSpec(path=".")


class TestScifact(CorpusContract):
    @pytest.fixture
    def spec(self):
        return BeirSpec(path="scifact")

    @pytest.fixture
    def base(self, shared_data):
        return shared_data

    def test_counts_are_those_of_its_readme(self, corpus):
        assert len(corpus.documents) == 5_183
        splits = Counter(question.split for question in corpus.questions)
        assert splits == {"dev": 809, "test": 300}
        judged = Counter()
        for question in corpus.questions:
            judged[question.split] += len(question.evidence.grades)
            assert set(question.evidence.grades.values()) == {1}
        assert judged == {"dev": 919, "test": 339}


def test_text_is_title_space_text_or_the_text_alone(load):
    corpus = load({"test": ["q1\td1\t1"]})
    assert [document.text for document in corpus.documents] == [
        "Title text",
        "only text",
        "no title",
    ]
    assert corpus.documents[0].metadata == {"title": "Title"}


def test_a_title_may_be_all_the_text(load):
    corpus = load({"test": ["q1\td\t1"]}, [{"_id": "d", "title": "Title", "text": ""}])
    assert corpus.documents[0].text == "Title"


@pytest.mark.parametrize(
    "lines",
    [
        [HEAD, "q1\td1\t2", "q2\td2\t0", "q2\td3\t1"],
        ["q1\td1\t2", "q2\td2\t0", "q2\td3\t1"],
        ["q1 0 d1 2", "q2  0  d2  0", "q2 Q0 d3 1"],
        ["q1\t0\td1\t2\r", "q2\t0\td2\t0\r", "\r", "q2\t0\td3\t1\r"],
    ],
    ids=["header", "bare", "trec", "trec with tabs and CR"],
)
def test_all_forms_of_qrels_are_read_and_zero_grades_kept(load, lines):
    corpus = load({"test": lines})
    grades = {question.id: question.evidence.grades for question in corpus.questions}
    assert grades == {"q1": {"d1": 2}, "q2": {"d2": 0, "d3": 1}}
    # q2's first relevant document is d3: d2 was judged not to be.
    assert {question.id: question.group for question in corpus.questions} == {
        "q1": "d1",
        "q2": "d3",
    }


def test_a_query_that_nothing_answers_is_its_own_group(load):
    (question,) = load({"test": ["q1\td1\t0", "q1\td2\t-1"]}).questions
    assert question.group == "q1"
    assert question.evidence.grades == {"d1": 0, "d2": -1}


def test_train_and_dev_are_to_choose_on(load):
    corpus = load({"train": ["q1\td1\t1"], "dev": ["q1\td2\t1"], "test": ["q2\td3\t1"]})
    assert [(q.id, q.split, dict(q.evidence.grades)) for q in corpus.questions] == [
        ("q1", "dev", {"d2": 1, "d1": 1}),
        ("q2", "test", {"d3": 1}),
    ]


def test_questions_come_in_the_order_of_the_queries(load):
    corpus = load({"test": ["q2\td3\t1", "q1\td1\t1"]})
    assert [question.id for question in corpus.questions] == ["q1", "q2"]


def test_queries_without_qrels_are_counted_and_no_questions(load):
    corpus = load({"test": ["q2\td3\t1"]})
    assert [question.id for question in corpus.questions] == ["q2"]
    assert corpus.about["unlabelled queries"] == "1"
    assert corpus.left_out == {}


def test_qrels_that_no_split_names_are_told(load):
    qrels = {"test": ["q2\td3\t1"], "validation": ["q1\td1\t1"], "extra": ["q1\td1\t1"]}
    assert load(qrels).about["qrels not read"] == "extra.tsv, validation.tsv"
    assert "qrels not read" not in load(qrels, splits=dict.fromkeys(qrels, "test")).about


def test_a_query_to_choose_on_and_to_confirm_is_refused_with_both_lines(load, tmp_path):
    test = re.escape(f"{tmp_path / 'qrels' / 'test.tsv'}:1")
    with refused(tmp_path, "qrels/train.tsv", 2, f".*'q1' is for dev here and for test at {test}"):
        load({"test": ["q1\td1\t1"], "train": [HEAD, "q1\td2\t1"]})


def test_one_split_alone_can_be_read(load):
    qrels = {"test": ["q1\td1\t1"], "train": ["q1\td2\t1"]}
    (question,) = load(qrels, splits={"train": "test"}).questions
    assert (question.split, question.evidence.grades) == ("test", {"d2": 1})


def test_with_null_for_every_file_the_questions_have_no_split(load):
    qrels = {"test": ["q1\td1\t1"], "train": ["q1\td2\t1", "q2\td3\t1"]}
    (question,) = load(qrels, splits={"test": None}).questions
    assert (question.split, dict(question.evidence.grades)) == (None, {"d1": 1})
    both = load(qrels, splits={"test": None, "train": None}).questions
    assert [(q.split, dict(q.evidence.grades)) for q in both] == [
        (None, {"d1": 1, "d2": 1}), (None, {"d3": 1})]  # fmt: skip
    with pytest.raises(SpecError, match="null stands for every file or for none"):
        corpora.parse({"kind": "beir", "path": ".", "splits": {"train": "dev", "test": None}})


def test_two_grades_of_one_document_are_refused_with_both_lines(load, tmp_path):
    first = re.escape(f"{tmp_path / 'qrels' / 'test.tsv'}:1")
    with refused(tmp_path, "qrels/test.tsv", 2, f".*have grade 2 here and 1 at {first}"):
        load({"test": ["q1\td1\t1", "q1\td1\t2"]})
    (question,) = load({"test": ["q1\td1\t1", "q1\td1\t1"]}).questions
    assert question.evidence.grades == {"d1": 1}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("q9\td1\t1", r"the query 'q9' isn't in queries\.jsonl"),
        ("q1\td9\t1", r"the document 'd9' isn't in corpus\.jsonl"),
        ("q1\td1", "2 columns after 3"),
        ("q1\t0\td1\t1", "4 columns after 3"),
        ("q1\td1\thigh", "the grade 'high' is no integer"),
        ("q1\td1\t0.5", r"the grade '0\.5' is no integer"),
    ],
)
def test_a_wrong_judgement_is_named(load, tmp_path, line, what):
    with refused(tmp_path, "qrels/test.tsv", 3, what):
        load({"test": [HEAD, "q1\td1\t1", line]})


def test_a_first_line_is_a_header_only_if_it_reads_like_one(load, tmp_path):
    with refused(tmp_path, "qrels/test.tsv", 1, "the grade 'high' is no integer"):
        load({"test": ["q1\td1\thigh"]})
    with refused(tmp_path, "qrels/test.tsv", 1, "2 columns"):
        load({"test": ["q1\td1"]})


def test_ids_that_stand_twice_are_refused_with_both_lines(load, tmp_path):
    first = re.escape(f"{tmp_path / 'corpus.jsonl'}:1")
    with refused(tmp_path, "corpus.jsonl", 2, f"the document id 'd1' stands at {first}"):
        load({"test": ["q1\td1\t1"]}, [DOCUMENTS[0], DOCUMENTS[0]])
    first = re.escape(f"{tmp_path / 'queries.jsonl'}:1")
    with refused(tmp_path, "queries.jsonl", 2, f"the query id 'q1' stands at {first}"):
        load({"test": ["q1\td1\t1"]}, queries=[QUERIES[0], QUERIES[0]])


@pytest.mark.parametrize("rest", [{"title": "", "text": " "}, {"title": " ", "text": ""}])
def test_a_document_without_title_and_text_is_refused(load, tmp_path, rest):
    with refused(tmp_path, "corpus.jsonl", 4, "the document 'd4' has neither title nor text"):
        load({"test": ["q1\td1\t1"]}, [*DOCUMENTS, {"_id": "d4", **rest}])


def test_numbers_are_no_ids(load, tmp_path):
    with refused(tmp_path, "corpus.jsonl", 1, r"`_id` is an integer \('4983'\), not a string"):
        load({"test": ["q1\td1\t1"]}, [{"_id": 4983, "text": "x"}])


def test_an_empty_corpus_is_refused(load):
    with pytest.raises(DataError, match=r"corpus\.jsonl: no documents"):
        load({"test": ["q1\td1\t1"]}, [])
    with pytest.raises(DataError, match=r"qrels: no judgements in test\.tsv"):
        load({"test": [HEAD]})


def test_qrels_that_are_not_there_are_missing_and_those_there_listed(load):
    with pytest.raises(MissingError, match=r"none of train, dev, test .*\n.*no \*\.tsv at all"):
        load({})
    qrels = {"validation": ["q1\td1\t1"]}
    with pytest.raises(MissingError, match=r"none of train, dev, test .*\n.*: validation\."):
        load(qrels)
    with pytest.raises(MissingError, match=r"valid\.tsv: no such file, did you mean 'validation'"):
        load(qrels, splits={"valid": "dev"})
    (question,) = load(qrels, splits={"validation": "dev"}).questions
    assert question.split == "dev"


def test_a_split_is_dev_or_test():
    with pytest.raises(SpecError, match=r"beir\.splits\.train = 'train'"):
        corpora.parse({"kind": "beir", "path": ".", "splits": {"train": "train"}})
