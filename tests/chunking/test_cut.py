"""The check that no chunker gets round, and the order of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus, chunk_document, size_of
from mox.chunking.fixed import Fixed
from mox.chunking.headings import Headings
from mox.chunking.recursive import Recursive
from mox.chunking.tokenizers import Bpe
from mox.chunking.whole import Whole
from mox.errors import DataError
from mox.registry import Entry
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

TEXT = "Ten words of a document that is cut by hand."


class ByHand(Spec):
    """Yields what it is told to."""

    kind: Literal["by-hand"] = "by-hand"
    size: int | None = None
    chunks: tuple[tuple[str, tuple[tuple[int, int], ...], str], ...] = ()


def by_hand(spec: ByHand, _document: Document, _tokenizer: Tokenizer) -> Iterator[Chunk]:
    for document, spans, text in spec.chunks:
        yield Chunk(document, spans, text)


@pytest.fixture
def traits(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Registers `by-hand` for one test; what is put in here are its traits."""
    found: dict[str, Any] = {"size": lambda spec: spec.size}
    chunkers.kinds()  # ours are registered before the copy is made
    entry = Entry(ByHand, by_hand, lambda _: {"version": "1"}, found)
    monkeypatch.setattr(chunkers, "_entries", {**chunkers._entries, "by-hand": entry})
    return found


@pytest.mark.usefixtures("traits")
@pytest.mark.parametrize(
    ("document", "spans", "text", "said"),
    [
        ("other", ((0, 3),), "Ten", "it says that it is of document 'other'"),
        ("d", (), "", "it has no span"),
        ("d", ((-1, 3),), "Ten", "the text ends at 44"),
        ("d", ((40, 45),), "and.", "the text ends at 44"),
        ("d", ((3, 3),), "", "a span is empty"),
        ("d", ((5, 3),), "", "a span is empty"),
        ("d", ((4, 9), (0, 3)), "wordsTen", "its spans overlap or are out of order"),
        ("d", ((0, 9), (4, 10)), "Ten wordswords ", "its spans overlap or are out of order"),
        ("d", ((0, 3),), "ten", "its text is not the document's at these offsets"),
        ("d", ((1, 4),), "Ten", "its text is not the document's at these offsets"),
        ("d", ((0, 9),), "Ten words", "it has 2 tokens of cl100k, over 1"),
    ],
)
def test_what_isnt_as_promised_is_refused_naming_chunker_document_and_place(
    document: str, spans: tuple[tuple[int, int], ...], text: str, said: str, cl100k: Bpe
) -> None:
    good = ("d", ((0, 3),), "Ten")
    spec = ByHand(size=1, chunks=(good, (document, spans, text)))
    with pytest.raises(DataError) as caught:
        chunk_corpus(spec, [Document("d", TEXT, "")], cl100k)
    assert caught.value.message == f"by-hand cut document 'd' at {list(spans)}: {said}."
    assert caught.value.mend == "use another chunker, and report it to Mox."


