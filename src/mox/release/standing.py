"""Which releases stand on artifacts of a store: those in it, and those promoted to elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mox.errors import MoxError, StoreError
from mox.pipeline.disk import write_whole
from mox.pipeline.stages import VERSIONS, Ref
from mox.pipeline.store import Store
from mox.release.bundle import Release, read_release
from mox.results import Run, TrialRun
from mox.results.collect.gc import Standing

ELSEWHERE = "elsewhere.json"
"""Notes the releases of this store that `mox promote --out` wrote to another folder."""
HITS = ("fuse", "search", "exact", "lexical")
"""Stages that a trial's hits may come from."""


def standing(store: Store) -> list[Standing]:
    """The releases that stand on a store's artifacts, by path.

    One that was written elsewhere and isn't there any more keeps nothing.

    Raises:
        StoreError: a release can't be read, so that nobody knows what it stands on.
    """
    found = []
    for path in _paths(store):
        try:
            content = read_release(path).content
        except MoxError as error:
            raise StoreError(
                f"what the release {path} stands on isn't known: {error.message}",
                mend=f"move it away where it is no release any more, or mend it. {error.mend}",
            ) from None
        if content["run"]["store"] == store.id:
            roots = frozenset(_roots(content["run"]["stages"], store))
            found.append(Standing(str(path), content["run"]["id"], content["trial"], roots))
    return found


def naming(store: Store, run: Run, trial: TrialRun) -> list[dict[str, Any]]:
    """The releases of a trial of a run: path, checksum, and the commit it was promoted at.

    One that can't be read is named with its problem.
    """
    found: list[dict[str, Any]] = []
    for path in _paths(store):
        try:
            release = read_release(path)
        except MoxError as error:
            found.append({"path": str(path), "problem": error.message})
            continue
        content = release.content
        if content["run"]["id"] == run.id and content["trial"] == trial.id:
            commit = (content["git"] or {}).get("commit")
            found.append({"path": str(path), "sha256": release.sha256, "commit": commit})
    return found


def note(store: Store, release: Release) -> None:
    """Remember a release that was written outside of the store."""
    path = release.path.absolute()
    if path.parent == (store.root / "releases").absolute():
        return
    with store.lock("releases"):
        every = sorted({str(path), *(str(known) for known in _noted(store))})
        write_whole(store.root / "releases" / ELSEWHERE, json.dumps(every, indent=1).encode())


def _paths(store: Store) -> list[Path]:
    elsewhere = (path for path in _noted(store) if path.is_file())
    return sorted({*(store.root / "releases").glob("*.yaml"), *elsewhere})


def _noted(store: Store) -> list[Path]:
    file = store.root / "releases" / ELSEWHERE
    try:
        return [Path(name) for name in json.loads(file.read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{file} cannot be read ({error}), so releases elsewhere aren't known.",
            mend="restore it, or remove it where there are none.",
        ) from None


def _roots(stages: Mapping[str, Any], store: Store) -> Iterator[Ref]:
    """Role → key, as artifacts: a role is its stage's kind, but for `hits`."""
    for role, key in stages.items():
        kinds = (role,) if role in VERSIONS else HITS
        yield from (Ref(kind, key) for kind in kinds if store.folder(kind, key).exists())
