"""Chunks don't move unseen: results are stored by version, and a stale one would be served.

A digest that changes on purpose takes the `version` in that chunker's fingerprint up with it.
"""

from __future__ import annotations

import hashlib

import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.chunking.fixed import Fixed
from mox.chunking.headings import Headings
from mox.chunking.recursive import Recursive
from mox.chunking.sentences import Sentences
from mox.chunking.tokenizers import Bpe
from mox.chunking.whole import Whole
from mox.spec import Spec
from mox.types import ChunkTable, Document

DOCUMENTS = [
    Document(
        "guide",
        "# Keeping bees\n\nA hive needs water, shade and a hand that doesn't hurry.\r\n\r\n"
        "## In spring\n\nLook at the stores on the first warm day. Feed if they are light; "
        "a colony that starves in April starves beside flowers \U0001f41d\u200d\u2728.\n\n"
        "```\n# frames to keep\nframes = 10\n```\n\n## In autumn\n\n### Mites\n\n"
        "Treat after the last harvest. Naïve keepers wait; 檢查蜂巢, then act.\n",
        "",
        "text/markdown",
    ),
    Document(
        "notes",
        "Notes\n*****\n\nOne line.\n\nWinter\n======\n\n" + "Leave them be. " * 12 + "\n",
        "",
        "text/plain",
    ),
]


def digest(table: ChunkTable) -> str:
    state = hashlib.sha256()
    for column in (table.document, table.first, table.start, table.end):
        state.update(column.astype("<i4").tobytes())
    state.update("\x00".join([*table.documents, *table.texts]).encode())
    return state.hexdigest()[:16]


GOLDEN = [
    (Fixed(size=16), "1", "12d5dc055dc345f2"),
    (Fixed(size=16, overlap=5), "1", "3157d2fb12abe7a1"),
    (Recursive(size=16), "1", "605c0b5f50bb43f6"),
    (Recursive(size=16, overlap=5), "1", "8e769954f0b0e903"),
    (Sentences(size=16), "1", "9b675a03a86d1fc0"),
    (Sentences(size=24, overlap=12), "1", "6fdd541bf93e6e36"),
    (Headings(size=24), "2", "504c02c7f5839108"),
    (Headings(size=24, path=False), "2", "75794a101d4da363"),
    (Whole(), "1", "8edd9f863f22b694"),
]


@pytest.mark.parametrize(
    ("spec", "version", "expected"), GOLDEN, ids=lambda v: getattr(v, "kind", "")
)
def test_the_same_version_cuts_the_same_chunks(
    spec: Spec, version: str, expected: str, cl100k: Bpe
) -> None:
    assert chunkers.fingerprint(spec)["version"] == version
    assert digest(chunk_corpus(spec, DOCUMENTS, cl100k)) == expected, (
        f"{spec.kind} cuts otherwise than before: take the version in its fingerprint up,"
        " and then renew this digest"
    )


def test_fingerprints_name_the_libraries_that_cut() -> None:
    named = {
        kind: set(chunkers.fingerprint(chunkers.parse({"kind": kind})))
        for kind in ("fixed", "recursive", "sentences", "headings", "whole")
    }
    assert named == {
        "fixed": {"version", "bpe-openai"},
        "recursive": {"version", "bpe-openai", "semchunk"},
        "sentences": {"version", "bpe-openai", "semchunk", "nupunkt"},
        "headings": {"version", "bpe-openai", "semchunk", "markdown-it-py"},
        "whole": {"version"},
    }
