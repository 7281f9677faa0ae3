"""Corpora of documents.jsonl and questions.jsonl, with gold spans by offset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mox.corpus import corpora
from mox.corpus.jsonl import Row, claim, read_rows, typed
from mox.corpus.labels import agree, all_or_none, evidence_field, one_side, sha256, split_field
from mox.corpus.text import shown
from mox.errors import DataError, MissingError
from mox.registry import nearest
from mox.settings import expanded
from mox.spec import Spec
from mox.types import Corpus, Document, Evidence, Question, Span

DOCUMENT = ("id", "text", "title", "media_type", "uri", "metadata")
QUESTION = ("id", "text", "evidence", "group", "split", "kind", "answer")
SPAN = ("document", "start", "end", "text")

_BOM = "\ufeff"

Places = Callable[[Any, str], tuple[Span, ...]]


class EvidenceSpec(Spec):
    """A folder with documents.jsonl and questions.jsonl."""

    kind: Literal["evidence"] = "evidence"
    path: str = Field(min_length=1)
    """The folder; relative to the file that names it."""


@corpora.register(
    EvidenceSpec,
    fingerprint=lambda _: {"format": "1"},
    documents=lambda spec, base: tuple(
        _documents(need_folder(base, spec.path) / "documents.jsonl").values()
    ),
)
def load(spec: EvidenceSpec, base: Path) -> Corpus:
    """Read and check a folder.

    Raises:
        MissingError: no such folder or file.
        DataError: names file and line of what is wrong.
    """
    folder = need_folder(base, spec.path)
    documents = _documents(folder / "documents.jsonl")
    questions = read_questions(
        folder / "questions.jsonl", lambda item, place: (span(item, place, documents),)
    )
    return Corpus(
        name=folder.resolve().name,
        documents=tuple(documents.values()),
        questions=questions,
        about={"source": f"evidence: {spec.path}"},
    )


def need_folder(base: Path, path: str) -> Path:
    """The folder of a corpus.

    Raises:
        MissingError: it isn't there, or of a user who isn't; says where relative paths start.
    """
    folder = base / expanded(path)
    if not folder.is_dir():
        raise MissingError(
            f"no corpus folder {folder}.",
            mend=f"name a folder in `path:`; relative ones start from {base}.",
        )
    return folder


def _documents(path: Path) -> dict[str, Document]:
    found: dict[str, Document] = {}
    seen: dict[str, str] = {}
    for row in read_rows(path):
        row.closed(DOCUMENT)
        id_ = claim(row.need("id", str), row, seen, "document")
        text = row.words("text")
        title = row.get("title", str)
        metadata = row.get("metadata", dict) or {}
        found[id_] = Document(
            id=id_,
            text=text,
            sha256=sha256(text),
            media_type=row.get("media_type", str) or "text/plain",
            uri=row.get("uri", str) or "",
            metadata=metadata if title is None else {**metadata, "title": title},
        )
    if not found:
        raise DataError(f"{path}: no documents.", mend="write one JSON object a line.")
    return found


def read_questions(path: Path, places: Places) -> tuple[Question, ...]:
    """The questions of a file, in order.

    Args:
        places: reads one piece of evidence: what JSON has, and `file:line` → its spans, any of
            which will do.

    Raises:
        MissingError: no such file.
        DataError: names file and line of what is wrong.
    """
    found = []
    seen: dict[str, str] = {}
    splits: dict[str, str | None] = {}
    grouped: dict[str, Question] = {}
    for row in read_rows(path):
        question = _question(row, places, seen)
        splits[row.place] = question.split
        if row.fields.get("group"):
            grouped[row.place] = question
        found.append(question)
    if not found:
        raise DataError(f"{path}: no questions.", mend="write one JSON object a line.")
    all_or_none(splits)
    one_side(grouped)
    return tuple(found)


def _question(row: Row, places: Places, seen: dict[str, str]) -> Question:
    row.closed(QUESTION)
    id_ = claim(row.need("id", str), row, seen, "question")
    kind = row.get("kind", str) or ""
    groups = tuple(_group(item, row.place, places) for item in evidence_field(row))
    evidence = Evidence(groups=groups)
    agree(row, kind, evidence)
    return Question(
        id=id_,
        text=row.words("text"),
        group=row.get("group", str) or (groups[0][0].document if groups else id_),
        evidence=evidence,
        split=split_field(row),
        kind=kind,
        answer=row.get("answer", str),
    )


def _group(item: Any, place: str, places: Places) -> tuple[Span, ...]:
    """One all-of item: a piece of evidence, or a list of pieces any of which will do."""
    if type(item) is not list:
        return places(item, place)
    if not item:
        raise DataError(
            f"{place}: an empty list among the evidence can never be found.",
            mend="give it at least one span, or drop it.",
        )
    return tuple(span for each in item for span in places(each, place))


def span(item: Any, place: str, documents: Mapping[str, Document]) -> Span:
    """A piece of evidence by offsets, checked against its text where it has one.

    Raises:
        DataError: unknown document, offsets out of range, or another text there.
    """
    row = Row(typed(item, dict, place, "a piece of evidence"), place)
    row.closed(SPAN)
    name = row.need("document", str)
    start, end = row.need("start", int), row.need("end", int)
    quote = row.get("text", str)
    text = need_document(name, place, documents).text
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"{place}: evidence [{start}, {end}) lies outside of the document {shown(name)},"
            f" which has {len(text)} characters, or is empty.",
            mend=_mend(text, start, end, quote),
        )
    if quote is not None and text[start:end] != quote:
        raise DataError(
            f"{place}: the evidence says {shown(quote)}, and the document {shown(name)} has"
            f" {shown(text[start:end])} at [{start}, {end}).",
            mend=_mend(text, start, end, quote),
        )
    return Span(name, start, end)


def need_document(name: str, place: str, documents: Mapping[str, Document]) -> Document:
    """The document that a piece of evidence names.

    Raises:
        DataError: there is none; names the nearest.
    """
    if name not in documents:
        raise DataError(
            f"{place}: evidence in the document {shown(name)}, which isn't in the corpus"
            f"{nearest(name, documents)}.",
            mend="name a document of the corpus.",
        )
    return documents[name]


def _mend(text: str, start: int, end: int, quote: str | None) -> str:
    """What offsets must count, and what these seem to count instead."""
    rule = "offsets count Unicode code points from 0, the end left out"
    if quote and 0 <= start <= end:
        for unit, code, width in (("UTF-16 code units", "utf-16-le", 2), ("bytes", "utf-8", 1)):
            if text.encode(code)[start * width : end * width] == quote.encode(code):
                return f"{rule}; these count {unit}."
        if text.replace("\r\n", "\n").replace("\r", "\n")[start:end] == quote:
            return (
                f"{rule}; these count \\r\\n as one, as `open(path)` reads it"
                " (`newline=''` keeps both)."
            )
        if text.startswith(_BOM) and text[start + 1 : end + 1] == quote:
            return f"{rule}; these leave out the byte order mark that the text begins with."
        if start and text[start - 1 : end - 1] == quote:
            return (
                f"{rule}; these count from 1, or a byte order mark, which is no part of the text."
            )
        if text[start : end + 1] == quote:
            return f"{rule}; these leave it in."
        if (at := text.find(quote)) >= 0:
            return f"{rule}; that text stands at [{at}, {at + len(quote)})."
    return f"{rule}. Do these count UTF-16 code units or bytes?"
