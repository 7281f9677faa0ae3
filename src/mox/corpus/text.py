"""Plain text files to text: UTF-8 alone, newlines as they stand."""

from __future__ import annotations

import codecs
from pathlib import Path

from mox.errors import DataError, MissingError

_OTHERS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def read_text(path: Path) -> str:
    """A file's text. Newlines stay as they are, since offsets count them.

    A byte order mark at the start is dropped: it says how the file is written and is no
    part of what it says. NUL is a character like others.

    Raises:
        MissingError: no such file.
        DataError: not UTF-8 (names line and byte), or not readable.
    """
    return decoded(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        MissingError: no such file.
        DataError: not readable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingError(
            f"{path}: no such file.", mend="check the path, or put the file there."
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}).", mend="name a file that you may read."
        ) from error


def decoded(raw: bytes, path: Path) -> str:
    """The text of a file's bytes, as `read_text` has it.

    Raises:
        DataError: not UTF-8; names line and byte.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        like = _OTHERS.get(raw[:2])
        raise DataError(
            f"{path}:{line}: not UTF-8 at byte {error.start}"
            f" (0x{raw[error.start]:02x}: {error.reason}).",
            mend=f"save the file as UTF-8{f'; it looks like {like}' if like else ''}.",
        ) from None
    return text.removeprefix("\ufeff")


def refuse_surrogates(text: str, place: str) -> None:
    """Refuse half characters, which JSON escapes can bring and UTF-8 cannot hold.

    Raises:
        DataError: names the place and the half character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place}: half a character (\\u{ord(text[error.start]):04x} without its other half).",
            mend="write the whole surrogate pair, or the character itself.",
        ) from None


def shown(text: str, *, width: int = 48) -> str:
    """A text as a message quotes it: on one line, cut to `width` characters."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")
