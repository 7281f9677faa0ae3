"""Finding quotations, held to a slow and obvious search."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mox.corpus.quotes import find, lay_out
from mox.types import Document, Span

# White space of one and of three bytes, controls that str.split takes for white space, and
# characters that look like white space and aren't (zero width space); one outside the BMP.
ALPHABET = "ab \n\t\r\x1c\x85\xa0\u2028\u3000\u200b\U0001f600"
texts = st.text(ALPHABET, min_size=1, max_size=14)


def document(name: str, text: str) -> Document:
    return Document(name, text, "")


def slowly(documents: list[Document], quotation: str) -> list[Span]:
    """Every slice that begins and ends with a character and has the quotation's words."""
    wanted = quotation.split()
    return [
        Span(each.id, start, end)
        for each in documents
        for start in range(len(each.text))
        for end in range(start + 1, len(each.text) + 1)
        if not each.text[start].isspace()
        and not each.text[end - 1].isspace()
        and each.text[start:end].split() == wanted
    ]


@given(st.lists(texts, min_size=1, max_size=3), st.data())
@settings(derandomize=True, max_examples=400, deadline=None)
def test_it_finds_what_a_slow_search_finds(found, data):
    documents = [document(f"d{at}", text) for at, text in enumerate(found)]
    whole = data.draw(st.sampled_from(found))
    start = data.draw(st.integers(0, len(whole)))
    quotation = data.draw(st.sampled_from([whole[start:], whole[:start]]) | texts)
    if quotation.split():
        assert list(find(lay_out(documents), quotation)) == slowly(documents, quotation)


def test_every_place_in_every_document_is_found():
    pages = lay_out([document("a", "x yes  no yes"), document("b", "yes\nno")])
    assert list(find(pages, "  yes no ")) == [Span("a", 2, 9), Span("b", 0, 6)]
    assert list(find(pages, "yes")) == [Span("a", 2, 5), Span("a", 10, 13), Span("b", 0, 3)]


def test_places_may_overlap():
    assert list(find(lay_out([document("a", "aba\nba")]), "a")) == [
        Span("a", 0, 1), Span("a", 2, 3), Span("a", 5, 6)]  # fmt: skip
    assert list(find(lay_out([document("a", "ababa")]), "aba")) == [
        Span("a", 0, 3), Span("a", 2, 5)]  # fmt: skip


def test_nothing_is_found_over_the_border_of_two_documents():
    pages = lay_out([document("a", "one "), document("b", " two")])
    assert list(find(pages, "one two")) == []


def test_no_documents_have_no_places():
    assert list(find(lay_out([]), "x")) == []
