"""Chunkers that hang, crash or raise: what a sweep has to survive."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Literal

from mox.chunking import chunkers
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer


class Hang(Spec):
    """Never returns."""

    kind: Literal["toy-hang"] = "toy-hang"


class Crash(Spec):
    """Takes its process down."""

    kind: Literal["toy-crash"] = "toy-crash"


class Raise(Spec):
    """Raises what nobody foresaw."""

    kind: Literal["toy-raise"] = "toy-raise"


@chunkers.register(Hang, fingerprint=lambda _: versions("mox-toy"), size=lambda _: None)
def hang(_spec: Hang, _document: Document, _tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Sleep for an hour."""
    time.sleep(3600)
    yield from ()


@chunkers.register(Crash, fingerprint=lambda _: versions("mox-toy"), size=lambda _: None)
def crash(_spec: Crash, _document: Document, _tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Die by a segmentation fault, with the last words that the environment has for it."""
    sys.stderr.write(os.environ.get("TOY_SAYS", ""))
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
    yield from ()


@chunkers.register(Raise, fingerprint=lambda _: versions("mox-toy"), size=lambda _: None)
def fail(_spec: Raise, _document: Document, _tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Raise, in the words that the environment has for it."""
    raise ZeroDivisionError(os.environ.get("TOY_SAYS", "toy"))
    yield from ()
