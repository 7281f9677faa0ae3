"""What stands on what in a store: sidecars, read once and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mox.pipeline.stages import VERSIONS, Ref, key_of
from mox.pipeline.store import Store
from mox.results.run import Run, TrialRun

Note = Mapping[str, Any]


class Shelf:
    """The sidecars of a store's whole artifacts. Reading removes nothing, damaged or not."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._notes: dict[Ref, Note | None] = {}

    def note(self, ref: Ref) -> Note | None:
        """What is noted beside an artifact; None where it isn't stored whole."""
        if ref not in self._notes:
            self._notes[ref] = self.store.look(*ref)
        return self._notes[ref]

    def inputs(self, ref: Ref) -> dict[str, Ref]:
        """What an artifact was made from, by role; nothing where it isn't stored."""
        note = self.note(ref)
        return {role: Ref(*part) for role, part in (note or {}).get("inputs", {}).items()}

    def closure(self, roots: Iterable[Ref]) -> set[Ref]:
        """The roots that are stored, with all that they stand on, as far as it is stored."""
        found: set[Ref] = set()
        wanted = list(roots)
        while wanted:
            ref = wanted.pop()
            if ref not in found and self.note(ref) is not None:
                found.add(ref)
                wanted += self.inputs(ref).values()
        return found

    def held(self) -> Iterator[Ref]:
        """Every artifact of the store, whole or not."""
        for kind, key in self.store.held():
            yield Ref(kind, key)

    def proved(self, ref: Ref) -> bool | None:
        """Whether an artifact's key is the hash of all that is noted of its making.

        None where the fingerprint wasn't noted, as Mox 0.1.0 didn't at first.
        """
        note = self.note(ref)
        if note is None or "fingerprint" not in note:
            return None
        made = key_of(
            ref.kind, note["version"], note["spec"], self.inputs(ref), note["fingerprint"]
        )
        return made == ref.key


def roots_of(run: Run) -> set[Ref]:
    """What a run's record names."""
    return {run.documents, run.questions}.union(*(set(t.roles.values()) for t in run.trials))


def trial_roots(run: Run, trial: TrialRun) -> set[Ref]:
    """What a trial of a run stands on at the least."""
    return {run.documents, run.questions, *trial.roles.values()}


def outdated(kind: str, note: Note) -> str:
    """In which way an artifact isn't what would be made now; empty where that isn't known.

    Looks at the stage's version and at the installed versions of what made it.
    """
    version = note.get("version")
    if version is not None and version != VERSIONS.get(kind):
        return f"stage version {version}, now {VERSIONS.get(kind, 'gone')}"
    changed = [
        f"{name} {was}, now {now}"
        for name, was in note.get("fingerprint", {}).items()
        if (now := _installed(name)) not in (None, was)
    ]
    return f"made with {', '.join(changed)}" if changed else ""


def _installed(name: str) -> str | None:
    """The version of a distribution; None where a fingerprint's part is none."""
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for part in path.rglob("*"):
        try:
            total += part.stat().st_size if part.is_file() else 0
        except FileNotFoundError:
            continue
    return total
