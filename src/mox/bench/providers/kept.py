"""Where benchmarks are kept: `results/bench-ID/` in the state folder.

`records.jsonl` has every request, as it came; `document.json` what was made of them last;
`begun.json` when it began and what makes its prompts its own.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mox.errors import MissingError, StoreError
from mox.pipeline.disk import write_whole
from mox.pipeline.store import Store
from mox.spec import readable

FOLDER = "results"
BEGINS = "bench-"


class Begun(NamedTuple):
    """When a benchmark first began, and the salt of its prompts."""

    at: str
    salt: str


def folder(store: Store, id_: str) -> Path:
    """Where one benchmark is kept."""
    return store.root / FOLDER / f"{BEGINS}{id_}"


def begun(place: Path, *, seed: int, simulated: bool) -> Begun:
    """When it first began; now, where it never did.

    A real provider's cache remembers prompts of an earlier benchmark, so theirs are salted by
    chance; those of simulated ones only by the seed, so that they can be repeated.

    Raises:
        StoreError: the state folder can't be used.
    """
    path = place / "begun.json"
    try:
        said = json.loads(path.read_bytes())
        return Begun(said["at"], said["salt"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}).", mend=f"remove {place}, and measure again."
        ) from None
    salt = str(seed) if simulated else f"{seed}-{secrets.token_hex(8)}"
    found = Begun(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), salt)
    write_whole(path, readable(found._asdict()).encode())
    return found


def aside(store: Store, id_: str) -> None:
    """Move what was measured out of the way; it stays beside as `bench-ID.1`, `bench-ID.2`, …

    Raises:
        StoreError: it can't be moved.
    """
    place = folder(store, id_)
    if not place.exists():
        return
    number = 1
    while (there := place.with_name(f"{place.name}.{number}")).exists():
        number += 1
    try:
        place.rename(there)
    except OSError as error:
        raise StoreError(
            f"{place} can't be moved ({error.strerror}).", mend="see who owns the state folder."
        ) from None


def save(place: Path, document: Mapping[str, Any]) -> None:
    """Keep a document.

    Raises:
        StoreError: the disk is full, or the state folder can't be written.
    """
    write_whole(place / "document.json", readable(document).encode())


def read(store: Store, id_: str) -> dict[str, Any]:
    """A kept document.

    Raises:
        MissingError: no such benchmark.
        StoreError: it can't be read.
    """
    path = folder(store, id_) / "document.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise MissingError(
            f"no benchmark {id_!r} is kept here.", mend="run `mox bench providers FILE` first."
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}).", mend="measure again with --again."
        ) from None


def whole(store: Store, id_: str) -> dict[str, Any] | None:
    """The document of a benchmark that lacks nothing; None where there is none.

    Raises:
        StoreError: it can't be read.
    """
    try:
        found = read(store, id_)
    except MissingError:
        return None
    return found if found["stopped"] is None and not found["missing"] else None


def every(store: Store) -> list[dict[str, Any]]:
    """All kept documents, the newest first; those that were moved aside are left out.

    Raises:
        StoreError: one can't be read.
    """
    found = [
        read(store, path.parent.name.removeprefix(BEGINS))
        for path in (store.root / FOLDER).glob(f"{BEGINS}*/document.json")
        if "." not in path.parent.name
    ]
    return sorted(found, key=lambda one: str(one["at"]), reverse=True)
