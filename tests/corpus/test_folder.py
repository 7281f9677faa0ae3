"""A folder of one's own files: what is read, what is left out, and what is asked of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.corpus import corpora
from mox.corpus.folder import Folder
from mox.corpus.labels import LEFT_OUT
from mox.errors import DataError, FieldError, MissingError
from mox.testing.corpus import CorpusContract
from mox.types import Corpus, Span

GUIDE = "# Bees\n\nBees need clean water.\nThey fly two\nmiles.\n"
QUESTION = {
    "id": "q1",
    "text": "How far do bees fly?",
    "evidence": [{"document": "guide.md", "text": "They fly two miles."}],
}

Load = Callable[..., Corpus]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with one document and one question."""
    put(tmp_path / "docs", {"guide.md": GUIDE, "questions.jsonl": json.dumps(QUESTION) + "\n"})
    return tmp_path / "docs"


@pytest.fixture
def load(docs: Path) -> Load:
    def of(**settings: Any) -> Corpus:
        spec = Folder(path=docs.name, **settings)
        return corpora[spec](spec, docs.parent)

    return of


def put(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)


def ask(docs: Path, *evidence: Any, **more: Any) -> None:
    put(docs, {"questions.jsonl": json.dumps({**QUESTION, "evidence": [*evidence], **more})})


def ids(corpus: Corpus) -> list[str]:
    return [document.id for document in corpus.documents]


class TestFolder(CorpusContract):
    @pytest.fixture
    def spec(self, docs: Path) -> Folder:
        put(docs, {"src/hive.py": "frames = 10\n", "notes.txt": "Wait.\r\n", "a b/c.rst": "T\n=\n"})
        ask(docs, "They fly two miles.", {"document": "src/hive.py", "start": 0, "end": 6})
        return Folder(path="docs", exclude=("a b/*.md",))


def test_a_document_is_a_file_by_its_path(load: Load, docs: Path) -> None:
    raw = b"\xef\xbb\xbfFirst.\r\nSecond \xf0\x9f\x90\x9d.\rThird."
    put(docs, {"a b/Ünï/deep.txt": raw})
    corpus = load()
    document = corpus.documents[0]
    assert ids(corpus) == ["a b/Ünï/deep.txt", "guide.md"]
    assert document.text == "First.\r\nSecond \U0001f41d.\rThird."
    assert document.sha256 == hashlib.sha256(raw).hexdigest()
    assert document.uri == "docs/a b/Ünï/deep.txt"
    assert (corpus.name, corpus.about) == ("docs", {"source": "folder: docs"})


def test_order_is_that_of_the_ids_whatever_the_file_system_says(load: Load, docs: Path) -> None:
    put(docs, dict.fromkeys(("z.txt", "b/y.txt", "b.txt", "B.txt", "b-a.txt"), "Text."))
    assert ids(load()) == ["B.txt", "b-a.txt", "b.txt", "b/y.txt", "guide.md", "z.txt"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"), ("a.MD", "text/markdown"), ("a.markdown", "text/markdown"),
        ("a.rst", "text/x-rst"), ("a.py", "text/x-python"), ("a.h", "text/x-c"),
        ("a.tsx", "text/x-typescript"), ("a.sh", "text/x-sh"),
    ],
)  # fmt: skip
def test_media_types_go_by_suffix(load: Load, docs: Path, name: str, media_type: str) -> None:
    put(docs, {name: "Text."})
    assert next(d for d in load().documents if d.id == name).media_type == media_type


def test_hidden_version_control_and_environment_folders_are_left_out(
    load: Load, docs: Path
) -> None:
    never = (".git/a.md", "CVS/a.md", "node_modules/x/a.md", "__pycache__/a.py", "sub/env/lib/a.py")
    put(docs, dict.fromkeys((*never, ".cache/a.md", ".secret.txt"), "Text."))
    put(docs, {"sub/env/pyvenv.cfg": "home = x", "environment/kept.md": "Text."})
    corpus = load()
    assert ids(corpus) == ["environment/kept.md", "guide.md"]
    assert LEFT_OUT not in corpus.about, "nobody asks after these"
    assert ids(load(hidden=True)) == [
        ".cache/a.md", ".secret.txt", "environment/kept.md", "guide.md",
    ]  # fmt: skip


def test_what_is_left_out_is_told_by_reason(load: Load, docs: Path) -> None:
    put(docs, {"a.pdf": b"%PDF\xff", "b.PDF": b"%PDF", "c.docx": b"PK", "d.png": b"\x89PNG"})
    put(docs, {"LICENSE": "Text.", "pkg/__init__.py": "", "blank.txt": " \n\t"})
    assert load().about[LEFT_OUT] == (
        "1 .docx, which nothing here parses yet; 2 .pdf, which nothing here parses yet; 1 .png;"
        " 2 empty; 1 without a suffix"
    )


