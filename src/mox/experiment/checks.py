"""What is refused anywhere in an experiment: no mapping where one is meant, an unknown field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.errors import SpecError
from mox.registry import nearest
from mox.source import Path_, Source


def mapping(source: Source, path: Path_, value: Any) -> Mapping[str, Any]:
    """A value that is a mapping.

    Raises:
        SpecError: it is none; names the line.
    """
    if not isinstance(value, Mapping):
        name = ".".join(str(part) for part in path)
        raise source.error(
            path, SpecError(f"{name} = {value!r} is no mapping.", mend=f"write `{name}: {{…}}`.")
        )
    return value


def only(source: Source, path: Path_, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that aren't known.

    Raises:
        SpecError: the first unknown one, with the nearest known; names the line.
    """
    for key in value:
        if key not in known:
            place = ".".join((*map(str, path), key))
            raise source.error(
                (*path, key),
                SpecError(
                    f"unknown field {place!r}{nearest(key, known)}.",
                    mend=f"use one of {', '.join(known)}.",
                ),
            )
