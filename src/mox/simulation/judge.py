"""Ragas' questions to a judge, answered by evidence: what the context says, not what sounds right.

A prompt of ragas 0.4 ends with `input: {…}` and `Output:`, and carries the schema of what is
wanted; which of its questions it is follows from the keys of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mox.simulation import evidence
from mox.simulation.answers import ABSTENTION, Answered
from mox.simulation.draws import Draws
from mox.types.providers import Message

SUPPORTED = 0.45
"""`evidence.support` from which a context says a statement. Of python-reference's answers, which
are put in their author's words, 60 % reach it by their passage and 2 % by another one; of the
quoted sentences themselves 99 % and 1 %."""
USEFUL = 0.35
"""… from which a context was useful for an answer: 74 % and 3 %."""

_INPUT = re.compile(r"^input:\s*(?=\{)", re.MULTILINE)
_SCHEMA = re.compile(r"JSON Schema:\s*(?=\{)")
_CITATION = re.compile(r"\s*\[\d+\](?=\s|[.!?]|$)")
_DECODER = json.JSONDecoder()

Given = Mapping[str, Any]


def judged(
    messages: Sequence[Message], schema: Mapping[str, Any] | None, noise: float, draws: Draws
) -> Answered | None:
    """The verdicts as JSON; None where the prompt is none of a judge's.

    Args:
        noise: chance in [0, 0.5] that a verdict is turned round, as judges disagree.
    """
    text = "\n\n".join(message.text for message in messages)
    given = _last_json(_INPUT, text)
    if given is None:
        return None
    names = (schema_of(messages, schema) or {}).get("properties")
    names = names if isinstance(names, Mapping) else {}
    for keys, marker, answer in _QUESTIONS:
        if keys == given.keys() and (not names or marker in names) and _fits(given, answer):
            found = answer(given, _Noise(noise, draws))
            return Answered(
                json.dumps(found, ensure_ascii=False), {"answered": "judge", "asked": sorted(keys)}
            )
    return None


def schema_of(
    messages: Sequence[Message], schema: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The JSON schema that is asked for: the request's own, or the one in the prompt's text.

    A mere "some JSON object" says nothing; the text, as ragas writes it, does then.
    """
    if schema and schema != {"type": "object"}:
        return schema
    written = _last_json(_SCHEMA, "\n\n".join(message.text for message in messages))
    return written or schema


class _Noise:
    """Verdicts, some of them turned round; each by its own name."""

    def __init__(self, share: float, draws: Draws) -> None:
        self._share = share
        self._draws = draws

    def verdict(self, name: str, true: bool) -> int:
        return int(true != (self._draws.uniform(f"judge {name}") < self._share))


def _statements(given: Given, _: _Noise) -> dict[str, Any]:
    text = given.get("answer") or given.get("text") or ""
    return {"statements": split(text)}


def _claims(given: Given, _: _Noise) -> dict[str, Any]:
    return {"claims": split(given["response"])}


def _entities(given: Given, _: _Noise) -> dict[str, Any]:
    return {"entities": list(dict.fromkeys(_NAME.findall(given["text"])))}


def _phrases(given: Given, _: _Noise) -> dict[str, Any]:
    return {"keyphrases": list(dict.fromkeys(_NAME.findall(given["text"])))}


def _faithful(given: Given, noise: _Noise) -> dict[str, Any]:
    context = evidence.sentences(given["context"])
    found = []
    for statement in given["statements"]:
        level = evidence.support(statement, context)
        verdict = noise.verdict(statement, level >= SUPPORTED)
        found.append({"statement": statement, "reason": _reason(level), "verdict": verdict})
    return {"statements": found}


def _recall(given: Given, noise: _Noise) -> dict[str, Any]:
    context = evidence.sentences(given["context"])
    found = []
    for statement in split(given["answer"]):
        level = evidence.support(statement, context)
        attributed = noise.verdict(statement, level >= SUPPORTED)
        found.append({"statement": statement, "reason": _reason(level), "attributed": attributed})
    return {"classifications": found}


def _precision(given: Given, noise: _Noise) -> dict[str, Any]:
    context = evidence.sentences(given["context"])
    level = max((evidence.support(part, context) for part in split(given["answer"])), default=0.0)
    verdict = noise.verdict(given["context"], level >= USEFUL)
    return {"reason": _reason(level), "verdict": verdict}


