"""A tokenizer, documents, and the corpora whose published figures chunkers are held to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mox.chunking.tokenizers import Bpe, open_tokenizer
from mox.types import Document


@pytest.fixture(scope="session")
def cl100k() -> Bpe:
    return open_tokenizer("cl100k")


@pytest.fixture(scope="session")
def chroma(shared_data: Path) -> list[Document]:
    """Three documents of 209 kB."""
    with (shared_data / "chroma" / "documents.jsonl").open(encoding="utf-8", newline="") as lines:
        return [Document(row["id"], row["text"], "") for row in map(json.loads, lines)]
