"""Where headings stand, by the two authorities: CommonMark's specification, and docutils."""

from __future__ import annotations

import pytest

from mox.chunking.structure import Heading, adorned_headings, markdown_headings, sections

# Level and title by docutils 0.23: its doctree's sections, for this very text.
DOCUTILS = {
    "levels in the order of their styles": (
        "A\n=\n\nx\n\nB\n-\n\ny\n\nC\n=\n\nz\n",
        [(1, "A"), (2, "B"), (1, "C")],
    ),
    "an overline is another style": (
        "====\nOver\n====\n\ntext\n\nUnder\n=====\n\nmore\n",
        [(1, "Over"), (2, "Under")],
    ),
    "an overlined title may be inset": ("====\n  In \n====\n\ntext\n", [(1, "In")]),
    "not the end of a paragraph": ("Para\nline\n====\n\nx\n", []),
    "a short underline of three": ("Long title here\n---\n\nx\n", []),
    "a short underline of four": ("Long title here\n----\n\nx\n", [(1, "Long title here")]),
    "a short title": ("Hi\n--\n\nx\n", [(1, "Hi")]),
    "a transition, then titles without blanks": (
        "a\n\n-----\n\nb\n\n\nC\n====\nD\n----\n\ntext",
        [(1, "C"), (2, "D")],
    ),
    "a list item": ("- item\n------\n\nx\n\nT\n===\n", [(1, "T")]),
    "a numbered title": ("1. Intro\n========\n\nx\n", [(1, "1. Intro")]),
    "wide characters": ("日本語\n======\n\nx\n\n日本語\n===\n\ny", [(1, "日本語")]),
    "wide characters over a short line": ("日本\n===\n\nx\n", []),
    "combining characters": ("e\u0301e\u0301\n==\n\nx\n", [(1, "e\u0301e\u0301")]),
    "a literal block": ("::\n\n   code\n   ====\n\nT\n===\n\nbody\n", [(1, "T")]),
    "a comment": (".. foo\n------\n\nT\n===\n\nb\n", [(1, "T")]),
    "a doctest": (">>> x\n=====\n\nT\n===\n\nb\n", [(1, "T")]),
    "a field": (":a: b\n-----\n\nT\n===\n\nb\n", [(1, "T")]),
    "a line block": ("| a\n----\n\nT\n===\n\nx", [(1, "T")]),
    "an overline without its underline": ("===\nab\n---\n\nT\n===\n", [(1, "T")]),
    "an overline shorter than its title": ("===\nlong over\n===\n\nx", []),
    "a table of two columns": (
        "=====  ====\na      b\n=====  ====\nx      y\n=====  ====\n\nU\n***\n",
        [(1, "U")],
    ),
    "a role": (":mod:`os` now\n=============\n\nx\n", [(1, ":mod:`os` now")]),
    "back up two levels": (
        "A\n===\n\nB\n---\n\nC\n~~~\n\nD\n---\n\nE\n===\n\nF\n---\n\nG\n~~~\n",
        [(1, "A"), (2, "B"), (3, "C"), (2, "D"), (1, "E"), (2, "F"), (3, "G")],
    ),
}


@pytest.mark.parametrize("case", DOCUTILS)
def test_underlined_titles_are_docutils(case: str) -> None:
    text, expected = DOCUTILS[case]
    assert [(found.level, found.title) for found in adorned_headings(text)] == expected