def test_patterns_pick_and_exclude(load: Load, docs: Path) -> None:
    ask(docs, kind="unanswerable")
    names = ("a.txt", "b.md", "old/c.md", "old/d/e.md", "new/f.md", "new/old/g.md")
    put(docs, dict.fromkeys(names, "Text."))
    md = ["b.md", "guide.md", "new/f.md", "new/old/g.md", "old/c.md", "old/d/e.md"]
    assert ids(load(include=["*.md"])) == md
    assert ids(load(include=["*.txt", "old/*.md"])) == ["a.txt", "old/c.md"]
    assert ids(load(include=["old/**"])) == ["old/c.md", "old/d/e.md"]
    assert ids(load(include=["**/old/*"])) == ["new/old/g.md", "old/c.md"]
    assert ids(load(include=["*.md"], exclude=["old"])) == ["b.md", "guide.md", "new/f.md"]
    assert ids(load(exclude=["./old/", "a.*"])) == ["b.md", "guide.md", "new/f.md", "new/old/g.md"]


def test_a_pattern_may_ask_for_any_suffix_but_only_by_writing_it(load: Load, docs: Path) -> None:
    ask(docs, kind="unanswerable")
    put(docs, {"x/a.log": "Text.", "x/LICENSE": "Text.", "x/b.png": b"\x89PNG", "x/c.md": "Text."})
    corpus = load(include=["x/**"])
    assert ids(corpus) == ["x/c.md"]
    assert corpus.about[LEFT_OUT] == "1 .log; 1 .png; 1 without a suffix"
    corpus = load(include=["x/**", "*.log", "LICENSE"])
    assert ids(corpus) == ["x/LICENSE", "x/a.log", "x/c.md"]
    assert {document.media_type for document in corpus.documents} == {"text/plain", "text/markdown"}


def test_a_pattern_that_no_file_fits_is_refused(load: Load) -> None:
    with pytest.raises(DataError, match=r"no file fits the pattern 'doc/\*\*' of `include`"):
        load(include=["*.md", "doc/**"])


@pytest.mark.parametrize("pattern", ["/etc/*", "../*.md", "a/../../b", "~/x", "", "a//b"])
def test_a_pattern_that_leads_outside_is_refused(pattern: str) -> None:
    for field in ("include", "exclude"):
        with pytest.raises(FieldError, match=r"isn't relative to the folder"):
            corpora.parse({"kind": "folder", "path": ".", field: [pattern]})


def test_links_are_not_followed(load: Load, docs: Path) -> None:
    put(docs.parent / "outside", {"secret.txt": "Text."})
    put(docs, {"sub/a.md": "Text."})
    (docs / "out").symlink_to(docs.parent / "outside", target_is_directory=True)
    (docs / "sub" / "circle").symlink_to(docs, target_is_directory=True)
    (docs / "again.md").symlink_to(docs / "guide.md")
    (docs / "gone.md").symlink_to(docs / "nowhere.md")
    corpus = load()
    assert ids(corpus) == ["guide.md", "sub/a.md"]
    assert corpus.about[LEFT_OUT] == "4 links"


def test_the_folder_itself_may_be_a_link(docs: Path) -> None:
    (docs.parent / "link").symlink_to(docs, target_is_directory=True)
    spec = Folder(path="link")
    assert ids(corpora[spec](spec, docs.parent)) == ["guide.md"]


def test_what_is_no_regular_file_is_not_opened(load: Load, docs: Path) -> None:
    os.mkfifo(docs / "pipe.txt")  # reading it would wait for ever
    assert ids(load()) == ["guide.md"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"one\ncaf\xe9\n", r"bad\.md:2: not UTF-8 at byte 7 \(0xe9"),
        ("hello".encode("utf-16"), r"bad\.md:1: not UTF-8 at byte 0"),
        (b"\x7fELF\x02\x00\x01", r"bad\.md: binary, with NUL at byte 5"),
        (b"x" * 1_100_000, r"bad\.md: 1\.1 MB, over max_mb = 1\."),
    ],
)
def test_a_file_that_cannot_be_a_document_is_named_with_two_mends(
    load: Load, docs: Path, raw: bytes, said: str
) -> None:
    put(docs, {"sub[1]/bad.md": raw})
    with pytest.raises(DataError, match=said) as caught:
        load(max_mb=1)
    assert 'or leave it out: `exclude: ["sub[[]1]/bad.md"]`' in caught.value.mend
    assert ids(load(max_mb=1, exclude=["sub[[]1]/bad.md"])) == ["guide.md"]


def test_a_larger_file_is_read_where_that_is_asked(load: Load, docs: Path) -> None:
    put(docs, {"big.txt": b"x" * 1_100_000})
    assert ids(load()) == ["big.txt", "guide.md"]


