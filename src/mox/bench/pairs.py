"""Both stores of a growth beside each other: who is compared with whom, and at which size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mox.bench.alike import Alike, alike
from mox.bench.decide import STORES, service_of
from mox.bench.measured import Staged
from mox.bench.points import Way
from mox.bench.vectors import Real
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.types import Hits


class Pair(NamedTuple):
    """One index of each store, at one size."""

    n: int
    simple: Way
    large: Way
    found: Alike


def pairs(
    done: Mapping[int, Mapping[str, Staged]],
    real: Real,
    store: Store,
    *,
    known: dict[tuple[Ref, Ref], Alike],
) -> Iterator[Pair]:
    """Every index of pgvector beside every one of Milvus, at the largest size with both.

    Args:
        done: size → what was measured there, by configuration.
        known: what was compared before, by the two searches; what is compared now is added.
    """
    for n in sorted(done, reverse=True):
        simple, large = (_distinct(done[n].values(), name) for name in STORES)
        if simple and large:
            both = list(itertools.product(simple, large))
            _compare([one for one in both if _key(*one) not in known], real, store, known=known)
            for one, two in both:
                yield Pair(n, one.under.way, two.under.way, known[_key(one, two)])
            return


def _key(one: Staged, two: Staged) -> tuple[Ref, Ref]:
    return one.search.ref, two.search.ref


def _distinct(ways: Iterable[Staged], service: str) -> list[Staged]:
    """Each search of a service once, whatever the number of clients."""
    mine = [way for way in ways if service_of(way.under.index.kind) == service]
    return list({way.search.key: way for way in mine}.values())


def _compare(
    both: Sequence[tuple[Staged, Staged]],
    real: Real,
    store: Store,
    *,
    known: dict[tuple[Ref, Ref], Alike],
) -> None:
    """Compare pairs of one size, whose vectors are read once."""
    if not both:
        return

    def hits(ref: Ref) -> Hits:
        return codec.unpack_hits(store.read(*ref).arrays)

    first, _ = both[0]
    vectors = store.read(*first.search.inputs["embed"]).arrays["vectors"]
    queries = store.read(*real.queries.ref).arrays["vectors"]
    truth = hits(first.exact.ref)
    groups = [question.group for question in real.plan.corpus.questions]
    for one, two in both:
        found = hits(one.search.ref), hits(two.search.ref)
        known[_key(one, two)] = alike(vectors, queries, found, truth, groups=groups)
