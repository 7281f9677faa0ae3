"""What of a store is garbage and what is kept, and why: looked at, nothing removed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mox.errors import EngineError, MissingError, SpecError
from mox.indexes.held import Collection, in_folder, in_postgres, on_server
from mox.pipeline.running import Sweeping, sweeping
from mox.pipeline.stages import VERSIONS, Ref
from mox.pipeline.store import REMOVED, Store
from mox.results import run as records
from mox.results.collect.memory import Memory, memories
from mox.results.shelf import Shelf, outdated, roots_of, size_of
from mox.settings import Settings

LEFTOVER_S = 3600.0
"""A temporary name older than this is left over by a writer that was killed."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""How `Store.write` and `write_whole` name what isn't whole yet."""


@dataclass(frozen=True)
class Standing:
    """A release, or a growth's curves, that stands on artifacts of a store, as whoever reads
    these says."""

    path: str
    run_id: str
    trial: str
    roots: frozenset[Ref]
    kind: Literal["release", "growth"] = "release"


@dataclass(frozen=True)
class Holder:
    """What keeps artifacts: a run, a release, a growth's curves, or a sweep that goes on.

    `only_bytes`: what nothing else keeps, and what would be freed without it.
    """

    kind: Literal["run", "release", "growth", "sweep"]
    id: str
    name: str
    at: str
    artifacts: int
    bytes: int
    only_bytes: int


@dataclass(frozen=True)
class Lost:
    """An artifact that nothing keeps, and what is known of why."""

    ref: Ref
    bytes: int
    reason: str


@dataclass(frozen=True)
class Survey:
    """A store as `gc` finds it."""

    lost: tuple[Lost, ...]
    """In the order of removal: what stands on others before them."""
    kept: Mapping[Ref, int]
    """Artifact → bytes, its collection's included."""
    holders: tuple[Holder, ...]
    """Those with most bytes of their own first."""
    orphans: tuple[Collection, ...]
    """Collections that no artifact stands for."""
    leftovers: tuple[Path, ...]
    cut_off: tuple[Path, ...]
    """What sweeps that were killed have left to say that they go on."""
    memory: tuple[Memory, ...]
    forgotten: tuple[records.Run, ...] = ()
    """Runs whose records are taken away now."""
    unseen: tuple[str, ...] = field(default=())
    """What couldn't be looked at, such as a server that is away."""


def survey(
    store: Store,
    settings: Settings,
    *,
    releases: Sequence[Standing],
    forget: Sequence[str] = (),
    force: bool = False,
) -> Survey:
    """Look at all of a store.

    Args:
        releases: those that keep what they stand on.
        forget: runs to be looked at as if they were gone, by id or the first letters of one.
        force: also those that a release names.

    Raises:
        MissingError: no such run.
        SpecError: a release names a run that is to be forgotten, or the run goes on.
        StoreError: a record can't be read: nothing is known to be garbage then.
    """
    sweeps = sweeping(store)
    leaving = _leaving(store, forget, releases, sweeps, force=force)
    gone = {run.id for run in leaving}
    runs = [run for run in records.every(store) if run.id not in gone]
    shelf = Shelf(store)
    going = [one for one in sweeps if one.alive]
    reach: list[set[Ref]] = [shelf.closure(roots_of(run)) for run in runs]
    reach += [shelf.closure(one.roots) for one in releases]
    # All that a sweep plans, stored yet or not: it may be written while this looks.
    reach += [set(one.stages) for one in going]
    kept_refs = set().union(*reach)
    collections, unseen = _collections(store, settings)
    of_build = {one.name.rsplit("_", 1)[-1]: one.size_bytes for one in collections}
    sizes = {
        ref: size_of(store.folder(*ref))
        + (of_build.get(ref.key[:20], 0) if ref.kind == "build" else 0)
        for ref in shelf.held()
    }
    why = _Makers(shelf, [*leaving, *records.forgotten(store)], sweeps, gone)
    lost = [Lost(ref, size, why(ref)) for ref, size in sizes.items() if ref not in kept_refs]
    kept = {ref: size for ref, size in sizes.items() if ref in kept_refs}
    builds = {ref.key[:20] for ref in {*sizes, *kept_refs} if ref.kind == "build"}
    # A load with inserts writes to a copy that is named after it.
    builds |= {ref.key[:20] for one in going for ref in one.stages if ref.kind == "load"}
    return Survey(
        lost=tuple(sorted(lost, key=lambda one: _depth(one.ref))),
        kept=kept,
        holders=_holders(runs, releases, going, reach, kept),
        orphans=tuple(one for one in collections if one.name.rsplit("_", 1)[-1] not in builds),
        leftovers=tuple(_leftovers(store)),
        cut_off=tuple(one.path for one in sweeps if not one.alive),
        memory=memories(shelf),
        forgotten=tuple(leaving),
        unseen=unseen,
    )