def test_names_are_one_text_whatever_their_unicode_form(load: Load, docs: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "café.md") for form in ("NFC", "NFD"))
    put(docs, {nfd: "Text of the café."})
    ask(docs, {"document": nfd, "text": "Text of"})
    assert ids(load()) == [nfc, "guide.md"]
    assert load().questions[0].evidence.groups == ((Span(nfc, 0, 7),),)
    put(docs, {nfc: "Other text."})
    with pytest.raises(DataError, match=r"two files are called 'café\.md', by two spellings"):
        load()


def test_names_that_differ_in_case_are_two_documents(load: Load, docs: Path) -> None:
    put(docs, {"Guide.md": "Another guide."})
    if (docs / "guide.md").read_text() != GUIDE:
        pytest.skip("this file system ignores case")
    assert ids(load()) == ["Guide.md", "guide.md"]


def test_a_name_that_is_no_text_is_refused(load: Load, docs: Path) -> None:
    try:
        (docs / os.fsdecode(b"caf\xe9.md")).write_text("Text.")
    except OSError:
        pytest.skip("this file system has text names only")
    with pytest.raises(DataError, match=r"the name 'caf\\udce9\.md' is no text"):
        load()


def test_a_folder_without_documents_says_what_it_holds(load: Load, docs: Path) -> None:
    (docs / "guide.md").unlink()
    put(docs, {"a.pdf": b"%PDF"})
    with pytest.raises(DataError, match=r"no file to read \(left out: 1 \.pdf, which"):
        load()


def test_a_folder_without_questions_shows_a_line_that_would_do(load: Load, docs: Path) -> None:
    (docs / "questions.jsonl").unlink()
    with pytest.raises(MissingError, match=r"1 documents and no questions") as caught:
        load()
    assert str(docs / "questions.jsonl") in caught.value.message
    put(docs, {"questions.jsonl": caught.value.mend.splitlines()[-1].strip()})
    (question,) = load().questions
    assert question.evidence.groups == ((Span("guide.md", 0, GUIDE.index("fly") + 3),),)


def test_questions_may_lie_beside_the_file_that_names_the_folder(load: Load, docs: Path) -> None:
    (docs / "questions.jsonl").rename(docs.parent / "mine.jsonl")
    assert [question.id for question in load(questions="mine.jsonl").questions] == ["q1"]
    (docs.parent / "mine.jsonl").rename(docs.parent / "questions.jsonl")
    ask(docs, "Bees need")  # the folder's own come first
    assert load().questions[0].evidence.groups == ((Span("guide.md", 8, 17),),)


def test_the_questions_are_no_document(load: Load, docs: Path) -> None:
    put(docs, {"sub/questions.jsonl": "Another's."})
    assert ids(load(include=["*.md", "*.jsonl"])) == ["guide.md", "sub/questions.jsonl"]


def test_evidence_is_by_offsets_or_by_quotation(load: Load, docs: Path) -> None:
    put(docs, {"sub/b.txt": "They fly\r\ntwo miles. They fly two miles."})
    start = GUIDE.index("They")
    here = Span("guide.md", start, start + len("They fly two\nmiles."))
    there = (Span("sub/b.txt", 0, 20), Span("sub/b.txt", 21, 40))
    offsets = {"document": "guide.md", "start": start, "end": here.end}
    ask(docs, {"document": "guide.md", "text": "They fly  two miles."})
    assert load().questions[0].evidence.groups == ((here,),)
    ask(docs, {**offsets, "text": "They fly two\nmiles."})
    assert load().questions[0].evidence.groups == ((here,),)
    ask(docs, "They fly two miles.", [offsets, {"document": "./sub/b.txt", "text": "They fly two"}])
    (anywhere, either) = load().questions[0].evidence.groups
    assert set(anywhere) == {here, *there}
    assert either == (here, Span("sub/b.txt", 0, 13), Span("sub/b.txt", 21, 33))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("They fly three miles.", "'They fly three miles.' doesn't stand in any file"),
        (" ", "' ' doesn't stand in any file"),
        (
            "hey fly two",
            "'hey fly two' stands only as a part of longer words: 'They fly two' in 'guide.md',"
            " line 4",
        ),
        ({"document": "guide.md", "text": "ile"}, "'ile' stands only as a part"),
        ({"document": "guide.md", "text": "No."}, "'No.' doesn't stand in 'guide.md'"),
        ({"document": "guide.md"}, "no field `text`"),
        ({"text": "Bees"}, "no field `document`"),
        (
            {"document": "gide.md", "text": "Bees"},
            "'gide.md', which isn't.*did you mean 'guide.md'",
        ),
        ({"document": "guide.md", "start": 0}, "no field `end`"),
        ({"document": "guide.md", "start": 0, "end": 999}, "lies outside of the document"),
        ({"document": "guide.md", "start": 0, "end": 4, "text": "Bees"}, "has '# Be' at"),
        ({"document": "guide.md", "quote": "Bees"}, "unknown field `quote`"),
        ({"document": 3, "text": "Bees"}, "`document` is an integer"),
        (3, "a piece of evidence is an integer"),
    ],
)
def test_evidence_that_is_not_there_is_refused(
    load: Load, docs: Path, item: Any, said: str
) -> None:
    ask(docs, item)
    with pytest.raises(DataError, match=re.escape(str(docs / "questions.jsonl:1")) + ".*" + said):
        load()


