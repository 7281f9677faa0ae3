"""Answers move with what was retrieved, and with the quality of the model."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.corpus import corpora
from mox.corpus.card import CardSpec
from mox.simulation.answers import ABSTENTION, answer
from mox.simulation.context import Given
from mox.simulation.draws import Draws
from mox.simulation.quality import Quality

ROOT = Path(__file__).parents[2]
PASSAGE = 900
"""Characters of a passage, about."""
FACTS = {
    "How tall is the Brenn tower?": "The Brenn tower is 214 metres tall.",
    "Who painted the Salt Garden?": "The Salt Garden was painted by Ines Okafor.",
    "What do river herons eat?": "River herons eat small fish and frogs.",
    "When was the Ostra bridge opened?": "The Ostra bridge was opened in 1931.",
}


def facts(question, *, at=0):
    """The passage that answers a question among three that don't."""
    others = [text for asked, text in FACTS.items() if asked != question]
    return Given((*others[:at], FACTS[question], *others[at:]), question)


def drawn(name):
    return Draws(name.encode())


def squeezed(text):
    return " ".join(text.split())


def plain(text):
    return squeezed(re.sub(r" \[\d+\]", "", text))


@pytest.fixture(scope="module")
def cases():
    """80 questions of python-reference: their gold quotation, its passage, and nine others."""
    spec = CardSpec(name="python-reference")
    corpus = corpora[spec](spec, ROOT)
    texts = {document.id: document.text for document in corpus.documents}
    passages = [
        text[start : start + PASSAGE]
        for text in texts.values()
        for start in range(0, len(text), PASSAGE)
    ]
    pick = np.random.default_rng(0)
    found = []
    for question in [one for one in corpus.questions if one.evidence.groups][:80]:
        span = question.evidence.groups[0][0]
        gold = squeezed(texts[span.document][span.start : span.end])
        around = texts[span.document][max(span.start - 300, 0) : span.end + 300]
        others = [passages[at] for at in pick.integers(len(passages), size=9)]
        found.append(
            (question.text, gold, around, [one for one in others if gold not in squeezed(one)])
        )
    return found


def holds(text, gold):
    """Whether an answer has a sentence of the quotation, or it one of the answer's."""
    said = plain(text)
    return gold in said or (len(said) > 20 and said in gold)


def test_with_the_right_passage_the_answer_has_the_evidence_more_often_than_without(cases):
    good = bad = abstained_good = abstained_bad = 0
    for question, gold, around, others in cases:
        with_it = answer(
            Given((*others[:2], around, *others[2:4]), question), Quality(), drawn("a")
        )
        without = answer(Given(tuple(others[4:9]), question), Quality(), drawn("a"))
        good += holds(with_it.text, gold)
        bad += holds(without.text, gold)
        abstained_good += with_it.text == ABSTENTION
        abstained_bad += without.text == ABSTENTION
    assert bad == 0
    assert good > len(cases) / 4
    assert abstained_bad > 2 * abstained_good


def test_the_more_often_the_passage_is_there_the_better_the_answers(cases):
    scores = []
    for share in (0.0, 0.5, 1.0):
        held = 0
        for number, (question, gold, around, others) in enumerate(cases):
            found = number < share * len(cases)
            passages = (around, *others[:3]) if found else tuple(others[:4])
            held += holds(answer(Given(passages, question), Quality(), drawn("a")).text, gold)
        scores.append(held)
    assert scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("question", sorted(FACTS))
@pytest.mark.parametrize("at", [0, 2])
def test_an_answer_is_the_sentence_that_says_it_and_cites_its_passage(question, at):
    found = answer(facts(question, at=at), Quality(), drawn("x"))
    assert found.text == f"{FACTS[question]} [{at + 1}]"
    assert found.notes["cited"] == [at + 1]


@pytest.mark.parametrize("quality", [Quality(miss_citation=1), Quality(drop=1), Quality(invent=1)])
def test_notes_say_what_is_cited_and_nothing_else(quality):
    for number in range(20):
        found = answer(facts("How tall is the Brenn tower?"), quality, drawn(str(number)))
        marks = {int(one) for one in re.findall(r"\[(\d+)\]", found.text)}
        assert found.notes["cited"] == sorted(marks)


def test_a_question_that_the_passages_do_not_answer_is_not_answered():
    given_ = Given(tuple(FACTS.values()), "Which enzyme splits lactose in the gut?")
    assert answer(given_, Quality(), drawn("x")).text == ABSTENTION


def test_passages_without_numbers_are_not_cited():
    given_ = Given((" ".join(FACTS.values()),), "How tall is the Brenn tower?", numbered=False)
    assert answer(given_, Quality(), drawn("x")).text == "The Brenn tower is 214 metres tall."


def measured(knob, chance):
    """What a knob is there to spoil, of 200 answers: how many times it was spoilt."""
    unanswerable = Given(tuple(FACTS.values()), "Which enzyme splits lactose in the gut?")
    quality = Quality(**{knob: chance})
    spoilt = set()
    for number in range(200):
        name = f"{knob} {number}"
        if knob == "miss_abstention":
            bad = answer(unanswerable, quality, drawn(name)).text != ABSTENTION
        else:
            question = sorted(FACTS)[number % len(FACTS)]
            text = answer(facts(question), quality, drawn(name)).text
            bad = {
                "drop": FACTS[question] not in text,
                "invent": plain(text) != FACTS[question],
                "miss_citation": "[1]" not in text,
            }[knob]
        if bad:
            spoilt.add(number)
    return spoilt


@pytest.mark.parametrize("knob", ["drop", "invent", "miss_citation", "miss_abstention"])
def test_each_knob_spoils_as_often_as_it_says_and_what_a_lower_one_spoils(knob):
    none, some, more, all_ = (measured(knob, chance) for chance in (0.0, 0.2, 0.6, 1.0))
    assert (len(none), len(all_)) == (0, 200)
    assert some < more  # a proper subset
    # Four standard deviations of a share of 200 draws: 4·√(0.2·0.8/200) = 0.11, and 0.14.
    assert len(some) / 200 == pytest.approx(0.2, abs=0.12)
    assert len(more) / 200 == pytest.approx(0.6, abs=0.14)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_an_invented_sentence_says_numbers_that_no_passage_has(number):
    # Every other number that it might draw stands in the context.
    known = [str(one) for one in range(200, 2100, 2)]
    passage = f"The tower is tall. Its rooms are {', '.join(known)}."
    found = answer(
        Given((passage,), "How tall is it?"), Quality(drop=1, invent=1), drawn(str(number))
    )
    numbers = set(re.findall(r"\d+", plain(found.text))) - {"1", "000"}
    assert numbers
    assert not numbers & set(known)


def test_an_answer_does_not_hang_on_what_was_answered_before(cases):
    chosen = [Given((around, *others[:4]), question) for question, _, around, others in cases[:20]]
    forward = [answer(one, Quality(), drawn("a")) for one in chosen]
    backward = [answer(one, Quality(), drawn("a")) for one in reversed(chosen)]
    assert forward == backward[::-1]
