"""Finding quotations, held to a slow and obvious search."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mox.corpus.quotes import find, lay_out
from mox.types import Document, Span

# White space of one and of three bytes, controls that str.split takes for white space, and
# characters that look like white space and aren't (zero width space); one outside the BMP; a
# digit and a character of a script without spaces.
ALPHABET = "ab1\u6771 \n\t\r\x1c\x85\xa0\u2028\u3000\u200b\U0001f600"
texts = st.text(ALPHABET, min_size=1, max_size=14)


def document(name: str, text: str) -> Document:
    return Document(name, text, "")


def slowly(documents: list[Document], quotation: str) -> list[Span]:
    """Every slice of the quotation's words that begins and ends with a character, and where no
    letter or digit of ASCII touches another outside of it."""
    wanted = quotation.split()
    return [
        Span(each.id, start, end)
        for each in documents
        for start in range(len(each.text))
        for end in range(start + 1, len(each.text) + 1)
        if not each.text[start].isspace()
        and not each.text[end - 1].isspace()
        and each.text[start:end].split() == wanted
        and not re.match("[A-Za-z0-9]{2}", each.text[max(start - 1, 0) : start + 1])
        and not re.match("[A-Za-z0-9]{2}", each.text[end - 1 : end + 1])
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
    assert list(find(lay_out([document("a", "東京東\n京東")]), "東")) == [
        Span("a", 0, 1), Span("a", 2, 3), Span("a", 5, 6)]  # fmt: skip
    assert list(find(lay_out([document("a", "a, a, a")]), "a, a")) == [
        Span("a", 0, 4), Span("a", 3, 7)]  # fmt: skip


def test_a_quotation_doesnt_stand_inside_of_a_word_or_number():
    pages = lay_out([document("a", "In 2010, 10 of 100: 10a, (10) and a10."), document("b", "x10")])
    assert list(find(pages, "10")) == [Span("a", 9, 11), Span("a", 26, 28)]
    assert list(find(pages, "010")) == []
    # Other characters have no such edges: in 10 of `第10章`, and at an apostrophe or an accent.
    pages = lay_out([document("a", "第10章"), document("b", "bee's caf\u00e9")])
    assert list(find(pages, "10")) == [Span("a", 1, 3)]
    assert list(find(pages, "bee")) == [Span("b", 0, 3)]
    assert list(find(pages, "caf")) == [Span("b", 6, 9)]
    assert list(find(pages, "be")) == []


def test_nothing_is_found_over_the_border_of_two_documents():
    pages = lay_out([document("a", "one "), document("b", " two")])
    assert list(find(pages, "one two")) == []


def test_no_documents_have_no_places():
    assert list(find(lay_out([]), "x")) == []
