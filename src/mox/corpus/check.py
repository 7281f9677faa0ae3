"""What a corpus loader gives, held to what is scored by it: a third party's isn't believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mox.corpus import corpora
from mox.corpus.labels import SPLITS, UNANSWERABLE
from mox.corpus.text import shown
from mox.errors import DataError
from mox.spec import Spec, canonical
from mox.types import Corpus, Document, Question

_DOCUMENT = ("id", "text", "sha256", "media_type", "uri")
_QUESTION = ("id", "text", "group", "kind", "split", "answer")
"""The texts of the two that the store writes: all but metadata and evidence."""
_SAID = {"id", "text", "group"}
_OR_NONE = {"split", "answer"}


def open_checked(spec: Spec, base: Path) -> Corpus:
    """The corpus of a Spec, checked.

    Args:
        base: where relative paths of `spec` start from.

    Raises:
        MoxError: what its loader raises.
        DataError: what can't be stored, or has no id or text; ids that stand twice; evidence
            outside of the documents, or that the question's kind contradicts; a split that only
            some questions have. Names the plugin that the loader came with.
    """
    corpus = corpora[spec](spec, base)
    if fault := next(faults(corpus), None):
        plugin = corpora.entry(spec.kind).plugin
        raise DataError(
            f"the loader of {spec.kind}{f', of {plugin},' if plugin else ''} gives a corpus that"
            f" can't be used: {fault}.",
            mend=f"mend it, or report it to {plugin or 'whoever wrote it'};"
            " `mox.testing.corpus.CorpusContract` has all that a loader is held to.",
        )
    return corpus


def faults(corpus: Corpus) -> Iterator[str]:
    """What makes a corpus one that no plan is made of. Only the first is to be believed, since
    each takes for granted what those before it ask."""
    for document in corpus.documents:
        named = f"the document {_named(document.id)}"
        for fault in (*_untold(document, _DOCUMENT), *_unstorable(document.metadata)):
            yield f"{named} {fault}"
    for question in corpus.questions:
        for fault in _untold(question, _QUESTION):
            yield f"the question {_named(question.id)} {fault}"
    yield from _twice("document", (document.id for document in corpus.documents))
    yield from _twice("question", (question.id for question in corpus.questions))
    length = {document.id: len(document.text) for document in corpus.documents}
    for question in corpus.questions:
        for fault in (*_contradicted(question), *_misplaced(question, length)):
            yield f"the question {_named(question.id)} {fault}"
    splits = {question.split for question in corpus.questions}
    if splits - {*SPLITS, None}:
        yield f"a split is none of {', '.join(SPLITS)} and None"
    if None in splits and len(splits) > 1:
        yield "some questions have a split and others none"


def _named(id_: object) -> str:
    """An id as a message has it, whatever its type."""
    return shown(id_) if isinstance(id_, str) else repr(id_)


def _twice(what: str, ids: Iterable[str]) -> Iterator[str]:
    for id_, count in Counter(ids).items():
        if count > 1:
            yield f"the {what} id {shown(id_)} stands {count} times"


def _untold(part: Document | Question, fields: Iterable[str]) -> Iterator[str]:
    """Fields that are no text, lack it, or have half a character."""
    for name in fields:
        value = getattr(part, name)
        if value is None and name in _OR_NONE:
            continue
        if not isinstance(value, str):
            yield f"has no text as its {name}, but {value!r}"
        elif name in _SAID and (not value or (name == "text" and value.isspace())):
            yield f"has an empty {name}"
        else:
            try:
                value.encode()
            except UnicodeEncodeError as error:
                yield f"can't be stored ({name}: {error})"


def _unstorable(metadata: Mapping[str, Any]) -> Iterator[str]:
    """What metadata that isn't JSON raises."""
    try:
        canonical(dict(metadata)).encode()
    except (TypeError, ValueError) as error:
        yield f"can't be stored (metadata: {error})"


def _contradicted(question: Question) -> Iterator[str]:
    """Evidence in two forms at once, or that the question's kind contradicts."""
    evidence = question.evidence
    if evidence.groups and evidence.grades:
        yield "has spans and grades"
    if not question.answerable and question.kind != UNANSWERABLE:
        yield f"has no evidence, and its kind is {question.kind or 'not given'}"
    if question.answerable and question.kind == UNANSWERABLE:
        yield f"is {UNANSWERABLE}, and yet has evidence"


def _misplaced(question: Question, length: Mapping[str, int]) -> Iterator[str]:
    """Evidence that no chunk can have, or whose numbers aren't whole.

    Args:
        length: document id → characters of its text.
    """
    for group in question.evidence.groups:
        if not group:
            yield "has evidence of no span, which can't be found"
        for name, start, end in group:
            if name not in length:
                yield f"has evidence in the document {_named(name)}, which isn't in the corpus"
            elif not (isinstance(start, int) and isinstance(end, int)):
                yield f"has evidence at [{start!r}, {end!r}), which are no integers"
            elif not 0 <= start < end <= length[name]:
                yield (
                    f"has evidence at [{start}, {end}) of the document {shown(name)}, which has"
                    f" {length[name]} characters"
                )
    for name, grade in question.evidence.grades.items():
        if name not in length:
            yield f"has a grade of the document {_named(name)}, which isn't in the corpus"
        elif not isinstance(grade, int):
            yield f"has the grade {grade!r} of the document {shown(name)}, which is no integer"
