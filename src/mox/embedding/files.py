"""Where a package's files lie, and what is in them, without importing the package."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from mox.registry import missing_package

MODEL_FILES = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
"""Suffixes of the files that make a sentence transformer what it is."""


def package_folder(module: str, distribution: str, *, extra: str | None = None) -> Path:
    """The folder of an installed package, found without importing it.

    Raises:
        MissingError: it is not installed.
    """
    found = util.find_spec(module)
    if found is None or found.origin is None:
        raise missing_package(distribution, extra=extra)
    return Path(found.origin).parent


def installed(*distributions: str, extra: str) -> None:
    """Check that packages are installed, without importing them.

    Raises:
        MissingError: one is not.
    """
    for name in distributions:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise missing_package(name, extra=extra) from None


def read_json(path: Path) -> Any:
    """What a JSON file of a model says."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; read again only when its size or time has changed."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path, suffixes: frozenset[str]) -> str:
    """One SHA-256 over the names and contents of all files below a folder with these suffixes."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in suffixes and path.is_file():
            state.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return state.hexdigest()
