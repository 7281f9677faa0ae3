"""Documents alone are those of the whole corpus, whatever became of its questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics as texts
from typing import Literal

import pytest

from mox.corpus import corpora
from mox.corpus.documents import documents
from mox.errors import DataError
from mox.registry import Entry
from mox.spec import Spec
from mox.types import Corpus, Document, Evidence, Question, Span

DOCUMENT = {"id": "d", "text": "Copper lanterns.", "title": "On light", "metadata": {"year": 1}}
QUESTION = {"id": "q", "text": "Which?", "evidence": [{"document": "d", "start": 0, "end": 6}]}


def evidence(folder: Path) -> Path:
    (folder / "documents.jsonl").write_text(json.dumps(DOCUMENT))
    (folder / "questions.jsonl").write_text(json.dumps(QUESTION))
    return folder / "questions.jsonl"


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "On light", "text": "Copper."}')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "Which?"}')
    (folder / "qrels" / "test.tsv").write_text("q\td\t1\n")
    return folder / "queries.jsonl"


def files(folder: Path) -> Path:
    (folder / "d").write_text("Copper lanterns.")
    (folder / "d.md").write_text("# On light\n\nCopper lanterns.")
    (folder / "questions.jsonl").write_text(json.dumps({**QUESTION, "evidence": ["Copper"]}))
    return folder / "questions.jsonl"


@pytest.mark.parametrize(
    ("kind", "write"), [("evidence", evidence), ("beir", beir), ("folder", files)]
)
def test_documents_alone_are_those_of_the_whole(
    kind: str, write: Callable[[Path], Path], tmp_path: Path
) -> None:
    (tmp_path / "c").mkdir()
    questions = write(tmp_path / "c")
    spec = corpora.parse({"kind": kind, "path": "c"})
    whole = corpora[spec](spec, tmp_path).documents
    assert documents(spec, tmp_path) == whole
    questions.write_text("no question\n")
    with pytest.raises(DataError, match="not JSON"):
        corpora[spec](spec, tmp_path)
    assert documents(spec, tmp_path) == whole


@pytest.mark.parametrize("source", ["{kind: evidence, path: .}", "{kind: pydoc-topics}"])
def test_a_cards_documents_are_those_of_its_source(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "tiny"
    folder.mkdir(parents=True)
    evidence(folder).write_text("no question\n")
    card = f"schema: 1\nname: tiny\ntitle: T\nlicence: CC0-1.0\ndescription: D\nsource: {source}\n"
    if "topics" in source:
        card += "questions: questions.jsonl\nfamilies:\n"
        card += "  - {name: a, split: dev, topics: [assert]}\n"
        card += "  - {name: b, split: test, topics: [break]}\n"
    (folder / "card.yaml").write_text(card)
    found = documents(corpora.parse({"kind": "card", "name": "tiny"}), tmp_path)
    assert [d.id for d in found] == (sorted(texts) if "topics" in source else ["d"])


class Given(Spec):
    """A third party's, which reads no documents by themselves."""

    kind: Literal["given"] = "given"


def test_a_loader_that_reads_no_documents_alone_is_asked_for_all_and_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = Document("d", "Copper.", "0" * 64)
    asked = Question("q", "Which?", "d", Evidence(groups=((Span("d", 0, 6),),)))
    given = [Corpus("c", (document,), (asked,)), Corpus("c", (document, document), (asked,))]
    corpora.kinds()  # ours are registered before the copy is made
    entry = Entry(Given, lambda *_: given.pop(0), lambda _: {}, {}, "their-corpora")
    monkeypatch.setattr(corpora, "_entries", {**corpora._entries, "given": entry})
    assert documents(Given(), tmp_path) == (document,)
    with pytest.raises(DataError, match=r"their-corpora.* 'd' stands 2 times"):
        documents(Given(), tmp_path)
