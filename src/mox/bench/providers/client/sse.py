"""Server-sent events out of what the network brought, with the moment at which each was whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
"""A line's end and an empty line: \\n\\n, \\r\\n\\r\\n, and what else the standard takes."""
_LINE = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event."""

    at_ns: int
    """When the read came that held its last byte; events of one read share it."""
    name: str
    data: bytes


def events(times: Sequence[int], parts: Sequence[bytes]) -> Iterator[Event]:
    """The events of a body, however the network cut it.

    Comments and events without data are left out, and so are bytes behind the last event: by the
    standard an event that an empty line doesn't end is none.

    Args:
        times: when each part came, as many as there are parts.
        parts: what came, none of them empty.

    Source: the HTML standard, § 9.2.6.
    """
    body = b"".join(parts)
    start = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    at, reached = 0, len(parts[0]) if parts else 0
    for found in EVENT_END.finditer(body):
        end = found.end()
        while reached < end:
            at += 1
            reached += len(parts[at])
        name, data = _fields(body[start : found.start()])
        start = end
        if data is not None:
            yield Event(times[at], name, data)


def _fields(block: bytes) -> tuple[str, bytes | None]:
    """Name and data of one event; data is None where it has none."""
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return "", block[6:]  # nearly all there are
    name, data = "", []
    for line in _LINE.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    return name, b"\n".join(data) if data else None