def test_a_chunker_sees_all_but_where_a_document_lies(
    traits: dict[str, Any], cl100k: Bpe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it saw of that could change its chunks, and not the key that they are stored by."""
    seen = []

    def sees(spec: ByHand, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
        seen.append(document)
        yield from by_hand(spec, document, tokenizer)

    entry = Entry(ByHand, sees, lambda _: {"version": "1"}, traits)
    monkeypatch.setitem(chunkers._entries, "by-hand", entry)
    document = Document("d", TEXT, "s", "text/x-rst", "docs/d.rst", {"title": "T"})
    chunk_document(ByHand(chunks=(("d", ((0, 3),), "Ten"),)), document, cl100k)
    assert seen == [Document("d", TEXT, "s", "text/x-rst", "", {"title": "T"})]


def test_it_ticks_after_each_document(cl100k: Bpe) -> None:
    ticks: list[str] = []
    documents = [Document(f"d{n}", TEXT, "") for n in range(3)]
    chunk_corpus(Whole(), documents, cl100k, tick=lambda: ticks.append("tick"))
    assert len(ticks) == 3


def test_a_chunk_may_have_several_spans_and_touching_ones(
    traits: dict[str, Any], cl100k: Bpe
) -> None:
    spec = ByHand(chunks=(("d", ((0, 3), (3, 9), (13, 15)), "Ten wordsa "),))
    table = chunk_corpus(spec, [Document("d", TEXT, "")], cl100k)
    assert table.spans(0) == [(0, 3), (3, 9), (13, 15)]


def test_context_may_differ_from_the_spans_and_counts_towards_the_size(
    traits: dict[str, Any], cl100k: Bpe
) -> None:
    traits["context"] = True
    spec = ByHand(size=4, chunks=(("d", ((0, 3),), "About: Ten"),))
    assert chunk_document(spec, Document("d", TEXT, ""), cl100k)[0].text == "About: Ten"
    spec = ByHand(size=2, chunks=(("d", ((0, 3),), "About: Ten"),))
    with pytest.raises(DataError, match="it has 3 tokens of cl100k, over 2"):
        chunk_document(spec, Document("d", TEXT, ""), cl100k)


def test_sizes_in_the_documents_tokens_are_checked_in_them(
    traits: dict[str, Any], cl100k: Bpe
) -> None:
    """U+1F926's first byte pair is a token with the space before it, by tiktoken."""
    text = "I said \U0001f926 twice"  # I| said| +2 bytes|1 byte|1 byte| twice
    traits["counts"] = "document"
    face = ("d", ((7, 8),), "\U0001f926")
    document = Document("d", text, "")
    # Its later bytes' tokens end where the character does: one token brings it.
    assert chunk_document(ByHand(size=1, chunks=(face,)), document, cl100k)
    more = ("d", ((2, 8),), "said \U0001f926")
    with pytest.raises(DataError, match="it has 2 tokens of cl100k, over 1"):
        chunk_document(ByHand(size=1, chunks=(more,)), document, cl100k)
    traits["counts"] = "text"
    with pytest.raises(DataError, match="it has 3 tokens of cl100k, over 1"):
        chunk_document(ByHand(size=1, chunks=(face,)), document, cl100k)


def test_rows_stand_in_tie_order(traits: dict[str, Any], cl100k: Bpe) -> None:
    """Document ids descending as strings, then start, then end; equal rows are one."""
    rows = [((4, 9), "words"), ((0, 9), "Ten words"), ((0, 3), "Ten"), ((0, 3), "Ten")]
    documents = [Document(name, TEXT, "") for name in ("10", "a", "9", "B")]

    def yields(spec: ByHand, document: Document, _: Tokenizer) -> Iterator[Chunk]:
        for span, text in rows:
            yield Chunk(document.id, (span,), text)

    chunkers.register(ByHand, fingerprint=lambda _: {})(yields)
    table = chunk_corpus(ByHand(), documents, cl100k)
    assert table.documents == ("10", "a", "9", "B")
    assert [table.documents[i] for i in table.document] == [
        name for name in ("a", "B", "9", "10") for _ in range(3)
    ]
    assert [table.spans(row) for row in range(3)] == [[(0, 3)], [(0, 9)], [(4, 9)]]
    assert table.texts[:3] == ("Ten", "Ten words", "words")
    assert {str(column.dtype) for column in (table.document, table.first, table.start)} == {"int32"}
    assert len(table) == 12


def test_the_order_of_documents_changes_no_row(cl100k: Bpe) -> None:
    documents = [Document(str(i), f"Text number {i}. " * 9, "") for i in range(12)]
    one = chunk_corpus(Fixed(size=8), documents, cl100k)
    other = chunk_corpus(Fixed(size=8), documents[::-1], cl100k)
    assert one.texts == other.texts
    assert [one.documents[i] for i in one.document] == [other.documents[i] for i in other.document]


def test_white_space_is_no_chunk_and_its_document_stays_known(cl100k: Bpe) -> None:
    documents = [Document("a", "word" + " " * 200 + "\n" * 200 + "word", ""), Document("b", "", "")]
    table = chunk_corpus(Fixed(size=1), documents, cl100k)
    assert all(text.strip() for text in table.texts)
    assert len(table) >= 2
    assert table.documents == ("a", "b")


@pytest.mark.parametrize("spec", [Fixed(), Recursive(), Headings(), Whole()], ids=lambda s: s.kind)
@pytest.mark.parametrize("texts", [[], [""], [" \n", "\t"]], ids=["none", "empty", "blank"])
def test_a_corpus_without_a_chunk_is_an_error(spec: Spec, texts: list[str], cl100k: Bpe) -> None:
    documents = [Document(str(i), text, "") for i, text in enumerate(texts)]
    with pytest.raises(DataError, match=f"{spec.kind} finds no chunk in {len(texts)} documents"):
        chunk_corpus(spec, documents, cl100k)


def test_sizes_are_known_before_anything_is_cut() -> None:
    assert [size_of(spec) for spec in (Fixed(size=9), Recursive(size=8), Headings(size=20))] == [
        9,
        8,
        20,
    ]
    assert size_of(Whole()) is None


def test_a_chunker_without_traits_has_no_size(traits: dict[str, Any]) -> None:
    del traits["size"]
    assert size_of(ByHand(size=3)) is None
