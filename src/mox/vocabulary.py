"""Byte-pair vocabularies of bpe-openai, without waiting for those that nobody asked for.

Importing the package reads three vocabularies line by line in Python: 0.4 to 0.7 CPU seconds in
each process, and each worker is a process. Its compiled part holds the vocabularies itself and
is loaded here without the package around it, in some 0.02; the bytes of tokens are read from
the package's table when they are asked for.
"""

from __future__ import annotations

import gzip
import importlib.util
import sys
from binascii import a2b_base64
from functools import cache, cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.registry import missing_package

if TYPE_CHECKING:
    from mox.types import Ints

_PACKAGE, _COMPILED = "bpe_openai", "bpe_openai._bindings"


class Vocabulary:
    """One vocabulary, by OpenAI's name. The names of special tokens are ordinary text.

    Raises:
        MissingError: bpe-openai isn't installed.
    """

    def __init__(self, name: str) -> None:
        folder = _folder()
        self._table = folder / "data" / f"{name}.tiktoken.gz"
        self._encode = _compiled(folder).tokenizer_for_encoding(name).encode

    def encode(self, text: str) -> list[int]:
        """A text's token ids: tiktoken's. Half of a surrogate pair counts as U+FFFD.

        Args:
            text: under 1,000,000 characters; more may exhaust the stack of the compiled part.
        """
        try:
            found: list[int] = self._encode(text)
        except UnicodeEncodeError:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            found = self._encode(whole)
        return found

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of each token, by id; special tokens are left out."""
        return [a2b_base64(line.partition(b" ")[0]) for line in self._lines().splitlines()]

    @cached_property
    def token_lengths(self) -> Ints:
        """(tokens,) read-only: how many bytes each token has, by id, without special tokens."""
        import numpy as np

        raw = np.frombuffer(self._lines(), dtype=np.uint8)
        spaces, ends = np.flatnonzero(raw == ord(" ")), np.flatnonzero(raw == ord("\n"))
        starts = np.concatenate([[0], ends[:-1] + 1])
        # Four characters of base64 are three bytes, but for the = that fill the last four.
        filled = (raw[spaces - 1] == ord("=")).astype(np.int32) + (raw[spaces - 2] == ord("="))
        lengths: Ints = ((spaces - starts) // 4 * 3 - filled).astype(np.int32)
        lengths.flags.writeable = False
        return lengths

    def _lines(self) -> bytes:
        """A line for each token: its bytes in base64, a space, its id."""
        return gzip.decompress(self._table.read_bytes())


@cache
def vocabulary(name: str) -> Vocabulary:
    """A vocabulary, opened once per process.

    Args:
        name: `cl100k_base` or `o200k_base`.

    Raises:
        MissingError: bpe-openai isn't installed.
    """
    return Vocabulary(name)


def _folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise missing_package("bpe-openai")
    return Path(found.submodule_search_locations[0])


def _compiled(folder: Path) -> Any:
    if _COMPILED in sys.modules:
        return sys.modules[_COMPILED]
    spec = PathFinder.find_spec(_COMPILED, [str(folder)])
    if spec is None or spec.loader is None:
        raise missing_package("bpe-openai")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The package finds it there, should another library import that.
    sys.modules[_COMPILED] = module
    return module
