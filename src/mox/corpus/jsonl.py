"""JSON lines: one object a line, and every complaint names the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mox.corpus.text import read_text, refuse_surrogates, shown
from mox.errors import DataError
from mox.registry import nearest

T = TypeVar("T", str, int, list[Any], dict[str, Any])

_NAMES = {
    str: "a string", int: "an integer", float: "a number", bool: "true or false",
    list: "a list", dict: "an object", type(None): "null",
}  # fmt: skip
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a JSON lines file, and where it stands (`file:line`)."""

    fields: Mapping[str, Any]
    place: str

    def get(self, name: str, kind: type[T]) -> T | None:
        """A field of a type, or None where it is missing or null.

        Raises:
            DataError: it has another type.
        """
        value = self.fields.get(name)
        return None if value is None else typed(value, kind, self.place, f"`{name}`")

    def need(self, name: str, kind: type[T]) -> T:
        """A field that must be there.

        Raises:
            DataError: it is missing, or has another type.
        """
        if name not in self.fields:
            raise DataError(f"{self.place}: no field `{name}`.", mend=f"add `{name}`.")
        return typed(self.fields[name], kind, self.place, f"`{name}`")

    def words(self, name: str) -> str:
        """A string field that must be there and say something.

        Raises:
            DataError: it is missing, no string, or nothing but white space.
        """
        text = self.need(name, str)
        if not text or text.isspace():
            raise DataError(
                f"{self.place}: `{name}` has no text.", mend="write its text, or drop the line."
            )
        return text

    def closed(self, known: tuple[str, ...]) -> None:
        """Refuse fields that nothing reads, since a misspelt one would be lost.

        Raises:
            DataError: names the field and the nearest valid one.
        """
        for name in self.fields:
            if name not in known:
                raise DataError(
                    f"{self.place}: unknown field `{name}`{nearest(name, known)}.",
                    mend=f"use one of {', '.join(known)}.",
                )


def typed(value: Any, kind: type[T], place: str, what: str) -> T:
    """The value, if JSON gave it that type; `true` is no integer.

    Raises:
        DataError: names the place, what it is and what it should be.
    """
    if type(value) is kind:
        return value
    raise DataError(
        f"{place}: {what} is {_NAMES[type(value)]} ({shown(json.dumps(value))}),"
        f" not {_NAMES[kind]}.",
        mend=f"write {what} as {_NAMES[kind]}.",
    )


def read_rows(path: Path) -> Iterator[Row]:
    """The objects of a file in order; blank lines are skipped.

    Raises:
        MissingError: no such file.
        DataError: not UTF-8, not one JSON object a line, a key twice, or half a character.
    """
    # Not splitlines: JSON strings may hold U+2028 and others that it takes for line ends.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or line.isspace():
            continue
        place = f"{path}:{number}"
        value = _parse(line, place)
        if type(value) is not dict:
            raise DataError(
                f"{place}: {_NAMES[type(value)]}, not an object.",
                mend="write one JSON object a line, in braces.",
            )
        if "\\u" in line and _SURROGATE.search(line):
            refuse_surrogates(json.dumps(value, ensure_ascii=False), place)
        yield Row(value, place)


def claim(id_: str, row: Row, seen: dict[str, str], what: str) -> str:
    """Note in `seen` where an id stands, and hand it back.

    Raises:
        DataError: it stands twice (names both lines), or is empty.
    """
    if not id_ or id_.isspace():
        raise DataError(f"{row.place}: an empty {what} id.", mend=f"give each {what} an id.")
    if id_ in seen:
        raise DataError(
            f"{row.place}: the {what} id {shown(id_)} stands at {seen[id_]} already.",
            mend="give one of the two another id, or drop it.",
        )
    seen[id_] = row.place
    return id_


def _parse(line: str, place: str) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place}: not JSON ({error.msg}, column {error.colno}).",
            mend="write one JSON object a line.",
        ) from None
    except (ValueError, RecursionError) as error:
        # A key twice, an integer of thousands of digits, or brackets thousands deep.
        raise DataError(f"{place}: {error}.", mend="mend that line.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field `{twice}` stands twice")
    return found
