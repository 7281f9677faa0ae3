"""A chunk per line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mox.chunking import chunkers
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer


class Lines(Spec):
    """One chunk per `group` lines."""

    kind: Literal["toy-lines"] = "toy-lines"
    group: int = 1
    """Lines a chunk."""


@chunkers.register(Lines, fingerprint=lambda _: versions("mox-toy"), size=lambda _: None)
def lines(spec: Lines, document: Document, _: Tokenizer) -> Iterator[Chunk]:
    """Cut after every `group` line ends."""
    parts = document.text.splitlines(keepends=True)
    start = 0
    for at in range(0, len(parts), spec.group):
        text = "".join(parts[at : at + spec.group])
        if text.strip():
            yield Chunk(document.id, ((start, start + len(text)),), text)
        start += len(text)
