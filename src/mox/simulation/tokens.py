"""Tokens of the simulated models: o200k, whatever they are called."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from mox.vocabulary import vocabulary

if TYPE_CHECKING:
    from mox.types.providers import Message

VOCABULARY = "o200k_base"
PER_MESSAGE = 3
"""Tokens of a message beside its text, and of the answer's beginning: as OpenAI counts them."""
SEGMENT = 50_000
"""Characters encoded at once: bpe-openai isn't made for 1,000,000."""
REMEMBERED = 1 << 13
"""Texts whose counts are kept: instructions and passages come again and again."""
COUNTED = 4096
"""Characters of the longest of them."""
REMEMBERED_IDS = 128
"""Texts whose tokens are kept: 12 MB of prompts of 10,000 tokens."""
BYTES_PER_TOKEN = array("I").itemsize


class Pieces(NamedTuple):
    """A text in pieces of whole characters, and how many tokens each is made of."""

    texts: list[str]
    tokens: list[int]


def count(text: str) -> int:
    """Tokens of a text."""
    return _count_remembered(text) if len(text) <= COUNTED else _count(text)


def count_messages(messages: Sequence[Message]) -> int:
    """Tokens that a conversation costs as input."""
    return PER_MESSAGE + sum(PER_MESSAGE + count(message.text) for message in messages)


def pieces(text: str) -> Pieces:
    """The text's tokens as text; a character that several tokens share is one piece of them."""
    texts: list[str] = []
    tokens: list[int] = []
    held, several = b"", 0
    token_bytes = vocabulary(VOCABULARY).token_bytes
    for token in _ids(text):
        held += token_bytes[token]
        several += 1
        try:
            texts.append(held.decode())
        except UnicodeDecodeError:
            continue
        tokens.append(several)
        held, several = b"", 0
    return Pieces(texts, tokens)


@lru_cache(REMEMBERED_IDS)
def encoded(text: str) -> bytes:
    """A text's token ids, `BYTES_PER_TOKEN` each."""
    return array("I", _ids(text)).tobytes()


def _count(text: str) -> int:
    return len(encoded(text)) // BYTES_PER_TOKEN


_count_remembered = lru_cache(REMEMBERED)(_count)


def _ids(text: str) -> list[int]:
    encode = vocabulary(VOCABULARY).encode
    if len(text) <= SEGMENT:
        return encode(text)
    starts = range(0, len(text), SEGMENT)
    return [token for start in starts for token in encode(text[start : start + SEGMENT])]
