"""The Python language reference that every CPython carries, with questions by quotation."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.corpus.cardfile import Card, Family
from mox.corpus.jsonl import Row, claim, read_rows, typed
from mox.corpus.labels import agree, evidence_field, sha256
from mox.corpus.quotes import Pages, find, lay_out
from mox.corpus.text import shown
from mox.errors import DataError, MissingError
from mox.registry import nearest
from mox.types import Corpus, Document, Evidence, Question, Span

QUESTION = ("id", "kind", "topic", "text", "evidence", "answer")


def load_topics(card: Card, path: Path) -> Corpus:
    """The topics of the running Python and a card's questions on them.

    A quotation stands for every place where it is found, in any topic. A question with a
    quotation that this Python lacks is left out, and `left_out` says why.

    Args:
        path: card.yaml; the questions lie beside it.

    Raises:
        MissingError: this Python was packaged without its topics.
        DataError: a line is wrong (names it), or more than the card's `max_missing` are left out.
    """
    documents = topics()
    pages = lay_out(documents)
    families = {topic: family for family in card.families for topic in family.topics}
    file = path.parent / card.questions
    questions, left_out = [], {}
    seen: dict[str, str] = {}
    for row in read_rows(file):
        question, lacking = _question(row, families, pages, seen)
        if lacking is None:
            questions.append(question)
        else:
            left_out[question.id] = (
                f"Python {platform.python_version()} has no topic with {shown(lacking)}"
            )
    if not seen:
        raise DataError(f"{file}: no questions.", mend="write one JSON object a line.")
    _enough(card, file, left_out, len(seen))
    about = {"source": f"pydoc_data.topics of Python {platform.python_version()}"}
    return Corpus(card.name, documents, tuple(questions), left_out, about)


def topics() -> tuple[Document, ...]:
    """The topics of the running Python, by name.

    Raises:
        MissingError: this Python was packaged without them.
    """
    try:
        from pydoc_data.topics import topics as texts
    except ImportError:
        raise MissingError(
            "this Python was packaged without pydoc_data.topics, the reference's text.",
            mend="install the whole standard library, or use another Python.",
        ) from None
    version = platform.python_version()
    return tuple(
        Document(name, text, sha256(text), uri=f"python:{version}/topics/{name}")
        for name, text in sorted(texts.items())
    )


def _question(
    row: Row, families: Mapping[str, Family], pages: Pages, seen: dict[str, str]
) -> tuple[Question, str | None]:
    """A question, and the first of its quotations that stands nowhere, if any."""
    row.closed(QUESTION)
    id_ = claim(row.need("id", str), row, seen, "question")
    topic = row.need("topic", str)
    if topic not in families:
        raise DataError(
            f"{row.place}: the topic {topic!r} is in no family{nearest(topic, families)}.",
            mend="add it to a family of card.yaml, or name another topic.",
        )
    kind = row.words("kind")
    groups = tuple(_wordings(item, row.place) for item in evidence_field(row))
    spans = tuple(_places(wordings, pages) for wordings in groups)
    evidence = Evidence(groups=spans)
    agree(row, kind, evidence)
    question = Question(
        id=id_,
        text=row.words("text"),
        group=families[topic].name,
        evidence=evidence,
        split=families[topic].split,
        kind=kind,
        answer=row.get("answer", str),
    )
    lacking = [words[0] for words, places in zip(groups, spans, strict=True) if not places]
    return question, lacking[0] if lacking else None


def _wordings(item: Any, place: str) -> list[str]:
    """One all-of item: a list of quotations, any of which will do."""
    found = [
        typed(word, str, place, "a quotation")
        for word in typed(item, list, place, "a piece of evidence")
    ]
    if not found or any(not word or word.isspace() for word in found):
        raise DataError(
            f"{place}: a piece of evidence without words.",
            mend="write each piece as a list of at least one quotation.",
        )
    return found


def _places(wordings: list[str], pages: Pages) -> tuple[Span, ...]:
    return tuple(sorted({span for words in wordings for span in find(pages, words)}))


def _enough(card: Card, file: Path, left_out: Mapping[str, str], total: int) -> None:
    if len(left_out) > card.max_missing * total:
        id_, reason = next(iter(left_out.items()))
        raise DataError(
            f"{file}: {len(left_out)} of {total} questions quote what this Python lacks, more"
            f" than {card.max_missing:.0%}; {id_}: {reason}.",
            mend="use another Python, add these words as alternatives, or raise `max_missing`.",
        )
