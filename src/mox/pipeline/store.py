"""Artifacts on disk, addressed by content: what a stage made, once and for all.

An artifact is a folder `artifacts/<stage>/<key>/` holding `data.npz` (arrays, no pickles) and
a sidecar `artifact.json`. It is written under a temporary name, synced and renamed, so that it
is there whole or not at all, whenever the writer is killed.

Stages that take less time than the disk needs to sync are not synced: a kill loses nothing by
that, and what a power failure cuts short is told by its size or checksum, and redone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import StoreError
from mox.locks import Locks
from mox.pipeline import npz
from mox.pipeline.disk import (
    GONE,
    read_bytes,
    remove_tree,
    sync_folder,
    unreadable,
    unremovable,
    unwritable,
    write_synced,
    write_unsynced,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import Arrays

SCHEMA = 1
REMOVED = ".removed."
"""Part of the name of what is being removed: nobody reads it any more, whoever left it."""


class DamagedError(StoreError):
    """An artifact's bytes are not what its sidecar says; it was removed and has to be redone."""

    def __init__(self, kind: str, key: str, said: str) -> None:
        super().__init__(
            f"artifact {kind}/{key[:12]} is damaged ({said}).", mend="run again: it is redone."
        )
        self.key = key


@dataclass(frozen=True)
class Artifact:
    """Arrays and facts of one stage's result. `facts` are small, and readable without `arrays`."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


class Store:
    """The state folder. Safe for several processes: one writer per key, readers at any time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = _identify(root)
        self._locks = Locks(root / "locks" / "names")
        self._artifacts = str(root / "artifacts")

    def folder(self, kind: str, key: str) -> Path:
        return self.root / "artifacts" / kind / key

    def _file(self, kind: str, key: str, name: str) -> str:
        return f"{self._artifacts}/{kind}/{key}/{name}"

    def has(self, kind: str, key: str) -> bool:
        """Whether an artifact is there, with all its bytes (their checksum is read with them)."""
        return self.look(kind, key) is not None

    def look(self, kind: str, key: str) -> dict[str, Any] | None:
        """The sidecar of an artifact that is there with all its bytes; None else.

        Changes nothing, where `sidecar` and `read` remove what is damaged.

        Raises:
            StoreError: the system doesn't let it be read, which says nothing of its bytes.
        """
        try:
            size = os.stat(self._file(kind, key, "data.npz")).st_size  # noqa: PTH116  a hot path
            found: dict[str, Any] = json.loads(read_bytes(self._file(kind, key, "artifact.json")))
            return found if found["bytes"] == size else None
        except (*GONE, ValueError, KeyError, TypeError):
            return None
        except OSError as error:
            raise unreadable(self.folder(kind, key), error, redone=True) from None

    def damage(self, kind: str, key: str) -> str:
        """What is wrong with an artifact's bytes, its checksum included; empty where nothing is.

        Changes nothing.

        Raises:
            StoreError: the system doesn't let it be read.
        """
        sidecar = self.look(kind, key)
        if sidecar is None:
            there = self.folder(kind, key).exists()
            return "its bytes are not all there" if there else "it is not stored"
        try:
            with (self.folder(kind, key) / "data.npz").open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except GONE:
            return "its bytes are not all there"  # another process removes it
        except OSError as error:
            raise unreadable(self.folder(kind, key), error, redone=True) from None
        return "" if found == sidecar.get("sha256") else "its checksum differs"

    def keys(self, kind: str) -> frozenset[str]:
        """Keys of a kind that have a folder: whether it is whole, `has` says."""
        try:
            return frozenset(os.listdir(f"{self._artifacts}/{kind}"))  # noqa: PTH208  a hot path
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise unreadable(self.root / "artifacts" / kind, error) from None

    def sidecar(self, kind: str, key: str) -> dict[str, Any]:
        """What is noted beside an artifact: stage, spec, facts, seconds, bytes, SHA-256.

        Raises:
            DamagedError: it is no JSON, or not there; the artifact is removed.
            StoreError: the system doesn't let it be read.
        """
        try:
            return dict(json.loads(read_bytes(self._file(kind, key, "artifact.json"))))
        except (*GONE, ValueError) as error:
            raise self._damaged(kind, key, f"sidecar: {error}") from None
        except OSError as error:
            raise unreadable(self.folder(kind, key), error, redone=True) from None

    def read(self, kind: str, key: str) -> Artifact:
        """An artifact, its checksum verified.

        Raises:
            DamagedError: its bytes are not what was written; it is removed.
            StoreError: the system doesn't let it be read; it stays.
        """
        sidecar = self.sidecar(kind, key)
        try:
            raw = read_bytes(self._file(kind, key, "data.npz"))
        except GONE as error:
            raise self._damaged(kind, key, str(error)) from None
        except OSError as error:
            raise unreadable(self.folder(kind, key), error, redone=True) from None
        if hashlib.sha256(raw).hexdigest() != sidecar.get("sha256"):
            raise self._damaged(kind, key, "checksum differs")
        return Artifact(npz.unpack(raw), sidecar["facts"])

    def write(
        self,
        kind: str,
        key: str,
        arrays: Arrays,
        facts: Mapping[str, Any],
        note: Mapping[str, Any],
        *,
        sync: bool = True,
    ) -> None:
        """Write an artifact; one that is there already, whole, keeps its bytes.

        Args:
            note: what else the sidecar says (spec, version, inputs, seconds).
            sync: have its bytes on the disk when this returns.

        Raises:
            StoreError: the disk is full or the folder cannot be written; nothing is left over.
        """
        room = f"{self._artifacts}/{kind}"
        raw = npz.pack(arrays)
        sidecar = {
            "stage": kind,
            "key": key,
            **note,
            "facts": facts,
            "bytes": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
        }
        temporary = f"{room}/.{key}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        put = write_synced if sync else write_unsynced
        try:
            os.makedirs(temporary)  # noqa: PTH103  a hot path
            put(f"{temporary}/data.npz", raw)
            put(f"{temporary}/artifact.json", json.dumps(sidecar, ensure_ascii=False).encode())
            self._name(temporary, kind, key)
            if sync:
                sync_folder(room)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise unwritable(self.folder(kind, key), error) from None
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _name(self, temporary: str, kind: str, key: str) -> None:
        """Give a written artifact its name, unless one of that name is there and whole."""
        for _ in range(2):
            try:
                os.rename(temporary, f"{self._artifacts}/{kind}/{key}")  # noqa: PTH104  a hot path
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if self.has(kind, key):
                break
            self.remove(kind, key)  # what a power failure cut short
        shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, kind: str, key: str) -> None:
        """Remove an artifact; no error where there is none.

        It is renamed first, and so stored whole or not at all, whenever the remover is killed or
        the system refuses; what is left of it then is a leftover.

        Raises:
            StoreError: the system doesn't let it be removed.
        """
        final = self.folder(kind, key)
        gone = final.with_name(f".{key}{REMOVED}{uuid.uuid4().hex[:8]}")
        try:
            final.rename(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unremovable(final, error) from None
        remove_tree(gone)

    def held(self) -> Iterator[tuple[str, str]]:
        """(stage, key) of every artifact."""
        for folder in sorted((self.root / "artifacts").glob("*/*")):
            if not folder.name.startswith("."):
                yield folder.parent.name, folder.name

    @contextmanager
    def lock(self, key: str, *, wait_s: float = -1) -> Iterator[None]:
        """Hold a key: one writer at a time over all processes. Freed when the holder dies.

        Raises:
            TimeoutError: another holder kept it longer than `wait_s`.
        """
        with self._locks.hold(key, wait_s=wait_s):
            yield

    @contextmanager
    def claim(self, keys: Sequence[str]) -> Iterator[frozenset[str]]:
        """Hold those of the keys that nobody holds now, without waiting for the others."""
        with self._locks.claim(keys) as mine:
            yield mine

    def _damaged(self, kind: str, key: str, said: str) -> DamagedError:
        with suppress(StoreError):  # the damage is what is said; a read-only store keeps it
            self.remove(kind, key)
        return DamagedError(kind, key, said)


def _identify(root: Path) -> str:
    """The store's id, made with the store."""
    path = root / "store.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return _create(path)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read: {error}.", mend="point MOX_HOME at another folder."
        ) from None
    if found["schema"] > SCHEMA:
        raise StoreError(
            f"{root} was written by a newer Mox (store schema {found['schema']}; this one knows"
            f" {SCHEMA}).",
            mend="upgrade Mox, or point MOX_HOME at another folder.",
        )
    return str(found["id"])


def _create(path: Path) -> str:
    """Make a new store's identity; where two processes make it at once, one wins."""
    raw = json.dumps({"schema": SCHEMA, "id": uuid.uuid4().hex[:8]}).encode()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(temporary, raw)
        with suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)
    return str(json.loads(path.read_bytes())["id"])
