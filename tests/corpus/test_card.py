"""Dataset cards, on tiny ones that quote the running Python."""

from __future__ import annotations

import hashlib
import platform
import re
from pydoc_data.topics import topics

import pytest

from mox.corpus import corpora
from mox.corpus.card import CardSpec, cards
from mox.errors import DataError, MissingError, SpecError
from mox.testing.corpus import CorpusContract
from mox.types import Span

CARD = """schema: 1
name: tiny
title: A tiny card
licence: CC0-1.0
description: Two topics.
source: {kind: pydoc-topics}
questions: questions.jsonl
families:
  - {name: assertions, split: dev, topics: [assert, no-such-topic]}
  - {name: breaks, split: test, topics: [break, continue]}
"""
# Stands in the topic `assert` of every Python, over a line break there.
QUOTE = "Assert statements are a convenient way to insert debugging assertions into a program"
LOOP = "may only occur syntactically nested in a"
QUESTION = {"id": "q1", "kind": "look-up", "topic": "assert", "text": "What are they for?",
            "evidence": [[QUOTE]], "answer": "Debugging."}  # fmt: skip


@pytest.fixture
def load(write, tmp_path):
    """Load a card with these questions."""

    def of(questions=(QUESTION,), card=CARD):
        write("datasets/tiny/card.yaml", [card.rstrip("\n")])
        write("datasets/tiny/questions.jsonl", list(questions))
        spec = CardSpec(name="tiny")
        return corpora[spec](spec, tmp_path)

    return of


def refused(error, tmp_path, file, line, what):
    place = f"{tmp_path / 'datasets' / 'tiny' / file}:{line}: "
    return pytest.raises(error, match=re.escape(place) + what)


class TestCard(CorpusContract):
    @pytest.fixture
    def spec(self, load):
        load([QUESTION, {**QUESTION, "id": "q2", "kind": "unanswerable", "evidence": []}])
        return CardSpec(name="tiny")


def test_documents_are_the_topics_of_the_running_python(load):
    corpus = load()
    assert {document.id: document.text for document in corpus.documents} == topics
    first = corpus.documents[0]
    assert first.uri == f"python:{platform.python_version()}/topics/{first.id}"
    assert first.sha256 == hashlib.sha256(first.text.encode()).hexdigest()
    assert [document.id for document in corpus.documents] == sorted(topics)


def test_a_card_says_what_it_is(load):
    corpus = load()
    assert corpus.name == "tiny"
    assert corpus.about == {
        "title": "A tiny card",
        "licence": "CC0-1.0",
        "description": "Two topics.",
        "source": f"pydoc_data.topics of Python {platform.python_version()}",
    }


def test_group_and_split_are_the_familys(load):
    corpus = load([QUESTION, {**QUESTION, "id": "q2", "topic": "continue"}])
    assert [(q.group, q.split) for q in corpus.questions] == [
        ("assertions", "dev"), ("breaks", "test")]  # fmt: skip
    assert (corpus.questions[0].kind, corpus.questions[0].answer) == ("look-up", "Debugging.")


def test_a_quotation_is_found_over_line_breaks(load):
    ((span,),) = load().questions[0].evidence.groups
    found = topics[span.document][span.start : span.end]
    assert span.document == "assert"
    assert found != QUOTE  # broken into lines there …
    assert " ".join(found.split()) == QUOTE  # … and the same words


def test_all_groups_are_kept_and_each_is_any_place_of_any_wording(load):
    wordings = [QUOTE, "words that stand nowhere at all", LOOP]
    (question,) = load([{**QUESTION, "evidence": [wordings, [LOOP]]}]).questions
    both, loops = question.evidence.groups
    # `break` and `continue` both have it, and topics that hold the whole chapter may as well.
    assert {"break", "continue"} <= {span.document for span in loops}
    assert set(both) == {*loops, *load().questions[0].evidence.groups[0]}
    assert list(loops) == sorted(set(loops))
    for document, start, end in loops:
        assert " ".join(topics[document][start:end].split()) == LOOP


