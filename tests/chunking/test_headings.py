"""Chunks by headings: never across one, and the path in what is embedded only."""

from __future__ import annotations

from pydoc_data.topics import topics

import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_document
from mox.chunking.headings import Headings
from mox.chunking.tokenizers import Bpe
from mox.errors import DataError, FieldError
from mox.types import Chunk, Document

MARKDOWN = (
    "# Compound statements\n\nThey contain others.\n\n"
    "## The with statement\n\nIt wraps a block.\n\n```\n# not a heading\n```\n\n"
    "# Simple statements\n\n## pass\n\nNothing happens.\n"
)


def cut(
    spec: Headings, text: str, tokenizer: Bpe, media_type: str = "text/markdown"
) -> list[Chunk]:
    return chunk_document(spec, Document("d", text, "", media_type), tokenizer)


def returned(chunk: Chunk, text: str) -> str:
    ((start, end),) = chunk.spans
    return text[start:end]


def test_the_path_is_embedded_and_not_returned(cl100k: Bpe) -> None:
    found = cut(Headings(size=60), MARKDOWN, cl100k)
    sections = [
        "# Compound statements\n\nThey contain others.",
        "## The with statement\n\nIt wraps a block.\n\n```\n# not a heading\n```",
        "# Simple statements\n\n## pass\n\nNothing happens.",
    ]
    assert [returned(chunk, MARKDOWN) for chunk in found] == sections
    assert [chunk.text for chunk in found] == [
        sections[0],
        f"Compound statements\n\n{sections[1]}",
        sections[2],
    ]


def test_without_path_what_is_returned_is_embedded(cl100k: Bpe) -> None:
    found = cut(Headings(size=60, path=False), MARKDOWN, cl100k)
    assert len(found) == 3
    assert all(chunk.text == returned(chunk, MARKDOWN) for chunk in found)


def test_a_long_section_is_cut_and_each_part_has_the_path_once(cl100k: Bpe) -> None:
    text = "# Top\n\n## Sub\n\n" + "A sentence of the section. " * 40 + "\n\n### Deep\n\nEnd.\n"
    first, *rest, last = cut(Headings(size=32), text, cl100k)
    assert len(rest) > 4
    assert first.text.startswith("# Top\n\n## Sub\n\nA sentence")
    assert all(chunk.text == "Top > Sub\n\n" + returned(chunk, text) for chunk in rest)
    assert last.text == "Top > Sub\n\n### Deep\n\nEnd."
    found = [first, *rest, last]
    assert max(cl100k.count(chunk.text) for chunk in found) <= 32


def test_a_path_over_half_the_size_loses_its_outer_parts(cl100k: Bpe) -> None:
    above = "# Outermost heading of all\n\nA.\n\n## The middle one\n\nB.\n\n"
    text = above + "### Inner\n\n" + "Words of a text that goes on. " * 8

    def paths(size: int) -> set[str]:
        parts = cut(Headings(size=size), text, cl100k)[3:]
        return {chunk.text.removesuffix(returned(chunk, text)) for chunk in parts}

    # Tokens of the three paths with their line ends, by tiktoken: 12, 6 and 2.
    assert paths(24) == {"Outermost heading of all > The middle one > Inner\n\n"}
    assert paths(23) == {"The middle one > Inner\n\n"}
    assert paths(16) == {"The middle one > Inner\n\n"}


def test_no_title_of_a_heading_that_is_cut_is_put_before_itself(cl100k: Bpe) -> None:
    text = "# Outermost heading of all\n\n## The middle one\n\n### Inner\n\nText.\n"
    assert [chunk.text for chunk in cut(Headings(size=16), text, cl100k)] == [
        "# Outermost heading of all",
        "Outermost heading of all\n\n## The middle one\n\n### Inner\n\nText.",
    ]
    assert [chunk.text for chunk in cut(Headings(size=24), text, cl100k)] == [text.strip()]


def test_a_title_over_half_the_size_is_not_put_before_its_text(cl100k: Bpe) -> None:
    text = "# Considerations of internationalisation, and of quite some other things\n\nText.\n"
    found = cut(Headings(size=16), text, cl100k)
    assert all(chunk.text == returned(chunk, text) for chunk in found)


