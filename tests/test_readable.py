"""The JSON that is printed and kept: strict, and a line for each trial."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.spec import readable

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)  # fmt: skip


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), plain, max_size=4))
def test_it_reads_back_as_it_was(value):
    assert json.loads(readable(value)) == value


def test_fields_and_items_have_a_line_each():
    text = readable({"name": "é", "trials": [{"a": [1, 2]}, {"b": {}}], "none": []})
    assert text.splitlines() == [
        "{",
        ' "name": "é",',
        ' "trials": [',
        '  {"a": [1, 2]},',
        '  {"b": {}}',
        " ],",
        ' "none": []',
        "}",
    ]


def test_what_json_has_not_got_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        readable({"mean": float("nan")})