def _correct(given: Given, noise: _Noise) -> dict[str, Any]:
    said, truth = given["answer"], given["ground_truth"]
    found: dict[str, list[dict[str, str]]] = {"TP": [], "FP": [], "FN": []}
    for statements, against, hit, miss in ((said, truth, "TP", "FP"), (truth, said, None, "FN")):
        context = [evidence.sentence_of(one) for one in against]
        for statement in statements:
            level = evidence.support(statement, context)
            name = hit if noise.verdict(statement, level >= SUPPORTED) else miss
            if name is not None:
                found[name].append({"statement": statement, "reason": _reason(level)})
    return found


def _relevant(given: Given, noise: _Noise) -> dict[str, Any]:
    response = given["response"]
    parts = split(response)
    evasive = response.strip() == ABSTENTION or bool(_EVASIVE.search(response)) or not parts
    about = parts[0].rstrip(".!?") if parts else response
    return {
        "question": f"What is said of this: {about}?",
        "noncommittal": noise.verdict("noncommittal", evasive),
    }


def _rating(most: int, claim: str, context: str) -> _Answer:
    """0 to `most` by the share of the claim's sentences that the context supports."""

    def rate(given: Given, noise: _Noise) -> dict[str, Any]:
        parts = split(given[claim])
        sentences = evidence.sentences(given[context])
        levels = [evidence.support(part, sentences) for part in parts]
        held = sum(
            noise.verdict(part, level >= USEFUL) for part, level in zip(parts, levels, strict=True)
        )
        step = most // 2
        share = held / len(parts) if parts else 0.0
        return {"rating": most if share == 1 else step if share > 0 else 0}

    return rate


_Answer = Callable[[Given, _Noise], dict[str, Any]]
_LISTS: dict[_Answer, frozenset[str]] = {
    _faithful: frozenset({"statements"}),
    _correct: frozenset({"answer", "ground_truth"}),
}
"""Of an input, what are lists of texts; all else are texts."""


def _fits(given: Given, answer: _Answer) -> bool:
    """Whether an input's values are what ragas would write: anybody may send these keys."""
    lists = _LISTS.get(answer, frozenset())
    return all(
        isinstance(value, list) and all(isinstance(one, str) for one in value)
        if name in lists
        else isinstance(value, str)
        for name, value in given.items()
    )


_NAME = re.compile(r"\b[A-Z][\w-]+(?: [A-Z][\w-]+)*|\b\d+(?:[.,]\d+)*\b")
_EVASIVE = re.compile(
    r"\b(?:i (?:do not|don't) know|not sure|cannot (?:tell|say|answer)|can't (?:tell|say|answer)|"
    r"do(?:es)? not answer|no information)\b",
    re.IGNORECASE,
)
_QUESTIONS: tuple[tuple[frozenset[str], str, _Answer], ...] = (
    (frozenset({"context", "statements"}), "statements", _faithful),
    (frozenset({"question", "answer"}), "statements", _statements),
    (frozenset({"question", "text"}), "statements", _statements),
    (frozenset({"question", "context", "answer"}), "classifications", _recall),
    (frozenset({"question", "context", "answer"}), "verdict", _precision),
    (frozenset({"question", "answer", "ground_truth"}), "TP", _correct),
    (frozenset({"response"}), "noncommittal", _relevant),
    (frozenset({"response", "atomicity", "coverage"}), "claims", _claims),
    (frozenset({"text"}), "entities", _entities),
    (frozenset({"text"}), "keyphrases", _phrases),
    (frozenset({"user_input", "context"}), "rating", _rating(2, "user_input", "context")),
    (frozenset({"response", "context"}), "rating", _rating(2, "response", "context")),
    (
        frozenset({"query", "user_answer", "reference_answer"}),
        "rating",
        _rating(4, "user_answer", "reference_answer"),
    ),
)
"""Keys of the input, a field that the output has, and who answers."""


def split(text: str) -> list[str]:
    """An answer's sentences as statements, without their citations."""
    plain = _CITATION.sub("", text).strip()
    parts = [" ".join(sentence.text.split()) for sentence in evidence.sentences(plain)]
    if parts or not plain:
        return parts
    return [plain]  # a bare "No." has no word to compare, and is a statement all the same


def _reason(level: float) -> str:
    return f"Simulated: support {level:.2f} by words, likeness, numbers and negation."


def _last_json(mark: re.Pattern[str], text: str) -> dict[str, Any] | None:
    """The JSON object behind the last place that a mark fits."""
    places = list(mark.finditer(text))
    if not places:
        return None
    try:
        found, _ = _DECODER.raw_decode(text, places[-1].end())
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