def test_a_question_that_this_python_lacks_is_left_out_by_name(load):
    lacking = {**QUESTION, "id": "q9", "evidence": [[QUOTE], ["not in any Python", "nor this"]]}
    corpus = load([QUESTION, lacking], CARD + "max_missing: 0.5\n")
    assert [question.id for question in corpus.questions] == ["q1"]
    version = platform.python_version()
    assert corpus.left_out == {"q9": f"Python {version} has no topic with 'not in any Python'"}


def test_too_many_left_out_are_refused_by_count_and_name(load):
    many = [{**QUESTION, "id": f"q{n}"} for n in range(19)]
    lacking = {**QUESTION, "evidence": [["not in any Python"]]}
    one, two = ({**lacking, "id": id_} for id_ in ("x", "y"))
    assert len(load([*many, one]).left_out) == 1  # 1 of 20 is 5 %, not more
    with pytest.raises(DataError, match=r"2 of 21 questions .*more than 5%; x: Python .* has no"):
        load([*many, one, two])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"topic": "asert"}, "the topic 'asert' is in no family, did you mean 'assert'"),
        ({"evidence": QUOTE}, "`evidence` is a string"),
        ({"evidence": [QUOTE]}, "a piece of evidence is a string"),
        ({"evidence": [[]]}, "a piece of evidence without words"),
        ({"evidence": [[" "]]}, "a piece of evidence without words"),
        ({"evidence": [[1]]}, "a quotation is an integer"),
        ({"evidence": []}, "no evidence, and its kind is look-up"),
        ({"kind": "unanswerable"}, "unanswerable, and yet there is evidence"),
        ({"kind": ""}, "`kind` has no text"),
        ({"id": "q0"}, "the question id 'q0' stands at .*:1 already"),
        ({"anser": "x"}, "unknown field `anser`, did you mean 'answer'"),
    ],
)
def test_a_wrong_question_is_named(load, tmp_path, change, what):
    with refused(DataError, tmp_path, "questions.jsonl", 2, what):
        load([{**QUESTION, "id": "q0"}, {**QUESTION, **change}])


def test_a_question_without_the_field_evidence_is_refused(load, tmp_path):
    question = {name: value for name, value in QUESTION.items() if name != "evidence"}
    with refused(DataError, tmp_path, "questions.jsonl", 1, ".* has no field `evidence`"):
        load([question])


def test_a_kind_contradicts_words_even_where_this_python_lacks_them(load, tmp_path):
    wrong = {**QUESTION, "kind": "unanswerable", "evidence": [["not in any Python"]]}
    with refused(DataError, tmp_path, "questions.jsonl", 1, "unanswerable, and yet"):
        load([wrong], CARD + "max_missing: 1\n")


def test_a_card_without_questions_is_refused(load):
    with pytest.raises(DataError, match=r"questions\.jsonl: no questions"):
        load([])


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("licence:", "licens:", 4, "unknown field 'licens', did you mean 'licence'"),
        ("split: dev,", "spilt: dev,", 9, r"unknown field 'families\.0\.spilt', .* 'split'"),
        ("split: test", "split: train", 10, r"families\.1\.split = 'train'"),
        ("title: A tiny card\n", "", 1, "no field 'title'"),
        ("schema: 1", "schema: 2", 1, "the card's schema is 2, newer than 1"),
        ("schema: 1", "schema: one", 1, "schema = 'one'"),
        ("schema: 1\n", "", 1, "no field 'schema'"),
        ("name: tiny", "name: huge", 2, "the card is named 'huge' and lies in .* 'tiny'"),
        ("pydoc-topics", "pydoc-topic", 6, "the source's kind is .*, did you mean 'pydoc-topics'"),
        ("pydoc-topics", "card", 6, "the source's kind is 'card'"),
        ("pydoc-topics}", "pydoc-topics, path: .}", 6, "pydoc-topics has nothing to set"),
        ("[break, continue]", "[break, assert]", 10, r"the topic 'assert' stands at .*:9 already"),
        ("name: breaks", "name: assertions", 10, r"the family 'assertions' stands at .*:9"),
        ("topics: [break, continue]", "topics: []", 10, r"families\.1\.topics = \[\]"),
        ("description: Two", "title: Two", 5, "found duplicate key"),
        ("licence: CC0", "licence: [CC0", 5, "not YAML: "),
    ],
)
def test_a_wrong_card_is_refused_with_its_line(load, tmp_path, old, new, line, what):
    assert CARD.count(old) == 1 or old == "name: tiny"
    with refused(SpecError, tmp_path, "card.yaml", line, what):
        load(card=CARD.replace(old, new))