def _leaving(
    store: Store,
    names: Iterable[str],
    releases: Sequence[Standing],
    sweeps: Iterable[Sweeping],
    *,
    force: bool,
) -> list[records.Run]:
    """The runs that are to be forgotten, each once."""
    found = {run.id: run for run in (records.read(store, name) for name in names)}
    for run in found.values():
        standing = [one for one in releases if one.run_id == run.id]
        if standing and not force:
            named = ", ".join(one.path for one in standing[:3])
            raise SpecError(
                f"run {run.id} ({run.name}) is what {_count(len(standing), 'release')} stands on:"
                f" {named}.",
                mend="keep it, or add --force: what the releases themselves need is kept, and"
                " only the run's record and its other trials go.",
            )
        going = next((one for one in sweeps if one.alive and one.run_id == run.id), None)
        if going is not None:
            raise SpecError(
                f"run {run.id} ({run.name}) goes on now, in process {going.pid}.",
                mend="wait for its end, or end it, and forget it then.",
            )
    return list(found.values())


class _Makers:
    """Why nothing keeps an artifact, as far as records tell."""

    def __init__(
        self,
        shelf: Shelf,
        forgotten: Iterable[records.Run],
        sweeps: Iterable[Sweeping],
        leaving: set[str],
    ) -> None:
        self._shelf = shelf
        self._makers: dict[Ref, str] = {}
        for run in forgotten:
            said = "forgotten by this gc" if run.id in leaving else "which was forgotten"
            for ref in shelf.closure(roots_of(run)):
                self._makers.setdefault(ref, f"of run {run.id} ({run.name}), {said}")
        for sweep in sweeps:
            if not sweep.alive:
                named = f"of run {sweep.run_id} ({sweep.name}), cut off {sweep.started[:10]}"
                for ref in sweep.stages:
                    self._makers.setdefault(ref, f"{named}; its experiment run again resumes it")

    def __call__(self, ref: Ref) -> str:
        note = self._shelf.note(ref)
        if note is None:
            return "damaged: its bytes are not all there, and a run that needs it redoes it"
        maker = self._makers.get(ref, "no run, release or sweep reaches it")
        old = outdated(ref.kind, note)
        return f"{maker}; {old}" if old else maker


def _holders(
    runs: Sequence[records.Run],
    releases: Sequence[Standing],
    going: Sequence[Sweeping],
    reach: Sequence[set[Ref]],
    kept: Mapping[Ref, int],
) -> tuple[Holder, ...]:
    times: dict[Ref, int] = {}
    for refs in reach:
        for ref in refs:
            times[ref] = times.get(ref, 0) + 1
    names = [("run", run.id, run.name, run.started) for run in runs]
    names += [(one.kind, one.run_id, one.path, "") for one in releases]
    names += [("sweep", one.run_id, one.name, one.started) for one in going]
    found = []
    for (kind, id_, name, at), refs in zip(names, reach, strict=True):
        here = [ref for ref in refs if ref in kept]
        total = sum(kept[ref] for ref in here)
        own = sum(kept[ref] for ref in here if times[ref] == 1)
        found.append(Holder(kind, id_, name, at, len(here), total, own))  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda one: (-one.only_bytes, -one.bytes, one.id)))


def _collections(store: Store, settings: Settings) -> tuple[list[Collection], tuple[str, ...]]:
    """This store's collections, and which engine couldn't be asked."""
    prefix = f"mox_{store.id}_"
    folder = store.root / "services" / "indexes"
    looks: list[Callable[[], Iterable[Collection]]] = [
        lambda: in_folder(folder, prefix),
        lambda: in_postgres(folder, None, prefix),
    ]
    if (milvus := settings.milvus_uri) is not None:
        looks.append(lambda: on_server(milvus, prefix))
    if (uri := settings.postgres_uri) is not None:
        looks.append(lambda: in_postgres(folder, uri, prefix))
    found: list[Collection] = []
    unseen = []
    for look in looks:
        try:
            found += look()
        except (EngineError, MissingError, SpecError) as error:
            unseen.append(error.message)
    return found, tuple(unseen)


def _leftovers(store: Store) -> Iterator[Path]:
    """What killed writers and removers have left under names that nobody reads."""
    root = store.root
    rooms = ("runs", "running", "mirrored", "releases", "growth")
    for pattern in ("artifacts/*/.*", ".*", *(f"{room}/.*" for room in rooms)):
        for path in root.glob(pattern):
            if REMOVED in path.name or (_TEMPORARY.fullmatch(path.name) and _old(path)):
                yield path
    for path in (root / "memo").glob("*/*"):
        lone = (
            path.name.endswith(".vectors.npy")
            and not path.with_name(path.name.replace(".vectors.npy", ".hash.npy")).exists()
        )
        if (lone or path.suffix == ".tmp") and _old(path):
            yield path


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LEFTOVER_S
    except FileNotFoundError:
        return False


def _depth(ref: Ref) -> tuple[int, str]:
    """What stands on others first: a score must not outlive the chunks that explain it."""
    order = list(VERSIONS)
    return (-order.index(ref.kind) if ref.kind in order else 0, ref.key)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
