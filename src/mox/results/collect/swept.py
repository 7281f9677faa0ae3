"""What `gc` removed or would remove, and why the rest is kept: as JSON, and on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mox.pipeline.stages import VERSIONS
from mox.results.collect.garbage import Holder, Lost, Survey
from mox.results.shelf import size_of

SHOWN = 8
"""Lines of a section before the rest is only counted."""


@dataclass(frozen=True)
class Swept:
    """What was removed, or would be.

    `refused`: artifact (`kind/key`) or collection → why it couldn't be removed; it is whole.
    """

    found: Survey
    dry: bool
    refused: Mapping[str, str] = field(default_factory=dict)
    freed_bytes: int = 0

    @property
    def whole(self) -> bool:
        """Whether all that should go went, and everything could be looked at."""
        return not self.refused and not self.found.unseen

    def document(self) -> dict[str, Any]:
        """The JSON of `mox gc --json`."""
        found = self.found
        freed = self._planned_bytes() if self.dry else self.freed_bytes
        return {
            "schema": 1,
            "dry_run": self.dry,
            "removed": [
                {"kind": one.ref.kind, "key": one.ref.key, "bytes": one.bytes, "reason": one.reason}
                for one in self.going
            ],
            "refused": dict(self.refused),
            "unseen": list(found.unseen),
            "leftovers": [str(path) for path in found.leftovers],
            "collections": [one.name for one in found.orphans if one.name not in self.refused],
            "forgotten": [run.id for run in found.forgotten],
            "freed_bytes": freed,
            "kept": len(found.kept),
            "kept_bytes": sum(found.kept.values()),
            "by_kind": self._by_kind(),
            "held_by": [asdict(one) for one in found.holders],
            "memo": {
                "kept": True,
                "bytes": sum(one.bytes for one in found.memory),
                "embedders": [asdict(one) for one in found.memory],
            },
        }

    def text(self) -> str:
        """The same for a reader, the largest first."""
        return "\n".join(_lines(self))

    @property
    def going(self) -> list[Lost]:
        """What is removed."""
        return [one for one in self.found.lost if "/".join(one.ref) not in self.refused]

    def _planned_bytes(self) -> int:
        found = self.found
        files = sum(size_of(path) for path in (*found.leftovers, *found.cut_off))
        return files + sum(one.bytes for one in found.lost) + _orphan_bytes(found)

    def _by_kind(self) -> dict[str, Any]:
        """kind → number and bytes of what goes and of what is kept, in prefix order."""
        found: dict[str, Any] = {}
        for kind in VERSIONS:
            goes = [one.bytes for one in self.going if one.ref.kind == kind]
            stays = [size for ref, size in self.found.kept.items() if ref.kind == kind]
            if goes or stays:
                found[kind] = {
                    "removed": {"artifacts": len(goes), "bytes": sum(goes)},
                    "kept": {"artifacts": len(stays), "bytes": sum(stays)},
                }
        return found


def _orphan_bytes(found: Survey) -> int:
    return sum(one.size_bytes for one in found.orphans)


def _lines(swept: Swept) -> Iterator[str]:
    found = swept.found
    going = swept.going
    size = swept.document()["freed_bytes"]
    verb = "would remove" if swept.dry else "removed"
    if going or found.leftovers or found.orphans:
        yield f"{verb} {_count(len(going), 'artifact')} and {_rest(found)}: {_mb(size)} in all"
    else:
        yield "nothing is to be removed"
    for run in found.forgotten:
        gone = "would be forgotten" if swept.dry else "is forgotten"
        yield f"  run {run.id} ({run.name}) {gone}; MLflow keeps its pages"
    yield from _section(_groups(going), _lost_line)
    for name, said in swept.refused.items():
        yield f"  stays: {name[:24]}: {said}"
    for said in found.unseen:
        yield f"  not looked at: {said}"
    kept = sum(found.kept.values())
    yield f"{'keeps' if swept.dry else 'kept'} {_count(len(found.kept), 'artifact')}, {_mb(kept)}:"
    yield from _section(found.holders, _holder_line)
    if not found.holders:
        yield "  there is no run, no release and no sweep that goes on"
    memory = sum(one.bytes for one in found.memory)
    if found.memory:
        yield f"keeps the memo, {_mb(memory)}: a text is embedded once for all runs, now and later"
        yield from _section(
            found.memory,
            lambda one: (
                f"{_mb(one.bytes):>10}  {one.vectors:,} vectors of"
                f" {one.embedder or f'an embedder that no artifact names ({one.folder[:10]})'}"
            ),
        )


def _section(rows: Iterable[Any], line: Callable[[Any], str]) -> Iterator[str]:
    rows = list(rows)
    for row in rows[:SHOWN]:
        yield f"  {line(row)}"
    if len(rows) > SHOWN:
        yield f"  … and {len(rows) - SHOWN} more; `mox gc --json` lists all"


def _groups(going: Iterable[Lost]) -> list[tuple[str, str, int, int]]:
    """(kind, reason, artifacts, bytes), the largest first."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for one in going:
        n, size = found.get((one.ref.kind, one.reason), (0, 0))
        found[one.ref.kind, one.reason] = (n + 1, size + one.bytes)
    rows = [(kind, reason, n, size) for (kind, reason), (n, size) in found.items()]
    return sorted(rows, key=lambda row: -row[3])


def _lost_line(row: tuple[str, str, int, int]) -> str:
    kind, reason, n, size = row
    return f"{_mb(size):>10}  {n:>4} {kind:<9}  {reason}"


def _holder_line(one: Holder) -> str:
    what = {
        "run": f"run {one.id} {one.name}, {one.at[:10]}",
        "release": f"release {one.name}",
        "growth": f"growth {one.name}",
        "sweep": f"run {one.id} {one.name}, which goes on now",
    }[one.kind]
    alone = f"{_mb(one.only_bytes)} for it alone"
    return f"{_mb(one.bytes):>10}  {one.artifacts:>4} artifacts: {what}; {alone}"


def _rest(found: Survey) -> str:
    parts = [_count(len(found.leftovers), "leftover")]
    if found.orphans:
        parts.append(_count(len(found.orphans), "collection") + " of no artifact")
    return ", ".join(parts)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