# Text, and level and title, of examples in CommonMark's specification 0.31.2, by their numbers.
COMMONMARK = {
    62: ("# foo\n## foo\n### foo", [(1, "foo"), (2, "foo"), (3, "foo")]),
    63: ("####### foo", []),
    64: ("#5 bolt\n\n#hashtag", []),
    65: ("\\## foo", []),
    66: ("# foo *bar* \\*baz\\*", [(1, "foo bar *baz*")]),
    68: (" ### foo\n  ## foo\n   # foo", [(3, "foo"), (2, "foo"), (1, "foo")]),
    69: ("    # foo", []),
    71: ("## foo ##\n  ###   bar    ###", [(2, "foo"), (3, "bar")]),
    78: ("Foo bar\n# baz\nBar foo", [(1, "baz")]),
    80: ("Foo *bar*\n=========\n\nFoo *bar*\n---------", [(1, "Foo bar"), (2, "Foo bar")]),
    81: ("Foo *bar\nbaz*\n====", [(1, "Foo bar baz")]),
    91: ("`Foo\n----\n`\n\n<a title=\"a lot\n---\nof dashes\"/>",
         [(2, "`Foo"), (2, '<a title="a lot')]),
    99: ("- Foo\n---", []),
}  # fmt: skip


@pytest.mark.parametrize("number", COMMONMARK)
def test_markdowns_headings_are_commonmarks(number: int) -> None:
    text, expected = COMMONMARK[number]
    assert [(found.level, found.title) for found in markdown_headings(text)] == expected


@pytest.mark.parametrize("fence", ["```", "~~~~", "```python"])
def test_a_number_sign_in_a_code_fence_is_no_heading(fence: str) -> None:
    text = f"# Real\n\n{fence}\n# a comment\nT\n===\n{fence.rstrip('python')}\n\n# Also real\n"
    assert [found.title for found in markdown_headings(text)] == ["Real", "Also real"]


def test_titles_have_no_markup() -> None:
    text = "# A <b>bold</b> [move](/there) of `code`\n\n[named]: /x\n\n## ![alt][named]\n"
    assert [found.title for found in markdown_headings(text)] == ["A bold move of code", "alt"]


def test_headings_within_quotations_and_lists_are_their_contents() -> None:
    text = "> # quoted\n\n- # listed\n\n# Real\n"
    assert [found.title for found in markdown_headings(text)] == ["Real"]


def test_front_matter_holds_no_heading() -> None:
    """CommonMark takes `title: x` and the line under it for a heading."""
    text = "---\ntitle: x\n# a comment of YAML\n---\n\n# Real\n"
    assert [found.title for found in markdown_headings(text)] == ["Real"]
    assert [f.title for f in markdown_headings("---\n\n# Real\n\ntext: y\n---\n")] == [
        "Real",
        "text: y",
    ], "a rule at the beginning isn't front matter"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("read", [markdown_headings, adorned_headings])
def test_headings_have_exact_offsets_whatever_ends_a_line(read: object, end: str) -> None:
    assert callable(read)
    # U+2028 and form feed end no line, in either language as we read it.
    lines = ["Intro\u2028 \x0c text", "", "Title", "=====", "", "Text", "", "Other", "-----", ""]
    text = end.join(lines)
    found = list(read(text))
    assert [text[heading.start : heading.end] for heading in found] == [
        f"Title{end}====={end}",
        f"Other{end}-----{end}",
    ]


def test_sections_begin_at_headings_and_know_what_is_above_them() -> None:
    text = "before\n# A\na\n## B\nb\n# C\nc\n"
    found = [(text[s.start : s.end], s.path) for s in sections(text, markdown_headings(text))]
    assert found == [
        ("before\n", ()),
        ("# A\na\n", ("A",)),
        ("## B\nb\n", ("A", "B")),
        ("# C\nc\n", ("C",)),
    ]


def test_a_heading_without_text_stays_with_what_follows() -> None:
    text = "# A\n\n## B\nb\n### empty\n# C\nc\n## last\n"
    found = [(text[s.start : s.end], s.path) for s in sections(text, markdown_headings(text))]
    assert found == [
        ("# A\n\n## B\nb\n", ("A", "B")),
        ("### empty\n# C\nc\n", ("C",)),
        ("## last\n", ("C", "last")),
    ]


def test_a_skipped_level_is_no_level() -> None:
    headings = [Heading(0, 1, 1, "A"), Heading(2, 3, 4, "D"), Heading(4, 5, 3, "C")]
    assert [s.path for s in sections("AaDdCc", headings)] == [("A",), ("A", "D"), ("A", "C")]
