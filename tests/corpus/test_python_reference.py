"""The default corpus: its card, questions and families, held to the running Python."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from mox.corpus import corpora
from mox.corpus.card import CardSpec, cards
from mox.corpus.cardfile import Card, read_card
from mox.testing.corpus import CorpusContract
from mox.types import Corpus, Question

ROOT = Path(__file__).parents[2]
SHARED_CHARACTERS = 200  # topics that share as many characters of paragraphs are one family


@pytest.fixture(scope="module")
def card() -> Card:
    return read_card(ROOT / "datasets" / "python-reference" / "card.yaml")


@pytest.fixture(scope="module")
def reference() -> Corpus:
    spec = CardSpec(name="python-reference")
    return corpora[spec](spec, ROOT)


@pytest.fixture(scope="module")
def family(card) -> dict[str, str]:
    """Topic → the family that the card puts it in."""
    return {topic: family.name for family in card.families for topic in family.topics}


class TestPythonReference(CorpusContract):
    @pytest.fixture
    def spec(self):
        return CardSpec(name="python-reference")

    @pytest.fixture
    def base(self):
        return ROOT


def connected() -> list[set[str]]:
    """Topics of the running Python in classes that sharing text holds together."""
    paragraphs = {
        name: {" ".join(part.split()) for part in re.split(r"\n\s*\n", text)}
        for name, text in topics.items()
    }
    classes = [{name} for name in topics]
    for one, other in combinations(topics, 2):
        if sum(map(len, paragraphs[one] & paragraphs[other])) >= SHARED_CHARACTERS:
            joined = [found for found in classes if found & {one, other}]
            classes = [found for found in classes if found not in joined] + [set().union(*joined)]
    return classes


def homes(question: Question, family: dict[str, str]) -> Iterator[set[str | None]]:
    """For each group of the evidence, the families that its places are in."""
    for group in question.evidence.groups:
        yield {family.get(span.document) for span in group}


def test_every_question_resolves_on_this_python(reference):
    assert reference.left_out == {}


def test_it_has_the_questions_and_families_that_it_promises(reference):
    assert len(reference.questions) >= 120
    assert len({question.group for question in reference.questions}) >= 36


def test_no_family_of_the_running_python_is_torn_apart(family):
    for found in connected():
        assert len({family[topic] for topic in found if topic in family}) <= 1, found


def test_every_topic_is_in_a_family(family):
    assert topics.keys() - family.keys() == set()


def test_no_family_is_on_both_sides(reference):
    sides = {(question.group, question.split) for question in reference.questions}
    assert len(sides) == len({group for group, _ in sides})


def test_the_two_sides_are_balanced(reference):
    sides = Counter(question.split for question in reference.questions)
    assert sides.keys() == {"dev", "test"}
    assert min(sides.values()) >= 0.4 * len(reference.questions)


def test_all_kinds_are_there_on_both_sides(reference):
    kinds = {"look-up", "how-to", "comparison", "unanswerable", "paraphrase"}
    found = Counter((question.kind, question.split) for question in reference.questions)
    assert {kind for kind, _ in found} == kinds
    assert all(found[kind, split] >= 5 for kind in kinds for split in ("dev", "test"))


def test_each_comparison_has_evidence_in_two_families(reference, family):
    for question in reference.questions:
        if question.kind == "comparison":
            found = list(homes(question, family))
            assert len(found) >= 2, question.id
            assert len(set().union(*found)) >= 2, question.id


def test_no_question_is_answered_by_the_other_side(reference, card, family):
    split = {family.name: family.split for family in card.families}
    for question in reference.questions:
        for home in set().union(*homes(question, family)):
            assert split[home] == question.split, question.id


def test_every_question_has_an_answer_where_there_is_one(reference):
    for question in reference.questions:
        assert not question.answerable or question.answer, question.id


def test_a_stranger_finds_it_by_name():
    listed = {each.name: each for each in cards(ROOT / "experiments")}
    assert listed["python-reference"].problem == ""
    assert listed["python-reference"].licence
