"""Removing what no run reaches: artifacts, and collections of this store only."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.indexes import indexes
from mox.pipeline.context import index_spec, place_of
from mox.pipeline.stages import Ref
from mox.pipeline.store import DamagedError, Store
from mox.results.run import every
from mox.settings import Settings

LEFTOVER_S = 3600.0
"""A temporary name older than this is left over by a writer that was killed."""


@dataclass(frozen=True)
class Swept:
    """What was removed, or would be."""

    artifacts: tuple[Ref, ...]
    leftovers: tuple[Path, ...]
    freed_bytes: int
    kept: int
    runs: int
    dry: bool

    def document(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "dry_run": self.dry,
            "removed": [list(ref) for ref in self.artifacts],
            "leftovers": len(self.leftovers),
            "freed_bytes": self.freed_bytes,
            "kept": self.kept,
        }

    def text(self) -> str:
        verb = "would remove" if self.dry else "removed"
        by_kind: dict[str, int] = {}
        for ref in self.artifacts:
            by_kind[ref.kind] = by_kind.get(ref.kind, 0) + 1
        kinds = ", ".join(f"{n} {kind}" for kind, n in by_kind.items()) or "no artifact"
        return (
            f"{verb} {kinds} and {len(self.leftovers)} leftovers:"
            f" {self.freed_bytes / 1e6:.1f} MB. {self.kept} artifacts are kept, since one of the"
            f" {self.runs} runs of this store reaches them."
        )


def sweep(store: Store, settings: Settings, *, dry: bool) -> Swept:
    """Remove artifacts that no run of this store reaches, their collections, and leftovers."""
    runs = list(every(store))
    roots = {ref for run in runs for ref in (run.documents, run.questions)}
    roots |= {ref for run in runs for trial in run.trials for ref in trial.roles.values()}
    reached = _closure(store, roots)
    lost = [ref for kind, key in store.held() if (ref := Ref(kind, key)) not in reached]
    leftovers = list(_leftovers(store))
    freed = sum(_size(store.folder(*ref)) for ref in lost) + sum(map(_size, leftovers))
    if not dry:
        for ref in lost:
            if ref.kind == "build":
                _drop(store, settings, ref)
            store.remove(*ref)
        for path in leftovers:
            shutil.rmtree(path, ignore_errors=True)
    return Swept(tuple(lost), tuple(leftovers), freed, len(reached), len(runs), dry)


def _closure(store: Store, roots: Iterable[Ref]) -> set[Ref]:
    """What the roots stand on, as far as it is stored."""
    found: set[Ref] = set()
    wanted = [ref for ref in roots if store.has(*ref)]
    while wanted:
        ref = wanted.pop()
        if ref in found:
            continue
        found.add(ref)
        try:
            parts = store.sidecar(*ref)["inputs"].values()
        except DamagedError:
            continue
        wanted += [Ref(*part) for part in parts if store.has(*part)]
    return found


def _drop(store: Store, settings: Settings, build: Ref) -> None:
    spec = index_spec(store.sidecar(*build)["spec"]["of"])
    indexes[spec].drop(place_of(store, settings, build))


def _leftovers(store: Store) -> Iterable[Path]:
    for folder in (store.root / "artifacts").glob("*/.*"):
        if time.time() - folder.stat().st_mtime > LEFTOVER_S:
            yield folder


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
