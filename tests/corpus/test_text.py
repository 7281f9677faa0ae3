"""Reading text: strictly UTF-8, and nothing moved."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mox.corpus.text import read_text, refuse_surrogates, shown
from mox.errors import DataError, MissingError


def test_newlines_and_nul_stay_as_they_stand(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\rc\nd\x00e")
    assert read_text(path) == "a\r\nb\rc\nd\x00e"


def test_a_byte_order_mark_is_dropped_at_the_start_alone(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\xef\xbb\xbfb")
    assert read_text(path) == "a\ufeffb"


def test_other_encodings_are_refused_with_line_and_byte(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes("one\ntwo caf\u00e9\n".encode("latin-1"))
    # "one\n" is 4 bytes, "two caf" 7 more: the é is byte 11, in line 2.
    with pytest.raises(DataError, match=re.escape(f"{path}:2: not UTF-8 at byte 11 (0xe9")):
        read_text(path)


def test_utf16_is_recognised(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("hello", encoding="utf-16")
    with pytest.raises(DataError, match="looks like UTF-16"):
        read_text(path)


def test_surrogates_in_utf8_bytes_are_refused(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xed\xa0\x80")
    with pytest.raises(DataError, match="not UTF-8 at byte 0"):
        read_text(path)


def test_an_absent_file_is_missing(tmp_path: Path):
    with pytest.raises(MissingError, match=r"nothing\.txt: no such file"):
        read_text(tmp_path / "nothing.txt")


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path)


def test_half_a_character_is_named():
    with pytest.raises(DataError, match=r"x:3: half a character \(\\ud83d"):
        refuse_surrogates("a\ud83d", "x:3")
    refuse_surrogates("a\U0001f600", "x:3")


def test_long_texts_are_cut_in_messages():
    assert shown("a\nb") == r"'a\nb'"
    assert shown("x" * 49) == "'" + "x" * 47 + "…'"
