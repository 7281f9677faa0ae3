"""What was measured of one index, searched one way by so many clients, at one size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mox.results.growth.words import named
from mox.spec import canonical

FALLING = ("recall", "qps")
"""What gets less as a corpus grows; all else gets more."""
WHAT = ("p95_ms", "p50_ms", "qps", "build_s", "memory_mb", "index_mb", "recall")
"""What curves are fitted to, in the order of a table."""
SINGLE = ("build_s", "memory_mb", "index_mb", "recall")
"""Those that are measured once a size: numbers in the JSON, where the others have a spread."""


class Spread(NamedTuple):
    """A median, and the least and the most that rounds of it came to."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float | Mapping[str, float]) -> Spread:
        """From a number, or from a JSON object with the three."""
        if isinstance(value, Mapping):
            return cls(float(value["median"]), float(value["low"]), float(value["high"]))
        return cls(float(value), float(value), float(value))


@dataclass(frozen=True)
class Way:
    """A configuration: an index, how it is searched, and by how many clients at once."""

    index: Mapping[str, Any]
    search: Mapping[str, Any]
    clients: int

    @property
    def name(self) -> str:
        """`HNSW m=16 ef=64, 4 clients`."""
        return named(self.index, self.search, self.clients)

    @property
    def key(self) -> str:
        """Equal for equal configurations."""
        return canonical([self.index, self.search, self.clients])

    def document(self) -> dict[str, Any]:
        return {
            "index": dict(self.index),
            "search": dict(self.search),
            "clients": self.clients,
        }


def key_of(way: Way, engine: Mapping[str, str]) -> str:
    """Equal for equal configurations in equal engines."""
    return canonical([way.key, dict(engine)])


_SAID = ("engine", "version")


def engine_name(engine: Mapping[str, str]) -> str:
    """`postgresql 18.4 (pgvector 0.8.5)`."""
    said = " ".join(engine[name] for name in _SAID if name in engine)
    more = ", ".join(f"{name} {value}" for name, value in engine.items() if name not in _SAID)
    return f"{said} ({more})" if more else said


@dataclass(frozen=True)
class Point:
    """One size of one configuration."""

    way: Way
    n: int
    """Vectors in the index."""
    real: int
    """Those of them that are real."""
    values: Mapping[str, Spread]
    """`p95_ms`, `qps`, … → what the rounds gave."""
    engine: Mapping[str, str] = field(default_factory=dict)
    """Name and version of what answered."""
    invalid: str | None = None
    """Why its latencies and its throughput aren't to be used."""
    formula_mb: float | None = None
    """Its memory by its type's formula; None where there is none. No curve is fitted to it."""

    @property
    def key(self) -> str:
        """See `key_of`."""
        return key_of(self.way, self.engine)

    def document(self) -> dict[str, Any]:
        """Its row in the JSON."""
        plain = {
            what: spread.median if what in SINGLE else spread._asdict()
            for what, spread in self.values.items()
        }
        return {
            **self.way.document(),
            "n": self.n,
            "mixed": self.n - self.real,
            **plain,
            "formula_mb": self.formula_mb,
            "engine": dict(self.engine),
            "invalid": self.invalid,
        }

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> Point:
        """The point that a row of the JSON tells of."""
        values = {what: Spread.of(plain[what]) for what in WHAT if plain.get(what) is not None}
        way = Way(plain["index"], plain["search"], plain["clients"])
        real = plain["n"] - plain["mixed"]
        return cls(
            way,
            plain["n"],
            real,
            values,
            plain["engine"],
            plain["invalid"],
            plain.get("formula_mb"),
        )


def by_way(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Points of each configuration in each engine, the smallest size first.

    Two versions of an engine, or Milvus Lite and a server, make no curve together.
    """
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: point.n):
        found.setdefault(point.key, []).append(point)
    return found
