"""Trials: complete configurations, and the shapes of what they search by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mox.experiment.loads import Load
from mox.spec import IndexSpec, SearchSettings, Spec, digest

AXES = ("chunk", "embed", "index", "search", "load")
"""Outermost first; the plan keeps this order. `parse rerank prompt generate` come later."""


class Dense(Spec):
    """Search by vectors. Further fields are the search settings of the sweep's indexes."""

    kind: str = "dense"
    k: int = 10
    """Hits per question."""


class Hybrid(Spec):
    """Dense and lexical hits, fused. Further fields are the indexes' search settings."""

    kind: str = "hybrid"
    k: int = 10
    """Hits per question after fusion."""
    depth: int = 50
    """Hits of each side that fusion sees. Under k, fusion would starve; a side's hit past some
    50 places adds under 1/110 to a reciprocal-rank score and seldom changes the first ten."""
    fusion: Mapping[str, Any] = {"kind": "rrf"}
    """How the two lists become one."""
    lexical: Mapping[str, Any] = {"kind": "bm25"}
    """The lexical side: a retriever and its settings."""


class FullText(Spec):
    """Search by texts in an engine. Further fields are the search settings of the sweep's indexes
    of texts."""

    kind: str = "full_text"
    k: int = 10
    """Hits per question; fewer where fewer rows have a word of it."""


class EngineHybrid(Spec):
    """Search by vectors and texts in one collection, whose engine fuses both sides itself.
    Further fields are the search settings of the sweep's indexes of both."""

    kind: str = "engine_hybrid"
    k: int = 10
    """Hits per question after fusion."""
    depth: int = 50
    """Hits of each side that fusion sees, as of `hybrid`."""
    fusion: Mapping[str, Any] = {"kind": "rrf"}
    """How the engine makes one list of two: `{kind: rrf, k: 60}` or
    `{kind: weighted, weight: 0.5, normalise: arctan}`."""


@dataclass(frozen=True)
class Search:
    """How a trial searches, resolved: every setting stands, none is left to a default.

    `settings`: the index's, where an index is searched. `retriever`: for lexical and hybrid.
    `fusion` and `depth`: for hybrid, where Mox fuses, and engine_hybrid. `least`: the least score
    that the dense and the lexical side could ever give, where the fusion needs it; it follows
    from their kinds.
    """

    kind: str
    k: int
    settings: SearchSettings | None = None
    retriever: Spec | None = None
    fusion: Spec | None = None
    depth: int | None = None
    least: tuple[float, float] | None = None

    @property
    def is_fused_here(self) -> bool:
        """Whether Mox fuses lists that it sees, rather than an engine its own."""
        return self.kind == "hybrid"

    @property
    def dense_k(self) -> int:
        """How many hits are asked of the index."""
        return self.depth or self.k

    @cached_property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind, "k": self.k}
        if self.settings is not None:
            found |= self.settings.model_dump(mode="json")
        if self.fusion is not None:
            found["depth"] = self.depth
            found["fusion"] = self.fusion.model_dump(mode="json")
        if self.is_fused_here:
            assert self.retriever is not None  # noqa: S101  set by resolve, together with kind
            found["lexical"] = self.retriever.model_dump(mode="json")
        elif self.retriever is not None:
            found |= self.retriever.model_dump(mode="json")
        return found


@dataclass(frozen=True)
class Trial:
    """One complete configuration. `embed` is None where vectors play no part, `index` where no
    index is searched.

    `load`: under which its index is measured, where the experiment asks for that.
    """

    tokenizer: str
    chunk: Spec
    embed: Spec | None
    index: IndexSpec | None
    search: Search
    load: Load | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting, defaults written out, by axis."""
        found: dict[str, Any] = {"tokenizer": self.tokenizer}
        for axis in ("chunk", "embed", "index"):
            spec: Spec | None = getattr(self, axis)
            if spec is not None:
                found[axis] = spec.model_dump(mode="json")
        found["search"] = self.search.config
        if self.load is not None:
            found["load"] = self.load.model_dump(mode="json")
        return found

    @cached_property
    def id(self) -> str:
        """Hash of the resolved configuration: the same in every store."""
        return digest(self.config)[:10]

    @cached_property
    def params(self) -> dict[str, Any]:
        """The configuration flat: `chunk.kind`, `index.m`, `search.fusion.k`."""
        return dict(flatten(self.config))


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested settings by dotted name."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