@pytest.mark.parametrize("text", ["", "- 1", "words"])
def test_a_card_is_a_mapping(load, text):
    with pytest.raises(SpecError, match=r"card\.yaml: a card is a mapping"):
        load(card=text)


def test_a_card_without_families_is_refused(load):
    with pytest.raises(SpecError, match="no `families`"):
        load(card=CARD[: CARD.index("families")])


def test_an_unknown_card_is_refused_with_those_there_and_the_nearest(load, tmp_path):
    load()
    spec = CardSpec(name="tinny")
    folder = re.escape(str(tmp_path / "datasets"))
    with pytest.raises(
        SpecError, match=f"no card 'tinny' in {folder}.*did you mean 'tiny'.*\n.*tiny"
    ):
        corpora[spec](spec, tmp_path)


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", "."])
def test_a_name_is_no_path(name):
    with pytest.raises(SpecError, match=r"card\.name"):
        corpora.parse({"kind": "card", "name": name})


def test_a_card_is_looked_for_upwards_first_from_the_file_then_from_here(
    load, write, tmp_path, monkeypatch
):
    load()
    far = tmp_path / "experiments" / "deep"
    far.mkdir(parents=True)
    spec = CardSpec(name="tiny")
    assert corpora[spec](spec, far).about["title"] == "A tiny card"
    write("experiments/datasets/tiny/card.yaml", [CARD.replace("A tiny", "A nearer")])
    write("experiments/datasets/tiny/questions.jsonl", [QUESTION])
    assert corpora[spec](spec, far).about["title"] == "A nearer card"
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(far)
    assert corpora[spec](spec, elsewhere).about["title"] == "A nearer card"


@pytest.mark.parametrize("kind", ["evidence", "beir"])
def test_a_card_wraps_folders_beside_it(load, write, kind):
    write("datasets/tiny/data/documents.jsonl", [{"id": "d", "text": "yes"}])
    write("datasets/tiny/data/questions.jsonl", [
        {"id": "q", "text": "?", "evidence": [{"document": "d", "start": 0, "end": 3}]}
    ])  # fmt: skip
    write("datasets/tiny/data/corpus.jsonl", [{"_id": "d", "text": "yes"}])
    write("datasets/tiny/data/queries.jsonl", [{"_id": "q", "text": "?"}])
    write("datasets/tiny/data/qrels/test.tsv", ["q\td\t1"])
    head = CARD[: CARD.index("source")]
    corpus = load(card=head + f"source: {{kind: {kind}, path: data}}\n")
    assert (corpus.name, corpus.about["licence"]) == ("tiny", "CC0-1.0")
    (question,) = corpus.questions
    assert question.group == "d"
    assert question.evidence.groups == (((Span("d", 0, 3),),) if kind == "evidence" else ())


def test_what_a_wrapped_source_brings_itself_is_refused(load, tmp_path):
    head = CARD[: CARD.index("source")]
    with refused(SpecError, tmp_path, "card.yaml", 7, "`max_missing` goes with .*pydoc-topics"):
        load(card=head + "source: {kind: evidence, path: data}\nmax_missing: 0.1\n")
    with refused(
        SpecError, tmp_path, "card.yaml", 6, "evidence has no field 'paht', did you mean 'path'"
    ):
        load(card=head + "source: {kind: evidence, paht: data}\n")


def test_questions_that_are_not_there_are_missing(load):
    with pytest.raises(MissingError, match=r"other\.jsonl: no such file"):
        load(card=CARD.replace("questions.jsonl", "other.jsonl"))


def test_cards_are_listed_and_a_broken_one_hides_no_other(load, write, tmp_path):
    load()
    broken = write("datasets/broken/card.yaml", ["schema: 9"])
    listed = {each.name: each for each in cards(tmp_path)}
    path = tmp_path / "datasets" / "tiny" / "card.yaml"
    assert listed["tiny"] == ("tiny", "A tiny card", "CC0-1.0", path, "")
    assert listed["broken"].path == broken
    assert "newer than 1" in listed["broken"].problem
