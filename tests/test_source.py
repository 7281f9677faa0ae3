"""Experiment files: YAML 1.2, places in errors, changes by dotted path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.errors import DataError, MissingError, SpecError
from mox.source import Source, override, parse_value, read

names = st.text("abcdefgh", min_size=1, max_size=4)
trees = st.recursive(
    st.integers() | st.booleans() | st.text("xyz 1-", max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(names, parts, max_size=3),
    max_leaves=8,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "e.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_is_1_2(tmp_path: Path) -> None:
    source = read(write(tmp_path, "a: no\nb: 1e-3\nc: 010\nd: yes\n"))
    assert source.settings == {"a": "no", "b": 1e-3, "c": 10, "d": "yes"}


def test_a_duplicate_key_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"e\.yaml:3: found duplicate key"):
        read(write(tmp_path, "a: 1\nb: 2\na: 3\n"))


def test_a_directive_that_changes_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="%YAML"):
        read(write(tmp_path, "%YAML 1.1\n---\na: no\n"))


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(DataError, match=r"e\.yaml:2: not UTF-8 \(byte 8\)"):
        read(path)


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"e\.yaml:2: not YAML"):
        read(write(tmp_path, "a: 1\nb: *nowhere\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such file"):
        read(tmp_path / "none.yaml")


def test_places_are_lines_in_flow_and_block_style(tmp_path: Path) -> None:
    source = read(write(tmp_path, "a:\n  - {k: 1}\n  - k: 2\n    m: 3\n"))
    assert source.where(("a", 0, "k")).endswith("e.yaml:2")
    assert source.where(("a", 1, "m")).endswith("e.yaml:4")
    assert source.where(("a", 1, "gone")).endswith("e.yaml:3")


def test_a_mapping_has_dotted_places() -> None:
    assert Source({}).where(("axes", "search", 0, "ef")) == "axes.search.0.ef"


@given(trees)
def test_reading_what_was_written_gives_it_back(tree: object) -> None:
    import json

    assert parse_value(json.dumps(tree)) == tree


def test_changes_reach_lists_and_new_sections() -> None:
    source = Source({"axes": {"search": [{"k": 5}]}})
    changed = override(source, {"axes.search.0.k": 20, "questions.limit": 3})
    assert changed.settings == {"axes": {"search": [{"k": 20}]}, "questions": {"limit": 3}}
    assert source.settings == {"axes": {"search": [{"k": 5}]}}


def test_a_change_past_a_lists_end_is_refused() -> None:
    with pytest.raises(SpecError, match="is a list of 1"):
        override(Source({"a": [1]}), {"a.3": 2})