def test_a_heading_stays_with_the_text_below_it(cl100k: Bpe) -> None:
    """Though the first paragraph doesn't fit beside it: the paragraph is cut, not they two."""
    for path in (True, False):
        text = "# The title\n\n" + "A sentence of the section. " * 8 + "\n\nAnother paragraph."
        found = cut(Headings(size=32, path=path), text, cl100k)
        assert returned(found[0], text).startswith("# The title\n\nA sentence of")
        assert max(cl100k.count(chunk.text) for chunk in found) <= 32


def test_tokens_that_the_seams_cost_are_taken_off_the_text(cl100k: Bpe) -> None:
    """`foobar` is one token by itself, and two after the indentation that it stands behind."""
    text = "T…\n===\n\n    " + " ".join(["foobar"] * 7)
    found = cut(Headings(size=20), text, cl100k)
    assert max(cl100k.count(chunk.text) for chunk in found) <= 20
    assert cl100k.count("    foobar") > cl100k.count("    ") + cl100k.count("foobar")


def test_a_heading_that_leaves_no_room_is_cut_like_text(cl100k: Bpe) -> None:
    text = "# " + "Very long title " * 20 + "\n\nA short text."
    found = cut(Headings(size=32), text, cl100k)
    assert max(cl100k.count(chunk.text) for chunk in found) <= 32
    assert returned(found[-1], text).endswith("A short text.")


def test_a_heading_without_any_text_is_a_chunk(cl100k: Bpe) -> None:
    assert [chunk.text for chunk in cut(Headings(), "# Alone\n\n", cl100k)] == ["# Alone"]


@pytest.mark.parametrize("size", [16, 20, 40, 200])
def test_no_chunk_of_a_real_reference_exceeds_its_size(size: int, cl100k: Bpe) -> None:
    text = topics["specialnames"][:40_000]
    found = cut(Headings(size=size), text, cl100k, "text/plain")
    assert max(cl100k.count(chunk.text) for chunk in found) <= size


def test_plain_text_and_restructured_text_are_read_by_underlines(cl100k: Bpe) -> None:
    text = "Title\n*****\n\nText.\n\n# no heading here\n\nSub\n===\n\nMore.\n"
    for media_type in ("text/plain", "text/x-rst", "Text/Plain; charset=utf-8"):
        found = cut(Headings(size=60), text, cl100k, media_type)
        assert [chunk.text for chunk in found] == [
            "Title\n*****\n\nText.\n\n# no heading here", "Title\n\nSub\n===\n\nMore.",
        ]  # fmt: skip


def test_an_indented_heading_is_not_repeated_either(cl100k: Bpe) -> None:
    found = cut(Headings(), "# Top\n\nText.\n\n  ## Sub\n\nMore.\n", cl100k)
    assert [chunk.text for chunk in found] == ["# Top\n\nText.", "Top\n\n## Sub\n\nMore."]


def test_source_code_is_one_section(cl100k: Bpe) -> None:
    text = "Title = 1\n=========\n# no heading\n"
    assert [c.text for c in cut(Headings(), text, cl100k, "text/x-python")] == [text.strip()]


def test_no_chunk_of_the_python_reference_crosses_a_heading(cl100k: Bpe) -> None:
    """`with` has one title; `specialnames` has some 20 in three levels."""
    text = topics["specialnames"]
    found = cut(Headings(size=200), text, cl100k, "text/plain")
    paths = {chunk.text.partition("\n\n")[0] for chunk in found}
    assert "Special method names > Basic customization" in paths
    inner = "Special method names > Customizing attribute access > Implementing Descriptors"
    assert inner in paths
    for chunk in found:
        assert "\nImplementing Descriptors\n" not in returned(chunk, text)[1:]


def test_an_unknown_media_type_is_refused_by_name(cl100k: Bpe) -> None:
    with pytest.raises(DataError, match="'d', which is 'text/html'; they can in text/markdown"):
        cut(Headings(), "<h1>A</h1>", cl100k, "text/html")


def test_a_size_without_room_for_path_and_character_is_refused() -> None:
    with pytest.raises(FieldError, match=r"size = 15: .*greater than or equal to 16"):
        chunkers.parse({"kind": "headings", "size": 15})


@pytest.mark.parametrize("other", [{"size": 16}, {"path": False}])
def test_every_setting_changes_the_result(other: dict[str, int], cl100k: Bpe) -> None:
    made = [
        cut(Headings.model_validate({"size": 24} | part), MARKDOWN, cl100k) for part in ({}, other)
    ]
    assert made[0] != made[1]
