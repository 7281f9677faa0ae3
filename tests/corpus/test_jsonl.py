"""JSON lines: each complaint names its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mox.corpus.jsonl import Row, read_rows
from mox.errors import DataError


def refused(path: Path, line: int, what: str):
    return pytest.raises(DataError, match=re.escape(f"{path}:{line}: ") + what)


def test_blank_lines_and_carriage_returns_are_skipped_and_counted(write):
    path = write("a.jsonl", ['{"a": 1}\r', "", "  \r", '{"a": 2}'])
    assert [(row.fields, row.place) for row in read_rows(path)] == [
        ({"a": 1}, f"{path}:1"),
        ({"a": 2}, f"{path}:4"),
    ]


def test_line_separators_inside_strings_end_no_line(write):
    path = write("a.jsonl", ['{"a": "x\u2028y\u0085z\u2029"}', '{"a": 1}'])
    assert [row.fields["a"] for row in read_rows(path)] == ["x\u2028y\u0085z\u2029", 1]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"a": }', r"not JSON \(Expecting value, column 7\)"),
        ('{"a": 1} {"b": 2}', r"not JSON \(Extra data"),
        ("[1]", "a list, not an object"),
        ("null", "null, not an object"),
        ('{"a": 1, "a": 2}', "the field `a` stands twice"),
        ('{"a": {"b": 1, "b": 1}}', "the field `b` stands twice"),
        (r'{"a": "\ud800"}', "half a character"),
        (r'{"a": {"b": ["x", "\uDC00\uD800"]}}', "half a character"),
        (r'{"\udfff": 1}', "half a character"),
        ("[" * 100_000, "maximum recursion depth"),
        ('{"a": ' + "1" * 5_000 + "}", "Exceeds the limit"),
    ],
)
def test_a_bad_line_is_named(write, line, what):
    path = write("a.jsonl", [{"a": 0}, line])
    with refused(path, 2, what):
        list(read_rows(path))


def test_escaped_pairs_are_one_character(write):
    path = write("a.jsonl", [r'{"a": "\ud83d\ude00"}'])
    assert [row.fields["a"] for row in read_rows(path)] == ["\U0001f600"]


@pytest.mark.parametrize(
    ("value", "kind", "what"),
    [
        (1, str, r"`a` is an integer \('1'\), not a string"),
        ("1", int, "`a` is a string .*, not an integer"),
        (True, int, "`a` is true or false .*, not an integer"),
        (1.0, int, "`a` is a number .*, not an integer"),
        ({}, list, "`a` is an object .*, not a list"),
        (None, str, "`a` is null .*, not a string"),
    ],
)
def test_a_field_of_another_type_is_named(value: Any, kind: Any, what: str):
    with pytest.raises(DataError, match="f:7: " + what):
        Row({"a": value}, "f:7").need("a", kind)


def test_a_field_may_be_absent_or_null_only_where_it_need_not_be_there():
    row = Row({"a": None}, "f:7")
    assert row.get("a", str) is None
    assert row.get("b", str) is None
    with pytest.raises(DataError, match="f:7: no field `b`"):
        row.need("b", str)


@pytest.mark.parametrize("text", ["", " \n\t\u3000"])
def test_white_space_says_nothing(text):
    with pytest.raises(DataError, match="f:7: `a` has no text"):
        Row({"a": text}, "f:7").words("a")


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="f:7: unknown field `evidense`, did you mean 'evidence'"):
        Row({"id": "1", "evidense": []}, "f:7").closed(("id", "evidence"))
