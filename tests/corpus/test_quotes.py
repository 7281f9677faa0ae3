"""Finding quotations, held to a slow and obvious search."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mox.corpus.quotes import find, find_within, lay_out
from mox.types import Document, Span

# White space of one and of three bytes, controls that str.split takes for white space, and
# characters that look like white space and aren't (zero width space); one outside the BMP; a
# digit and a character of a script without spaces; a backslash, which escapes b and not c.
ALPHABET = "abc1\\\u6771 \n\t\r\x1c\x85\xa0\u2028\u3000\u200b\U0001f600"
texts = st.text(ALPHABET, min_size=1, max_size=14)


def document(name: str, text: str) -> Document:
    return Document(name, text, "")


def slowly(documents: list[Document], quotation: str) -> list[Span]:
    """Every slice of the quotation's words that begins and ends with a character, and where no
    letter or digit of ASCII touches another outside of it, unless the left one is escaped."""
    wanted = quotation.split()
    return [
        Span(each.id, start, end)
        for each, inside in ((each, inside_words(each.text)) for each in documents)
        for start in range(len(each.text))
        for end in range(start + 1, len(each.text) + 1)
        if not each.text[start].isspace()
        and not each.text[end - 1].isspace()
        and each.text[start:end].split() == wanted
        and not {start, end} & inside
    ]


def inside_words(text: str) -> set[int]:
    """The borders at which a word or number goes on."""
    escaped = {found.end() for found in re.finditer(r"(?s)\\.", text) if found[0][1] in "abnrt"}
    return {
        found.start() + 1 for found in re.finditer("[A-Za-z0-9](?=[A-Za-z0-9])", text)
    } - escaped


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


def test_what_a_quotation_stands_within_is_found_with_it():
    pages = lay_out([document("a", "wait  30s, 2030 or 30"), document("b", "getValue()")])
    assert list(find_within(pages, "30")) == [
        (Span("a", 6, 8), Span("a", 6, 9)), (Span("a", 13, 15), Span("a", 11, 15))]  # fmt: skip
    assert list(find_within(pages, "Value")) == [(Span("b", 3, 8), Span("b", 0, 8))]
    assert list(find_within(pages, "ait 3")) == [(Span("a", 1, 7), Span("a", 0, 9))]
    assert list(find_within(pages, "31")) == []


def test_the_letter_of_an_escape_is_part_of_no_word():
    """`\\n` in source code is the end of a line; `\\\\n` is a backslash and a word's n."""
    pages = lay_out([document("a", r'"usage: x\nsecond line\t10"'), document("b", r"C:\\new \d10")])
    assert list(find(pages, "second line")) == [Span("a", 11, 22)]
    assert list(find(pages, "10")) == [Span("a", 24, 26)]
    assert list(find(pages, r"usage: x\n")) == [Span("a", 1, 11)]
    assert list(find(pages, "ew")) == []


def test_nothing_is_found_over_the_border_of_two_documents():
    pages = lay_out([document("a", "one "), document("b", " two")])
    assert list(find(pages, "one two")) == []


def test_no_documents_have_no_places():
    assert list(find(lay_out([]), "x")) == []
