"""Answers as rows of text, and where they lie on this machine: a file each in the state folder.

A file is renamed into place whole. What a power failure cuts short, or somebody edits, is told by
its checksum, counts as not there, and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from mox.errors import MemoWarning
from mox.types.providers import Answer, Timings, Usage

SCHEMA = 1
_FIELDS = ("text", "reasoning", "model", "finish", "request_id", "simulated")
_TOKENS = tuple(Usage.__slots__)


def row_of(answer: Answer) -> bytes:
    """An answer as JSON with its checksum; its timings and its account's standing are left out."""
    said: dict[str, Any] = {name: getattr(answer, name) for name in _FIELDS}
    said["usage"] = {name: getattr(answer.usage, name) for name in _TOKENS}
    return json.dumps({"schema": SCHEMA, "sha256": _sum(said), "answer": said}).encode()


def read_row(raw: bytes) -> Answer | None:
    """The answer of a row; None where the row isn't what was written."""
    try:
        row = json.loads(raw)
        said = row["answer"]
        if row["schema"] != SCHEMA or row["sha256"] != _sum(said):
            return None
        usage = Usage(**{name: int(said["usage"][name]) for name in _TOKENS})
        fields: dict[str, Any] = {name: said[name] for name in _FIELDS}
        return Answer(**fields, usage=usage, timings=Timings(sent=0))
    except (ValueError, KeyError, TypeError):
        return None


def _sum(said: object) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class LocalAnswers:
    """Rows by key in a folder. Safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said = False

    def get(self, key: str) -> bytes | None:
        """A row's bytes, whatever they are; None where there is none."""
        try:
            return self._file(key).read_bytes()
        except OSError:
            return None

    def put(self, key: str, raw: bytes) -> None:
        """Write a row, in place of an older one; a disk that takes none is said once."""
        temporary = self.folder / f"{key}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(raw)
            temporary.rename(self._file(key))
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if not self._said:
                self._said = True
                warnings.warn(
                    f"answers can't be remembered in {self.folder} ({error.strerror}): they will"
                    " be paid again. Free some space, or make MOX_HOME writable.",
                    MemoWarning,
                    stacklevel=2,
                )

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"
