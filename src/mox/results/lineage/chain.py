"""A trial's chain of stages, from the documents to its score, as its artifacts stand now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.pipeline.stages import VERSIONS, Ref, leaves
from mox.results.run import every
from mox.results.shelf import Shelf, outdated, roots_of, trial_roots

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun

HITS = ("exact", "search", "lexical", "fuse")


@dataclass(frozen=True)
class Link:
    """One stage of a trial's chain.

    `rows` counts what it made, in `unit`s. `damage` is what is wrong with its bytes, which were
    read whole for it; `proved`: whether its key is the hash of what is noted here, None where
    the fingerprint wasn't noted. `outdated`: in which way it would be made otherwise now.
    """

    ref: Ref
    inputs: Mapping[str, Ref]
    note: Mapping[str, Any]
    """Its sidecar; empty where it isn't stored."""
    rows: int | None
    unit: str
    damage: str
    proved: bool | None
    outdated: str
    shared_by: tuple[str, ...]
    """Other trials of the run that stand on it."""
    other_runs: tuple[str, ...]
    """Ids of other runs of the store that stand on it."""

    @property
    def made_with(self) -> str:
        """Its settings in a line."""
        return said(self.note.get("spec", {}))

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.ref.kind,
            "key": self.ref.key,
            "inputs": {role: {"kind": r.kind, "key": r.key} for role, r in self.inputs.items()},
            "spec": self.note.get("spec"),
            "version": self.note.get("version"),
            "fingerprint": self.note.get("fingerprint"),
            "facts": self.note.get("facts"),
            "rows": self.rows,
            "unit": self.unit,
            "seconds": self.note.get("seconds"),
            "bytes": self.note.get("bytes"),
            "sha256": self.note.get("sha256"),
            "at": self.note.get("at"),
            "intact": not self.damage,
            "damage": self.damage or None,
            "proved": self.proved,
            "outdated": self.outdated or None,
            "shared_by": list(self.shared_by),
            "other_runs": list(self.other_runs),
        }


def chain(results: Results, trial: TrialRun) -> tuple[Link, ...]:
    """A trial's stages in the order of the data; those that aren't stored, too, as far as its
    record names them. Changes nothing."""
    run, shelf = results.run, Shelf(results.store)
    roots = trial_roots(run, trial)
    refs = {*roots, *shelf.closure(roots)}
    others = {
        other.id: shelf.closure(trial_roots(run, other))
        for other in run.trials
        if other.id != trial.id
    }
    runs = {
        other.id: shelf.closure(roots_of(other))
        for other in every(results.store)
        if other.id != run.id
    }
    return tuple(_link(results, shelf, ref, others, runs) for ref in sorted(refs, key=in_order))


def in_order(ref: Ref) -> tuple[int, str]:
    """Where a stage stands in the flow of the data."""
    order = list(VERSIONS)
    return (order.index(ref.kind) if ref.kind in order else len(order), ref.key)


def _link(
    results: Results,
    shelf: Shelf,
    ref: Ref,
    others: Mapping[str, set[Ref]],
    runs: Mapping[str, set[Ref]],
) -> Link:
    note = shelf.note(ref) or {}
    rows, unit = _made(results, ref, note)
    return Link(
        ref=ref,
        inputs=shelf.inputs(ref),
        note=note,
        rows=rows,
        unit=unit,
        damage=results.store.damage(*ref),
        proved=shelf.proved(ref),
        outdated=outdated(ref.kind, note) if note else "",
        shared_by=tuple(name for name, refs in others.items() if ref in refs),
        other_runs=tuple(name for name, refs in runs.items() if ref in refs),
    )


def _made(results: Results, ref: Ref, note: Mapping[str, Any]) -> tuple[int | None, str]:
    """How many of what a stage made."""
    facts, spec = note.get("facts", {}), note.get("spec", {})
    questions = results.run.corpus.get("questions")
    if ref.kind in HITS:
        return questions, f"questions × {spec.get('k', '?')} hits"
    if ref.kind in ("embed", "queries"):
        return facts.get("texts"), f"vectors of {facts.get('dims', '?')} dims"
    if ref.kind == "score":
        return questions, f"questions × {len(spec.get('measures', ()))} measures"
    rows: dict[str, tuple[int | None, str]] = {
        "documents": (results.run.corpus.get("documents"), "documents"),
        "questions": (questions, "questions"),
        "chunk": (facts.get("chunks"), "chunks"),
        "tokens": (facts.get("tokens"), "tokens"),
        "build": (facts.get("rows"), "rows"),
    }
    return rows.get(ref.kind, (None, ""))


def said(spec: Mapping[str, Any]) -> str:
    """Settings in a line: `recursive size=400 overlap=0`, `ef=20 on HNSW m=8, k=10`."""
    words = []
    for name, value in spec.items():
        if name in ("fingerprint", "clip"):
            continue  # stands elsewhere; follows from being a side of a fusion
        if name == "of":
            words.append(_part(value))
        elif name == "index":
            words.append(f"on {_part(value)}")
        elif name == "measures":
            words.append(", ".join(value))
        else:
            words.append(f"{name}={value}")
    return " ".join(word for word in words if word)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    kind = [str(part["kind"])] if "kind" in part else []
    return " ".join([*kind, *(f"{name}={value}" for name, value in leaves(part) if name != "kind")])
