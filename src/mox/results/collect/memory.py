"""The memo: how large it is, and whose vectors it holds. It is shared, and `gc` keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.pipeline.memo import FOLDER, model_of, name_of
from mox.results.shelf import Shelf, size_of

ANSWERS = "answers"
"""What language models said (`mox.providers.remembered`): no vectors, and kept like them."""


@dataclass(frozen=True)
class Memory:
    """One embedder's vectors. `embedder` is empty where no stored artifact tells whose."""

    folder: str
    embedder: str
    vectors: int
    bytes: int


def memories(shelf: Shelf) -> tuple[Memory, ...]:
    """The store's memos, largest first."""
    names = _names(shelf)
    found = []
    for folder in (shelf.store.root / "memo").glob("*"):
        if folder.is_dir() and folder.name != ANSWERS:
            rows = sum(map(_rows, folder.glob("*.hash.npy")))
            found.append(Memory(folder.name, names.get(folder.name, ""), rows, size_of(folder)))
    return tuple(sorted(found, key=lambda one: -one.bytes))


def _rows(hashes: Path) -> int:
    """Texts of a segment; none where it is gone meanwhile, or damaged."""
    import numpy as np

    try:
        return len(np.load(hashes, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return 0


def _names(shelf: Shelf) -> dict[str, str]:
    """Folder → the embedder that its artifacts say that it is, its settings that differ."""
    specs: dict[str, Mapping[str, Any]] = {}
    for ref in shelf.held():
        note = shelf.note(ref) if ref.kind in ("embed", "queries") else None
        if note is not None and "fingerprint" in note:
            model = model_of(note["spec"]["of"], paid="paid_usd" in note["facts"])
            specs[name_of(model, note["fingerprint"])[:FOLDER]] = model
    return {name: _label(spec) for name, spec in specs.items()}


def _label(spec: Mapping[str, Any]) -> str:
    rest = (f"{name}={value}" for name, value in spec.items() if name != "kind")
    return " ".join([str(spec["kind"]), *rest])
