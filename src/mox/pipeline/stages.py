"""Stages: what can be done, and the key under which what was done is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mox.spec import digest

if TYPE_CHECKING:
    from mox.types import Arrays

VERSIONS: Mapping[str, int] = {
    "documents": 1,
    "questions": 1,
    "chunk": 1,
    "tokens": 1,
    "embed": 1,
    "queries": 1,
    "rehearse": 1,
    "grow": 1,
    "exact": 1,
    "build": 2,
    "search": 1,
    "lexical": 1,
    "fuse": 2,
    "score": 1,
    "load": 3,
}
"""Stages in prefix order, and the version of each one's code. A version is raised whenever the
stage's output changes for the same input; a golden test fails when that was forgotten."""

UNSYNCED = ("fuse", "score")
"""Stages that are sooner made again than synced to a disk; see `store`."""

TITLES: Mapping[str, str] = {
    "documents": "store documents",
    "questions": "store questions",
    "chunk": "chunk",
    "tokens": "measure tokens",
    "embed": "embed chunks",
    "queries": "embed questions",
    "rehearse": "rehearse mixtures",
    "grow": "grow vectors",
    "exact": "search exactly",
    "build": "build indexes",
    "search": "search indexes",
    "lexical": "search texts",
    "fuse": "fuse",
    "score": "score",
    "load": "put under load",
}

MEASURED = ("load",)
"""Stages whose product is a time: nothing else runs beside one, and its key names the host."""


class Ref(NamedTuple):
    """An artifact: its stage and key."""

    kind: str
    key: str


@dataclass(frozen=True)
class Stage:
    """One piece of work: a function of its spec and its inputs."""

    kind: str
    key: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Ref] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Versions and file hashes that the result depends on: part of the key, noted beside it."""
    runtime: Mapping[str, Any] = field(default_factory=dict)
    """How it is done where that can't change what comes of it: where a key stands, what may be
    spent. Never part of the key, and never noted."""

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, self.key)

    @property
    def label(self) -> str:
        """What it is called in progress and errors: `build HNSW m=8`."""
        part = self.spec.get("of")
        if not isinstance(part, Mapping):
            return self.kind
        rest = " ".join(f"{name}={value}" for name, value in leaves(part) if name != "kind")
        return " ".join(word for word in (self.kind, str(part.get("kind", "")), rest) if word)


def leaves(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings with those of their parts, by dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", one) for inner, one in leaves(value))
        else:
            yield name, value


class Output(NamedTuple):
    """A stage's result: arrays, and small facts for the sidecar."""

    arrays: Arrays
    facts: Mapping[str, Any]


def kin(stage: Stage) -> tuple[str, ...] | None:
    """What stages share that may be done together; None where each is done alone."""
    if stage.kind == "fuse":
        return ("fuse", *(ref.key for ref in stage.inputs.values()))
    if stage.kind == "score":
        return ("score", *(ref.key for role, ref in stage.inputs.items() if role != "hits"))
    if stage.kind == "load":
        return ("load",)  # all of a sweep, so that their rounds are interleaved
    return None


def make(
    kind: str,
    spec: Mapping[str, Any],
    inputs: Mapping[str, Stage],
    fingerprint: Mapping[str, str],
    *,
    runtime: Mapping[str, Any] | None = None,
) -> Stage:
    """A stage with its key: SHA-256 of stage, version, fingerprint, spec and input keys."""
    parts = {role: stage.ref for role, stage in inputs.items()}
    key = key_of(kind, VERSIONS[kind], spec, parts, fingerprint)
    return Stage(kind, key, spec, parts, dict(fingerprint), dict(runtime or {}))


def key_of(
    kind: str,
    version: int,
    spec: Mapping[str, Any],
    inputs: Mapping[str, Ref],
    fingerprint: Mapping[str, str],
) -> str:
    """The key of what a stage makes: whoever knows all that made an artifact can prove it."""
    return digest(
        {
            "stage": kind,
            "version": version,
            "fingerprint": dict(fingerprint),
            "spec": dict(spec),
            "inputs": {role: ref.key for role, ref in inputs.items()},
        }
    )