def test_a_part_of_a_word_is_asked_for_by_the_offsets_that_its_refusal_gives(
    load: Load, docs: Path
) -> None:
    put(docs, {"a.py": "def f():\n    wait(timeout='30s')\n"})
    ask(docs, {"document": "a.py", "text": "30"})
    with pytest.raises(DataError, match=r"'30s' in 'a\.py', line 2") as caught:
        load()
    offsets = json.loads(caught.value.mend[caught.value.mend.index("{") :].removesuffix("."))
    assert offsets == {"document": "a.py", "start": 27, "end": 29}
    ask(docs, offsets)
    assert load().questions[0].evidence.groups == ((Span("a.py", 27, 29),),)


def test_words_after_an_escape_in_source_code_are_whole(load: Load, docs: Path) -> None:
    put(docs, {"a.py": r'HELP = "usage: x\nsecond line of help"'})
    ask(docs, "second line of help")
    assert load().questions[0].evidence.groups == ((Span("a.py", 18, 37),),)


def experiment(docs: Path, **corpus: Any) -> dict[str, Any]:
    return {
        "name": "folder",
        "corpus": {"kind": "folder", "path": str(docs), **corpus},
        "axes": {
            "chunk": [{"kind": "headings", "size": 32}, {"kind": "sentences", "size": 16}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 2}],
        },
        "measure": ["recall@2"],
    }


@pytest.mark.timeout(150)
def test_of_a_changed_file_only_the_chunks_are_embedded_anew(docs: Path) -> None:
    """Of five files one, of its two sections one, of whose two sentences one."""
    section = "# Part {0}\n\nIt says {0} and {0} again. It ends there, after all of {0}.\n\n"
    parts = [section.format(word) for word in ("water", "smoke", "frames", "mites", "queens")]
    for at, text in enumerate(parts[:3]):
        put(docs, {f"part-{at}.md": text})
    put(docs, {"hive.py": "frames = 10  # to keep\n", "both.md": parts[3] + parts[4]})

    def embedded() -> tuple[list[int], int]:
        results = mox.run(experiment(docs), offline=True, quiet=True)
        assert len(results.finished) == 2, "headings must take source files too"
        roles = [trial.roles["embed"] for trial in results.finished]
        facts = [results.store.sidecar(*role)["facts"] for role in roles]
        return [fact["embedded"] for fact in facts], sum(fact["texts"] for fact in facts)

    first, texts = embedded()
    assert sum(first) > 10
    put(docs, {"both.md": parts[3] + parts[4].replace("It ends there", "It stops there")})
    again, same = embedded()
    assert same == texts
    assert again == [1, 1]


def test_a_plan_says_what_is_left_out_and_refuses_without_questions(docs: Path) -> None:
    put(docs, {"a.pdf": b"%PDF"})
    notes = mox.plan(experiment(docs)).notes
    assert "files left out of docs: 1 .pdf, which nothing here parses yet." in notes
    (docs / "questions.jsonl").unlink()
    with pytest.raises(MissingError, match="no questions, so nothing can be scored"):
        mox.plan(experiment(docs))


def test_evidence_that_stands_at_several_places_is_named_in_the_plan(docs: Path) -> None:
    """`10` inside of `2010` is no place of it; the others all count."""
    put(docs, {"a.md": "In 2010, 10 bees; then 10 more.", "b.md": "Of 10."})
    ask(docs, "10", {"document": "a.md", "text": "bees; then"})
    said = "evidence at several places, each of which counts: "
    assert f"{said}q1: '10' at 3 places in 2 files." in mox.plan(experiment(docs)).notes
    lines = [json.dumps({**QUESTION, "id": f"q{n}", "evidence": ["10"]}) for n in range(7)]
    put(docs, {"questions.jsonl": "\n".join(lines)})
    (note,) = (note for note in mox.plan(experiment(docs)).notes if note.startswith(said))
    assert note.count("'10'") == 5
    assert note.endswith("; and 2 more.")
    ask(docs, "then 10 more")
    assert not any(note.startswith(said) for note in mox.plan(experiment(docs)).notes)
