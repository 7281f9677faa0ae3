"""A corpus to a table of chunks: nothing that a chunker yields is believed unchecked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mox.chunking import chunkers
from mox.errors import DataError
from mox.registry import Entry
from mox.spec import Spec
from mox.types import Chunk, Chunker, ChunkTable, Document, Tokenizer

if TYPE_CHECKING:
    from mox.types import Ints


def size_of(spec: Spec) -> int | None:
    """The most tokens of a chunk, before anything is cut; None where it has no such number."""
    size = chunkers.entry(spec.kind).traits.get("size")
    return None if size is None else size(spec)


def chunk_corpus(
    spec: Spec,
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    tick: Callable[[], None] = lambda: None,
) -> ChunkTable:
    """Cut documents into one table, in tie order; `documents` of the table are all of them.

    Args:
        tick: called after each document.

    Raises:
        DataError: a chunk isn't what its chunker promises, or there is no chunk at all.
    """
    order = sorted(range(len(documents)), key=lambda i: documents[i].id, reverse=True)
    found: list[tuple[int, Chunk]] = []
    for i in order:
        found += ((i, chunk) for chunk in chunk_document(spec, documents[i], tokenizer))
        tick()
    if not found:
        raise DataError(
            f"{spec.kind} finds no chunk in {len(documents)} documents.",
            mend="give a corpus whose documents have text.",
        )
    spans = [chunk.spans for _, chunk in found]
    return ChunkTable(
        documents=tuple(document.id for document in documents),
        document=np.array([i for i, _ in found], dtype=np.int32),
        first=np.cumsum([0, *map(len, spans)], dtype=np.int32),
        start=np.array([start for row in spans for start, _ in row], dtype=np.int32),
        end=np.array([end for row in spans for _, end in row], dtype=np.int32),
        texts=tuple(chunk.text for _, chunk in found),
    )


def chunk_document(spec: Spec, document: Document, tokenizer: Tokenizer) -> list[Chunk]:
    """One document's chunks by start, then end; equal ones once, and none of white space only.

    Raises:
        DataError: one isn't what its chunker promises; names the document and the place.
    """
    entry = chunkers.entry(spec.kind)
    size = size_of(spec)
    kept: set[Chunk] = set()
    placeless = replace(document, uri="")  # no part of the fingerprint that chunks are stored by
    for chunk in entry.backend(spec, placeless, tokenizer):
        if fault := _fault(chunk, document, entry, size, tokenizer):
            raise DataError(
                f"{spec.kind} cut document {document.id!r} at {list(chunk.spans)}: {fault}.",
                mend=f"use another chunker, and report it to {entry.plugin or 'Mox'}.",
            )
        if not all(document.text[start:end].isspace() for start, end in chunk.spans):
            kept.add(chunk)
    return sorted(
        kept, key=lambda chunk: (chunk.spans[0][0], chunk.spans[-1][1], chunk.spans, chunk.text)
    )


def _fault(
    chunk: Chunk,
    document: Document,
    entry: Entry[Chunker],
    size: int | None,
    tokenizer: Tokenizer,
) -> str | None:
    """What is wrong with a chunk; None where nothing is."""
    if chunk.document != document.id:
        return f"it says that it is of document {chunk.document!r}"
    bounds = [bound for span in chunk.spans for bound in span]
    if not bounds:
        return "it has no span"
    if bounds[0] < 0 or bounds[-1] > len(document.text):
        return f"the text ends at {len(document.text)}"
    if any(start >= end for start, end in chunk.spans):
        return "a span is empty"
    if any(here > there for here, there in itertools.pairwise(bounds)):
        return "its spans overlap or are out of order"
    if not entry.traits.get("context") and chunk.text != "".join(
        document.text[start:end] for start, end in chunk.spans
    ):
        return "its text is not the document's at these offsets"
    if size is None:
        return None
    if entry.traits.get("counts", "text") == "document":
        tokens = _covered(chunk, tokenizer.ends(document.text))
    else:
        tokens = tokenizer.count(chunk.text)
    return None if tokens <= size else f"it has {tokens} tokens of {tokenizer.name}, over {size}"


def _covered(chunk: Chunk, ends: Ints) -> int:
    """How many of the document's tokens the spans of a chunk take.

    A token that ends where the one before it does brings no character, so it isn't needed.
    """
    first = np.searchsorted(ends, [start for start, _ in chunk.spans], side="right")
    last = np.searchsorted(ends, [end for _, end in chunk.spans], side="left")
    return int((last - first + 1).sum())
