"""A folder of one's own files as a corpus: text, Markdown, reStructuredText and source code."""

from __future__ import annotations

import glob
import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from mox.corpus import corpora
from mox.corpus.evidence import need_document, need_folder, read_questions, span
from mox.corpus.files import choice, chosen, media_type, told
from mox.corpus.jsonl import Row, typed
from mox.corpus.labels import LEFT_OUT, SEVERAL
from mox.corpus.quotes import find, find_within, lay_out, several
from mox.corpus.text import decoded, read_bytes, shown
from mox.errors import DataError, MissingError
from mox.spec import Spec
from mox.types import Corpus, Document, Span

_NAMED = 5
"""Quotations at several places that are named; of others it is said how many they are."""
_QUOTATION = ("document", "text")
_BINARY_WITHIN = 8000
"""Bytes in which git, too, looks for the NUL that makes a file binary."""


class Folder(Spec):
    """A folder of files, each a document by its path; with questions in a file beside them.

    Read unasked are text (.txt), Markdown (.md), reStructuredText (.rst) and source files (.py,
    .js, .rs …). What is hidden, belongs to version control or an environment, or is a link, is
    not. What else is left out, the plan says.
    """

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)
    """The folder; relative to the file that names it."""
    include: tuple[str, ...] = ()
    """Patterns of the files to read; none: all. `*.md` fits at any depth, `docs/*.md` in docs,
    `docs/**` all below it. A suffix that isn't read unasked is where a pattern ends in it."""
    exclude: tuple[str, ...] = ()
    """Patterns of files, or of whole folders, not to read; they win over `include`."""
    hidden: bool = False
    """Read files and folders whose names begin with a dot, too."""
    max_mb: float = Field(10.0, gt=0)
    """A larger file is refused, since it is rarely text that someone wrote."""
    questions: str = Field("questions.jsonl", min_length=1)
    """The questions: looked for in the folder, then beside the file that names the folder."""

    @field_validator("include", "exclude")
    @classmethod
    def _stay_inside(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern.startswith(("/", "~")) or {"", ".."} & {*pattern.strip("/").split("/")}:
                raise ValueError(f"the pattern {pattern!r} isn't relative to the folder")
        return patterns


@corpora.register(
    Folder,
    fingerprint=lambda _: {"format": "3"},
    documents=lambda spec, base: _documents(spec, base, Counter()),
)
def load(spec: Folder, base: Path) -> Corpus:
    """Read and check a folder's files and questions.

    A document's id is its path from the folder, with `/`. Evidence is as in the `evidence`
    corpus, by offsets, or by quotation, which survives edits elsewhere in the file: an object
    with `document` and `text`, or the words alone, wherever they stand. White space needn't agree.

    Raises:
        MissingError: no such folder, or no questions; shows a line of them.
        DataError: a file that isn't UTF-8, is binary or too large; no file at all; or a question
            that is wrong (names file and line).
    """
    folder = need_folder(base, spec.path)
    questions = _questions_file(spec, folder, base)
    left_out: Counter[str] = Counter()
    documents = _documents(spec, base, left_out)
    others = told(left_out)
    if not documents:
        raise DataError(
            f"{folder}: no file to read{f' (left out: {others})' if others else ''}.",
            mend="put .txt, .md, .rst or source files there, or name others in `include`,"
            ' such as `include: ["*.log"]`.',
        )
    if questions is None:
        raise _no_questions(spec, folder, base, documents)
    asked = read_questions(questions, _places(documents))
    about = {"source": f"folder: {spec.path}"}
    if others:
        about[LEFT_OUT] = others
    if found := list(several(asked, documents)):
        rest = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        about[SEVERAL] = "; ".join(found[:_NAMED]) + rest
    return Corpus(folder.resolve().name, documents, asked, about=about)


def _documents(spec: Folder, base: Path, left_out: Counter[str]) -> tuple[Document, ...]:
    """The files that are read, by id; what isn't is counted in `left_out`."""
    folder = need_folder(base, spec.path)
    questions = _questions_file(spec, folder, base)
    wanted = choice(spec.include, spec.exclude, hidden=spec.hidden, apart=questions)
    return tuple(
        document
        for id_, path in chosen(folder, wanted, left_out)
        if (document := _document(id_, path, spec, left_out))
    )


def _questions_file(spec: Folder, folder: Path, base: Path) -> Path | None:
    for path in (folder / spec.questions, base / spec.questions):
        if path.is_file():
            return path
    return None


def _document(id_: str, path: Path, spec: Folder, left_out: Counter[str]) -> Document | None:
    """A file as a document; None, and counted, where it says nothing.

    Raises:
        DataError: too large, binary, or not UTF-8.
    """
    try:
        text, sha256 = _read(path, spec.max_mb)
    except DataError as error:
        # Of many files one is left out more likely than mended.
        pattern = json.dumps(glob.escape(id_), ensure_ascii=False)
        also = f"or leave it out: `exclude: [{pattern}]`."
        raise DataError(error.message, mend=f"{error.mend.rstrip('.')}, {also}") from None
    if not text or text.isspace():
        left_out["empty"] += 1
        return None
    return Document(
        id=id_,
        text=text,
        sha256=sha256,
        media_type=media_type(path.name),
        uri=f"{spec.path.rstrip('/')}/{id_}",
    )


def _read(path: Path, max_mb: float) -> tuple[str, str]:
    """A file's text, and the SHA-256 of its bytes."""
    if path.is_file() and (size_mb := path.stat().st_size / 1e6) > max_mb:
        raise DataError(f"{path}: {size_mb:.1f} MB, over max_mb = {max_mb:g}.", mend="raise it.")
    raw = read_bytes(path)
    text = decoded(raw, path)
    if (at := raw.find(b"\0", 0, _BINARY_WITHIN)) >= 0:
        raise DataError(f"{path}: binary, with NUL at byte {at}.", mend="save it as text.")
    return text, hashlib.sha256(raw).hexdigest()


def _no_questions(
    spec: Folder, folder: Path, base: Path, documents: Sequence[Document]
) -> MissingError:
    """What to write, with words that do stand in the first document."""
    words = " ".join(documents[0].text.split()[:8])
    line = {
        "id": "q1",
        "text": "What would someone ask that these words answer?",
        "evidence": [{"document": documents[0].id, "text": words}],
    }
    where = dict.fromkeys(str(at / spec.questions) for at in (folder, base))
    return MissingError(
        f"{folder}: {len(documents)} documents and no questions, so nothing can be scored"
        f" (looked for {' and '.join(where)}).",
        mend=f"write {next(iter(where))} with one such line a question; its evidence quotes the"
        f" words that answer it:\n    {json.dumps(line, ensure_ascii=False)}",
    )


def _places(documents: Sequence[Document]) -> Callable[[Any, str], tuple[Span, ...]]:
    """Reads a piece of evidence: offsets, a quotation from a document, or from any."""
    known = {document.id: document for document in documents}
    pages = lay_out(documents)

    def quoted(words: str, place: str, name: str | None = None) -> tuple[Span, ...]:
        def here(found: Span) -> bool:
            return name in (None, found.document)

        within = None
        if words.strip():
            if found := tuple(filter(here, find(pages, words))):
                return found
            within = next((both for both in find_within(pages, words) if here(both[0])), None)
        raise _not_there(words, place, name=name, documents=known, within=within)

    def places(item: Any, place: str) -> tuple[Span, ...]:
        if type(item) is str:
            return quoted(item, place)
        fields = typed(item, dict, place, "a piece of evidence")
        row = Row({key: _name(value, key) for key, value in fields.items()}, place)
        if {"start", "end"} & fields.keys():
            return (span(dict(row.fields), place, known),)
        row.closed(_QUOTATION)
        name = need_document(row.need("document", str), place, known).id
        return quoted(row.words("text"), place, name)

    return places


def _name(value: Any, key: str) -> Any:
    """A document's id as files have it, however it was typed."""
    if key == "document" and type(value) is str:
        return unicodedata.normalize("NFC", value).removeprefix("./")
    return value


def _not_there(
    words: str,
    place: str,
    *,
    name: str | None,
    documents: Mapping[str, Document],
    within: tuple[Span, Span] | None,
) -> DataError:
    """What is wrong with a quotation that has no place.

    Args:
        name: of the document that was named, if one was.
        within: where the words stand as a part of longer ones, and those; None: nowhere.
    """
    if within is None:
        where = "any file" if name is None else shown(name)
        return DataError(
            f"{place}: the evidence {shown(words)} doesn't stand in {where}.",
            mend="quote whole words as the file has them, markup included; white space may differ.",
        )
    part, whole = within
    text = documents[part.document].text
    line = text.count("\n", 0, part.start) + 1
    offsets = {"document": part.document, "start": part.start, "end": part.end}
    return DataError(
        f"{place}: the evidence {shown(words)} stands only as a part of longer words:"
        f" {shown(text[whole.start : whole.end])} in {shown(part.document)}, line {line}.",
        mend="quote those whole words, or give the place by its offsets:"
        f" {json.dumps(offsets, ensure_ascii=False)}.",
    )
