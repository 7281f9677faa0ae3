"""What a growth found: as JSON for figures and reports, kept in the store.

```
{"schema": 1, "growth": ID, "experiment", "at", "host": {…}, "embed": {…}, "dims", "k", "questions",
 "sizes": [2000, …], "real": {"corpus": rows},
 "mixtures": null | {"recipe": {…}, "tolerance", "k", "rehearsal": {"real": [3], "mixed": [3],
                     "deviation", "base", "rows"},
                     "sizes": [{"n", "real": [3], "mixed": [3], "real_in_set": [3], "deviation",
                                "matched"}]},
 "points": [{"index": {…}, "search": {…}, "clients", "n", "mixed", "p95_ms": {"median", "low",
             "high"}, "p50_ms": {…}, "qps": {…}, "memory_mb", "index_mb", "formula_mb", "build_s",
             "recall", "engine": {"engine", "version"}, "invalid": null | "why"}],
 "fits": [{"index", "search", "clients", "what", "a", "b", "low", "high", "from", "to", "worst",
           "curve": [{"n", "value", "low", "high", "estimate"}]}],
 "bound": {"p95_ms", "recall", "clients"},
 "crossing": null | {"index", "search", "clients", "n", "low", "high", "estimate", "because"},
 "decisions": [{"rows", "store", "index", "search", "clients", "why", "estimate", "predictions"}],
 "alike": [{"n", "pair": [{…}, {…}], "recall": [2], "overlap", "difference": {…}, "same",
            "margin", "equivalent"}],
 "estimates": [{"index", "n", "formula_mb", "estimate": true}],
 "left_out": [{"n", "index", "search", "clients", "engine", "why", "expected_s", "failed"}],
 "notes": […]}
```
`low` and `high` of a fit are its exponent's interval, those of its curve the curve's. A quartile
triple is of the local intrinsic dimension. `estimate`: no such size was measured. `formula_mb` is
memory by the formula of an index's type, null where its Spec has none; `estimates` has it at the
sizes that an index wasn't built at, and at ten times the largest. Points of a set that isn't
`matched` stand in no curve and in no decision.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mox.bench.bound import Bound
from mox.bench.decide import decide, suffices_until
from mox.bench.fits import Power, fits
from mox.bench.formula import estimates
from mox.bench.points import Point, Way, by_way, key_of
from mox.errors import MoxError, StoreError
from mox.pipeline.disk import write_whole
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.results.collect.gc import Standing
from mox.spec import digest, readable

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.show.figures import Figure

SCHEMA = 1
FOLDER = "growth"
GRID = 24
"""Points of a fitted curve, for figures."""
BEYOND = 10.0
"""How many times past the largest size a curve is drawn, marked as an estimate."""


@dataclass(frozen=True)
class Left:
    """What wasn't measured."""

    n: int
    way: Way
    why: str
    expected_s: float
    failed: bool = False
    engine: Mapping[str, str] = field(default_factory=dict)
    """Name and version of what would have answered."""

    @property
    def key(self) -> str:
        """As a point's."""
        return key_of(self.way, self.engine)

    def document(self) -> dict[str, Any]:
        return {
            "n": self.n,
            **self.way.document(),
            "engine": dict(self.engine),
            "why": self.why,
            "expected_s": round(self.expected_s, 1),
            "failed": self.failed,
        }


@dataclass(frozen=True, repr=False)
class Growth:
    """A growth's document, and what of the store it stands on."""

    content: Mapping[str, Any]
    roots: tuple[Ref, ...]

    @property
    def id(self) -> str:
        return str(self.content["growth"])

    @property
    def points(self) -> list[Point]:
        return [Point.parse(plain) for plain in self.content["points"]]

    @property
    def usable(self) -> list[Point]:
        """Those that curves may stand on: of vectors that are real, or like the real ones."""
        return _usable(self.points, self.content["mixtures"])

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return not self.content["left_out"]

    def document(self) -> dict[str, Any]:
        """The JSON of `mox bench growth --json`."""
        return dict(self.content)

    def figure(self, what: str = "p95_ms") -> Figure:
        """A figure by the number of vectors: measured sizes, fitted curves, the bound.

        Raises:
            SpecError: nothing of that name was measured.
        """
        from mox.results.show.growth import growth

        return growth(self.content, what)

    def text(self) -> str:
        """The same for a reader."""
        from mox.results.growth.text import text

        return text(self.content)

    def to_frame(self) -> pd.DataFrame:
        """A row per point: settings, what was measured with its spread, memory by formula."""
        import pandas as pd

        from mox.results.growth.table import rows

        return pd.DataFrame(rows(self.content))

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from mox.results.growth.html import drawn

        return drawn(self.content)


