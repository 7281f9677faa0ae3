"""What a corpus loader gives, held to what is scored by it: a third party's isn't believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mox.corpus import corpora
from mox.corpus.labels import SPLITS
from mox.corpus.text import shown
from mox.errors import DataError
from mox.spec import Spec, canonical
from mox.types import Corpus, Question


def open_checked(spec: Spec, base: Path) -> Corpus:
    """The corpus of a Spec, checked.

    Args:
        base: where relative paths of `spec` start from.

    Raises:
        MoxError: what its loader raises.
        DataError: ids that stand twice, evidence outside of the documents, a split that only some
            questions have, or what can't be stored; names the plugin that the loader came with.
    """
    corpus = corpora[spec](spec, base)
    if fault := next(_faults(corpus), None):
        plugin = corpora.entry(spec.kind).plugin
        raise DataError(
            f"the loader of {spec.kind}{f', of {plugin},' if plugin else ''} gives a corpus that"
            f" can't be used: {fault}.",
            mend=f"mend it, or report it to {plugin or 'whoever wrote it'};"
            " `mox.testing.corpus.CorpusContract` has all that a loader is held to.",
        )
    return corpus


def _faults(corpus: Corpus) -> Iterator[str]:
    yield from _twice("document", (document.id for document in corpus.documents))
    yield from _twice("question", (question.id for question in corpus.questions))
    for document in corpus.documents:
        if error := _unstorable(document.metadata, document.id, document.text):
            yield f"the document {shown(document.id)} can't be stored ({error})"
    length = {document.id: len(document.text) for document in corpus.documents}
    for question in corpus.questions:
        if error := _unstorable({}, question.id, question.text, question.group):
            yield f"the question {shown(question.id)} can't be stored ({error})"
        for fault in _misplaced(question, length):
            yield f"the question {shown(question.id)} {fault}"
    splits = {question.split for question in corpus.questions}
    if splits - {*SPLITS, None}:
        yield f"a split is none of {', '.join(SPLITS)} and None"
    if None in splits and len(splits) > 1:
        yield "some questions have a split and others none"


def _twice(what: str, ids: Iterable[str]) -> Iterator[str]:
    for id_, count in Counter(ids).items():
        if count > 1:
            yield f"the {what} id {shown(id_)} stands {count} times"


def _unstorable(metadata: Mapping[str, Any], *texts: str) -> Exception | None:
    """What metadata that isn't JSON raises, or texts with half characters."""
    try:
        canonical(dict(metadata)).encode()
        "".join(texts).encode()
    except (TypeError, ValueError) as error:
        return error
    return None


def _misplaced(question: Question, length: Mapping[str, int]) -> Iterator[str]:
    """Evidence that no chunk can have, or that has two forms at once."""
    evidence = question.evidence
    if evidence.groups and evidence.grades:
        yield "has spans and grades"
    for group in evidence.groups:
        if not group:
            yield "has evidence of no span, which can't be found"
        for name, start, end in group:
            if name not in length:
                yield f"has evidence in the document {shown(name)}, which isn't in the corpus"
            elif not 0 <= start < end <= length[name]:
                yield (
                    f"has evidence at [{start}, {end}) of the document {shown(name)}, which has"
                    f" {length[name]} characters"
                )
    for name in evidence.grades.keys() - length.keys():
        yield f"has a grade of the document {shown(name)}, which isn't in the corpus"
