"""Answers drawn from the given context: its best sentences, cited, or that it holds none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from mox.simulation import evidence, schema
from mox.simulation.context import Given
from mox.simulation.draws import Draws
from mox.simulation.evidence import Sentence
from mox.simulation.quality import Quality

ABSTENTION = "The given passages do not answer this question."
THRESHOLD = 0.30
"""Score under which no sentence is taken for an answer. Of the 233 answerable questions of
python-reference 70 % reach it with their passage among five, and 16 % with five others."""
WITHIN = 0.8
"""Of the best sentence's score, what another one needs to be said beside it."""
MOST = 3
"""Sentences of an answer."""
LOOKED_AT = 16
"""Sentences compared by their vectors: the first by shared words. Each costs some 0.1 ms."""

_ANSWERS = ("answer", "text", "response")
_CITATIONS = ("citations", "sources", "passages")
_MARK = re.compile(r" \[\d+\]")
_INVENTED = (
    "It was first described in {year} by a group of {count} people.",
    "About {count} of every 1,000 cases are an exception to this.",
    "This has been so since {year}, when it was changed at the {count}th attempt.",
    "A survey of {year} found it in {count} places.",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer's text, and why it says what it says."""

    text: str
    notes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Candidate:
    score: float
    passage: int
    place: int
    sentence: Sentence


def answer(given: Given, quality: Quality, draws: Draws) -> Answered:
    """What a model of this quality answers.

    Knobs are nested: a model whose chance of a fault is higher makes each fault that a model
    with a lower one makes, and others.
    """
    ranked = _ranked(given)
    best = ranked[0].score if ranked else 0.0
    answerable = best >= THRESHOLD
    if not answerable and (not ranked or draws.uniform("abstain") >= quality.miss_abstention):
        return Answered(ABSTENTION, {"answered": "abstained", "score": best})
    chosen = [one for one in ranked[:MOST] if one.score >= WITHIN * best]
    kept = [one for at, one in enumerate(chosen) if draws.uniform(f"drop {at}") >= quality.drop]
    said = [_cited(one, given, quality, draws) for one in kept]
    invented = draws.uniform("invent") < quality.invent
    if invented:
        said.append(_invention(given, draws))
    notes = {
        "answered": "extract" if said else "abstained",
        "score": best,
        "cited": sorted({number for _, number in said if number}),
        "left_out": len(chosen) - len(kept),
        "invented": invented,
        "missed_abstention": not answerable,
    }
    texts = [f"{text} [{number}]" if number else text for text, number in said]
    return Answered(" ".join(texts) or ABSTENTION, notes)


def structured(form: Mapping[str, Any], said: Answered | None, draws: Draws) -> Answered:
    """JSON of a schema. What an answer says stands in it where the schema has a place for it.

    A text named `answer`, `text` or `response` is the answer without its marks, and a list of
    whole numbers named `citations`, `sources` or `passages` are the passages that it cites.

    Raises:
        SpecError: no instance of the schema can be made (`schema.instance`).
    """
    if said is None:
        made = schema.instance(form, draws)
        return Answered(json.dumps(made, ensure_ascii=False), {"answered": "schema"})
    known: dict[str, Any] = dict.fromkeys(_ANSWERS, _MARK.sub("", said.text))
    known |= {name: list(said.notes.get("cited", ())) for name in _CITATIONS}
    # "Some JSON object" has no fields of its own: it holds the answer and its citations.
    made = (
        {name: known[name] for name in (_ANSWERS[0], _CITATIONS[0])}
        if form == {"type": "object"}
        else schema.instance(form, draws, known=known)
    )
    return Answered(json.dumps(made, ensure_ascii=False), {**said.notes, "form": "schema"})


def _ranked(given: Given) -> list[_Candidate]:
    """Sentences of the passages by how well they go with the question, best first."""
    question = evidence.sentence_of(given.question)
    found = [
        (number, place, sentence)
        for number, passage in enumerate(given.passages)
        for place, sentence in enumerate(evidence.sentences(passage))
    ]
    weight = evidence.weights([sentence for _, _, sentence in found], sorted(question.stems))
    words = [evidence.coverage(weight, sentence) for _, _, sentence in found]
    order = sorted(range(len(found)), key=lambda at: (-words[at], at))[:LOOKED_AT]
    alike = evidence.likeness(given.question, [found[at][2].text for at in order])
    scored = [
        _Candidate(evidence.LEXICAL * words[at] + (1 - evidence.LEXICAL) * like, *found[at])
        for at, like in zip(order, alike, strict=True)
    ]
    distinct = {one.sentence.text: one for one in reversed(scored)}
    return sorted(distinct.values(), key=lambda one: (-one.score, one.passage, one.place))


def _cited(one: _Candidate, given: Given, quality: Quality, draws: Draws) -> tuple[str, int]:
    """A sentence, and the number of the passage that it cites; 0 where it cites none."""
    text = " ".join(one.sentence.text.split())
    cites = given.numbered and draws.uniform(f"cite {text}") >= quality.miss_citation
    return text, one.passage + 1 if cites else 0


def _unknown(number: int, known: frozenset[str]) -> int:
    """The first number from there on that isn't known."""
    return next(one for one in count(number) if str(one) not in known)


def _invention(given: Given, draws: Draws) -> tuple[str, int]:
    """A sentence that no passage says, with numbers that none has, and one that it cites."""
    said = (one for passage in given.passages for one in evidence.sentences(passage))
    known = frozenset().union(*(sentence.numbers for sentence in said))
    year = _unknown(1801 + int(draws.uniform("year") * 190), known)
    many = _unknown(211 + int(draws.uniform("count") * 780), known)
    template = _INVENTED[int(draws.uniform("template") * len(_INVENTED))]
    number = int(draws.uniform("cited") * len(given.passages)) + 1
    return template.format(year=year, count=many), number if given.numbered else 0
