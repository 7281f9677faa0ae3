"""Removing what nothing keeps: artifacts, and collections of this store only.

Nothing is written on the way, so that a full disk doesn't stop what is to free it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mox.errors import EngineError, MissingError, SpecError, StoreError
from mox.indexes import indexes
from mox.indexes.held import Collection, drop
from mox.pipeline.context import index_spec, place_of
from mox.pipeline.disk import remove_tree, unremovable
from mox.pipeline.running import collecting
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.results import run as records
from mox.results.collect.garbage import Lost, Standing, Survey, survey
from mox.results.collect.swept import Swept
from mox.results.shelf import size_of
from mox.settings import Settings

__all__ = ["Standing", "Swept", "sweep"]

BUSY = "another process writes it"
_AWAY = (EngineError, MissingError, SpecError)
"""What keeps one collection from being removed and nothing else."""


def sweep(
    store: Store,
    settings: Settings,
    *,
    dry: bool,
    releases: Sequence[Standing] = (),
    forget: Sequence[str] = (),
    force: bool = False,
) -> Swept:
    """Remove artifacts that no run, release or sweep reaches, their collections, and leftovers.

    Each artifact goes at once or not at all, those that stand on others first: killed at any
    place, or refused by the system, what is left is whole, and the next call goes on.

    Args:
        dry: only look.
        releases: those that keep what they stand on.
        forget: runs whose records are taken away first, by id or the first letters of one.
        force: also where a release names the run.

    Raises:
        MissingError: no such run to forget.
        SpecError: it can't be forgotten.
        StoreError: a record can't be read, or the system doesn't let something be removed.
    """
    if dry:
        found = survey(store, settings, releases=releases, forget=forget, force=force)
        return Swept(found, dry=True)
    with collecting(store, wait_s=1.0):
        found = survey(store, settings, releases=releases, forget=forget, force=force)
        return _Sweeper(store, settings, found).run()


@dataclass
class _Sweeper:
    """Removes what a survey found, and counts."""

    store: Store
    settings: Settings
    found: Survey
    freed_bytes: int = 0
    removed: int = 0

    def run(self) -> Swept:
        found = self.found
        refused: dict[str, str] = {}
        try:
            for run in found.forgotten:
                records.forget(self.store, run)
            for lost in found.lost:
                if said := self._artifact(lost):
                    refused["/".join(lost.ref)] = said
            for orphan in found.orphans:
                if said := self._orphan(orphan):
                    refused[orphan.name] = said
            for path in (*found.leftovers, *found.cut_off):
                size = size_of(path)
                remove_tree(path)
                self.freed_bytes += size
        except StoreError as error:
            done = f"{self.removed} of {len(found.lost)} artifacts were removed before it"
            raise StoreError(
                f"{error.message.removesuffix('.')}; {done}, {self.freed_bytes / 1e6:.1f} MB.",
                mend=error.mend,
            ) from None
        return Swept(found, dry=False, refused=refused, freed_bytes=self.freed_bytes)

    def _artifact(self, lost: Lost) -> str:
        """Remove an artifact with its collection; or why it stays, where that stops no other."""
        try:
            with self.store.lock(lost.ref.key, wait_s=0):
                if lost.ref.kind == "build":
                    self._drop(lost.ref)
                self.store.remove(*lost.ref)
        except TimeoutError:
            return BUSY
        except _AWAY as error:
            return error.message
        except OSError as error:
            raise unremovable(self.store.folder(*lost.ref), error) from None
        self.removed += 1
        self.freed_bytes += lost.bytes
        return ""

    def _drop(self, build: Ref) -> None:
        """Remove a build's collection from the engine that it was made in."""
        note = self.store.look(*build)
        if note is None:
            return  # whose it was isn't known; its collection is an orphan to the next call
        spec = index_spec(note["spec"]["of"])
        place = place_of(self.store, self.settings, build, spec)
        made_by = note.get("fingerprint", {})
        engine = made_by.get("engine")
        if engine == "milvus-lite" or "wheel" in made_by:
            place = replace(place, uri=None)
        elif engine == "postgresql" and place.uri is None:
            raise EngineError(
                "its table is on a PostgreSQL server, and MOX_POSTGRES_URI isn't set.",
                mend="set it, and collect again.",
            )
        elif engine == "milvus" and place.uri is None:
            raise EngineError(
                "its collection is on a Milvus server, and MOX_MILVUS_URI isn't set.",
                mend="set it, or run `mox up milvus` if that had started it, and collect again.",
            )
        indexes[spec].drop(place)

    def _orphan(self, orphan: Collection) -> str:
        try:
            drop(orphan, self.settings.milvus_uri)
        except _AWAY as error:
            return error.message
        except OSError as error:
            raise unremovable(orphan.path or Path(orphan.name), error) from None
        self.freed_bytes += orphan.size_bytes
        return ""
