"""Corpora as BEIR lays them out: corpus.jsonl, queries.jsonl and qrels by split."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from mox.corpus import corpora
from mox.corpus.evidence import need_folder
from mox.corpus.jsonl import claim, read_rows
from mox.corpus.labels import UNLABELLED, UNREAD, sha256
from mox.corpus.text import read_text, shown
from mox.errors import DataError, MissingError
from mox.registry import nearest
from mox.spec import Spec
from mox.types import Corpus, Document, Evidence, Question

Splits = dict[str, Literal["dev", "test"] | None]

USUAL = ("train", "dev", "test")
_HEADS = ("query-id", "query_id", "qid", "corpus-id", "score")


class BeirSpec(Spec):
    """A folder with corpus.jsonl, queries.jsonl and qrels/*.tsv."""

    kind: Literal["beir"] = "beir"
    path: str = Field(min_length=1)
    """The folder; relative to the file that names it."""
    splits: Splits = Field({"train": "dev", "dev": "dev", "test": "test"}, min_length=1)
    """File of `qrels` → what its questions are for. Of train, dev and test any may be absent.
    With null for every file the questions have no split, and the experiment's `split` parts them.
    """

    @field_validator("splits")
    @classmethod
    def _all_or_none(cls, splits: Splits) -> Splits:
        if None in splits.values() and any(splits.values()):
            raise ValueError("null stands for every file or for none")
        return splits


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of a qrels file."""

    query: str
    document: str
    grade: int
    place: str


@corpora.register(
    BeirSpec,
    fingerprint=lambda _: {"format": "1"},
    documents=lambda spec, base: _documents(need_folder(base, spec.path) / "corpus.jsonl"),
)
def load(spec: BeirSpec, base: Path) -> Corpus:
    """Read and check a folder.

    A document's text is its title, a space and its text; without a title, its text. Queries
    that no qrels file names have no labels and are no questions; `about` says how many, and
    which qrels files `splits` leaves out. A query in two files that go to the same split (train
    and dev) has the judgements of both; in files of different splits it is refused, as choosing
    would see what confirms.

    Raises:
        MissingError: no such folder or file.
        DataError: names file and line of what is wrong.
    """
    folder = need_folder(base, spec.path)
    documents = _documents(folder / "corpus.jsonl")
    texts = _queries(folder / "queries.jsonl")
    files = _files(folder / "qrels", spec.splits)
    labels = _labels(files, texts, {document.id for document in documents})
    questions = tuple(
        Question(id_, text, _group(id_, grades), Evidence(grades=grades), split=split)
        for id_, text in texts.items()
        if id_ in labels
        for split, grades in [labels[id_]]
    )
    if not questions:
        raise DataError(
            f"{folder / 'qrels'}: no judgements in {', '.join(path.name for path in files)}.",
            mend="give at least one query a judged document.",
        )
    about = {"source": f"beir: {spec.path}", "qrels": ", ".join(path.name for path in files)}
    if unread := sorted(path.name for path in {*_stored(folder / "qrels")} - files.keys()):
        about[UNREAD] = ", ".join(unread)
    if len(questions) < len(texts):
        about[UNLABELLED] = str(len(texts) - len(questions))
    return Corpus(folder.resolve().name, documents, questions, about=about)


def _documents(path: Path) -> tuple[Document, ...]:
    found = []
    seen: dict[str, str] = {}
    for row in read_rows(path):
        id_ = claim(row.need("_id", str), row, seen, "document")
        title = row.get("title", str) or ""
        text = row.need("text", str)
        if title and not title.isspace():
            text = f"{title} {text}" if text else title
        elif not text or text.isspace():
            raise DataError(
                f"{row.place}: the document {shown(id_)} has neither title nor text.",
                mend="write its text, or drop the line and its judgements.",
            )
        metadata = {"title": title} if title else {}
        found.append(Document(id_, text, sha256(text), metadata=metadata))
    if not found:
        raise DataError(f"{path}: no documents.", mend="write one JSON object a line.")
    return tuple(found)


def _queries(path: Path) -> dict[str, str]:
    seen: dict[str, str] = {}
    return {
        claim(row.need("_id", str), row, seen, "query"): row.words("text")
        for row in read_rows(path)
    }


def _stored(folder: Path) -> Iterator[Path]:
    return folder.glob("*.tsv")


def _files(folder: Path, splits: Mapping[str, str | None]) -> dict[Path, str | None]:
    """The qrels files to read → the split of each."""
    have = sorted(path.stem for path in _stored(folder))
    listed = ", ".join(have) or "no *.tsv at all"
    for name in splits:
        if name not in have and name not in USUAL:
            raise MissingError(
                f"{folder / name}.tsv: no such file{nearest(name, have)}.",
                mend=f"name in `splits:` what stands in {folder}: {listed}.",
            )
    # By name, since equal specs may list their splits in any order.
    files = {folder / f"{name}.tsv": splits[name] for name in sorted(splits) if name in have}
    if not files:
        raise MissingError(
            f"{folder}: none of {', '.join(splits)} stands here as NAME.tsv.",
            mend=f"name in `splits:` what stands there: {listed}.",
        )
    return files


def _labels(
    files: Mapping[Path, str | None], queries: Container[str], documents: Container[str]
) -> dict[str, tuple[str | None, dict[str, int]]]:
    """Query → its split, and the grade of each of its judged documents in file order."""
    found: dict[str, tuple[str | None, dict[str, int]]] = {}
    first: dict[str, str] = {}
    judged: dict[tuple[str, str], str] = {}
    for path, split in files.items():
        for line in _judgements(path):
            _known(line.query, queries, line.place, "query", "queries.jsonl")
            _known(line.document, documents, line.place, "document", "corpus.jsonl")
            held, grades = found.setdefault(line.query, (split, {}))
            place = first.setdefault(line.query, line.place)
            if held != split:
                raise DataError(
                    f"{line.place}: the query {shown(line.query)} is for {split} here and for"
                    f" {held} at {place}.",
                    mend="leave one of the two files out of `splits:`, or drop the lines.",
                )
            before = judged.setdefault((line.query, line.document), line.place)
            if grades.setdefault(line.document, line.grade) != line.grade:
                raise DataError(
                    f"{line.place}: query {shown(line.query)} and document"
                    f" {shown(line.document)} have grade {line.grade} here and"
                    f" {grades[line.document]} at {before}.",
                    mend="keep one of the two lines.",
                )
    return found


def _known(id_: str, known: Container[str], place: str, what: str, where: str) -> None:
    if id_ not in known:
        raise DataError(
            f"{place}: the {what} {shown(id_)} isn't in {where}.",
            mend=f"add it to {where}, or drop the line.",
        )


def _judgements(path: Path) -> Iterator[Judgement]:
    """Lines of three columns, with or without a header, or of TREC's four."""
    width = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or line.isspace():
            continue
        place = f"{path}:{number}"
        # BEIR separates by tabs, TREC by any white space.
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if not width and parts[0].lower() in _HEADS:
            width = len(parts)
            continue
        width = width or len(parts)
        if len(parts) != width or width not in (3, 4):
            raise DataError(
                f"{place}: {len(parts)} columns{f' after {width}' if width in (3, 4) else ''}.",
                mend="write query, document and grade between tabs, or TREC's four columns.",
            )
        try:
            grade = int(parts[-1])
        except ValueError:
            raise DataError(
                f"{place}: the grade {shown(parts[-1])} is no integer.",
                mend="write whole grades: 0 is not relevant, 1 and more are.",
            ) from None
        yield Judgement(parts[0], parts[-2], grade, place)


def _group(id_: str, grades: Mapping[str, int]) -> str:
    """The first relevant document, else the query: what nothing answers stands alone."""
    return next((document for document, grade in grades.items() if grade > 0), id_)