def content(
    about: Mapping[str, Any],
    points: Sequence[Point],
    left: Sequence[Left],
    bound: Bound,
    rest: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of measured points.

    Args:
        about: `experiment`, `host`, `embed`, `dims`, `k`, `questions`, `real`: what it is of. Two
            growths that agree in it, in their sizes, in their configurations and in the engines
            that answer are one, gone on with.
        rest: `sizes`, `mixtures`, `alike`, `notes`.
    """
    ways = sorted({point.key for point in points} | {one.key for one in left})
    sizes = [*rest["sizes"], round(BEYOND * max(rest["sizes"]))]
    usable = _usable(points, rest["mixtures"])
    stops = suffices_until(usable, bound)
    return {
        "schema": SCHEMA,
        "growth": digest([about, ways, rest["sizes"]])[:12],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **about,
        **rest,
        "points": [point.document() for point in points],
        "fits": list(_fits(usable)),
        "bound": {"p95_ms": bound.p95_ms, "recall": bound.recall, "clients": bound.clients},
        "crossing": stops.document() if stops else None,
        "decisions": _decisions(usable, sizes, bound),
        "estimates": estimates(points, (one.way for one in left), sizes, about["dims"]),
        "left_out": [one.document() for one in left],
    }


def _usable(points: Sequence[Point], mixtures: Mapping[str, Any] | None) -> list[Point]:
    """Points of the sets whose mixtures came out like the real vectors.

    A recipe is rehearsed on real vectors alone; a grown set may still miss the tolerance.
    """
    sizes = mixtures["sizes"] if mixtures else ()
    unlike = {one["n"] for one in sizes if not one["matched"]}
    return [point for point in points if point.n not in unlike]


def _fits(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    for way, curves in fits(by_way(points)).values():
        for curve in curves.values():
            yield {**way.document(), **curve.document(), "curve": _drawn(curve)}


def _drawn(curve: Power) -> list[dict[str, Any]]:
    """The curve over the measured sizes and some way beyond, for a figure."""
    low, high = math.log(curve.sizes[0]), math.log(BEYOND * curve.sizes[-1])
    found = []
    for at in range(GRID):
        n = round(math.exp(low + (high - low) * at / (GRID - 1)))
        value = curve.at(n)
        found.append(
            {"n": n, "value": value.value, "low": value.low, "high": _finite(value.high),
             "estimate": value.outside}
        )  # fmt: skip
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _decisions(points: Sequence[Point], sizes: Sequence[int], bound: Bound) -> list[dict[str, Any]]:
    """What would be taken at each size, and at ten times the largest; or why nothing would."""
    measured = [point.n for point in points]
    found = []
    for rows in sizes:
        try:
            found.append(decide(points, rows, bound).document())
        except MoxError as error:
            outside = not (measured and min(measured) <= rows <= max(measured))
            said = {"rows": rows, "store": None, "why": error.message, "estimate": outside}
            found.append(said)
    return found


def save(store: Store, found: Growth) -> None:
    """Keep a growth's document.

    Raises:
        StoreError: the disk is full, or the state folder can't be written.
    """
    said = {**found.content, "roots": [list(ref) for ref in found.roots]}
    write_whole(store.root / FOLDER / f"{found.id}.json", readable(said).encode())


def every(store: Store) -> list[Growth]:
    """All growths of a store, the newest first.

    Raises:
        StoreError: one can't be read, or a newer Mox wrote it.
    """
    found = []
    for path in sorted((store.root / FOLDER).glob("*.json")):
        try:
            said = json.loads(path.read_bytes())
            roots = tuple(Ref(*ref) for ref in said.pop("roots"))
            schema = said["schema"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}).", mend="remove it, and grow again."
            ) from None
        if schema > SCHEMA:
            raise StoreError(
                f"{path} was written by a newer Mox.", mend="upgrade Mox, or remove it."
            )
        found.append(Growth(said, roots))
    return sorted(found, key=lambda one: str(one.content["at"]), reverse=True)


def standing(store: Store) -> list[Standing]:
    """What `gc` keeps for the sake of curves. A growth is let go by removing its file.

    Raises:
        StoreError: one can't be read.
    """
    return [
        Standing(f"{FOLDER}/{one.id}.json", one.id, "", frozenset(one.roots), "growth")
        for one in every(store)
    ]
