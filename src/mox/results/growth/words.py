"""What a growth says in sentences, the same in a terminal, in a notebook and in MLflow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

ESTIMATE = "ESTIMATE"
"""The mark of all that is said of a size that wasn't measured."""


def is_lite(engine: Mapping[str, str]) -> bool:
    """Whether Milvus Lite answered: its latencies and its memory are its own, and no index's."""
    return engine.get("engine") == "milvus-lite"


def named(index: Mapping[str, Any], search: Mapping[str, Any], clients: int | None = None) -> str:
    """`HNSW m=16 ef=64, 4 clients`; without the clients where None."""
    parts = {**index, **search}
    kind = parts.pop("kind")
    rest = (f"{name}={value}" for name, value in parts.items() if value is not None)
    said = " ".join([str(kind), *rest])
    if clients is None:
        return said
    return f"{said}, 1 client" if clients == 1 else f"{said}, {clients} clients"


def way(plain: Mapping[str, Any]) -> str:
    """The configuration of a point, a fit, a crossing or a decision."""
    return named(plain["index"], plain["search"], plain["clients"])


def about(content: Mapping[str, Any]) -> str:
    """What was grown from."""
    real = ", ".join(f"{name} {rows:,}" for name, rows in content["real"].items())
    return f"real vectors of {real}; {content['questions']:,} questions"


def asked(bound: Mapping[str, Any]) -> str:
    """The user's bound."""
    limit = f"p95 ≤ {bound['p95_ms']:g} ms, " if bound["p95_ms"] else ""
    clients = "1 client" if bound["clients"] == 1 else f"{bound['clients']} clients"
    return f"{limit}recall ≥ {bound['recall']:g}, {clients}"


def suffices(content: Mapping[str, Any]) -> str:
    """Where pgvector stops sufficing, with its interval and its mark."""
    bound, stops = asked(content["bound"]), content["crossing"]
    if stops is None:
        return f"where pgvector stops ({bound}): it has no curve, which takes three sizes"
    between = f"[{size(stops['low'])} to {size(stops['high'])}]"
    mark = f"; an {ESTIMATE}, since no such size was measured" if stops["estimate"] else ""
    what = "its latency" if stops["because"] == "p95_ms" else "its recall"
    if stops["n"] is None:
        return (
            f"pgvector suffices ({bound}) without an end {between}: the curve of {way(stops)} never"
            f" breaks the bound{mark}"
        )
    if stops["n"] < 1:
        return (
            f"pgvector suffices ({bound}) at no size {between}: {what} breaks the bound from the"
            f" first vector on ({way(stops)}){mark}"
        )
    return (
        f"pgvector suffices ({bound}) up to {size(stops['n'])} vectors {between}, where"
        f" {what} breaks the bound ({way(stops)}){mark}"
    )


def size(n: float | None) -> str:
    """Three digits of it: more are not known."""
    return "no end" if n is None else f"{round(n, 3 - len(str(int(n)))):,.0f}"


def decided(content: Mapping[str, Any]) -> Iterator[str]:
    """What would be taken at each size; one line for sizes in a row of which the same is said."""
    for said, some in itertools.groupby(
        content["decisions"], lambda one: (one["store"] or "nothing", one["why"], one["estimate"])
    ):
        store, why, estimate = said
        rows = ", ".join(f"{one['rows']:,}" for one in some)
        yield f"at {rows}{f' (an {ESTIMATE})' if estimate else ''}: {store}. {why}"


def taken(content: Mapping[str, Any]) -> str:
    """The store of each size, in one sentence."""
    parts = []
    for (store, estimate), some in itertools.groupby(
        content["decisions"], lambda one: (one["store"] or "nothing", one["estimate"])
    ):
        rows = [one["rows"] for one in some]
        where = f"{rows[0]:,}" if len(rows) == 1 else f"{rows[0]:,} to {rows[-1]:,}"
        parts.append(f"{store} at {where} vectors{f' (an {ESTIMATE})' if estimate else ''}")
    return f"Taken: {'; '.join(parts)}." if parts else ""


def estimated(content: Mapping[str, Any]) -> Iterator[str]:
    """Memory by formula at sizes that weren't run."""
    for one in content.get("estimates", ()):
        yield (
            f"{named(one['index'], {})} at {one['n']:,}: {megabytes(one['formula_mb'])} MB by"
            f" formula, an {ESTIMATE}"
        )


def megabytes(value: float | None) -> str:
    """Three digits at least of what a size in megabytes is; a dash where it isn't known."""
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mixed(content: Mapping[str, Any]) -> Iterator[str]:
    """How like the real vectors those are that were mixed from them."""
    found = content["mixtures"]
    if found is None:
        yield "all sizes are real vectors"
        return
    rehearsed = found["rehearsal"]
    yield (
        f"beyond them mixtures; local intrinsic dimension (k = {found['k']}, quartiles), rehearsed"
        f" from {rehearsed['base']:,} to {rehearsed['rows']:,}: real"
        f" {_quartiles(rehearsed['real'])}, mixed {_quartiles(rehearsed['mixed'])}"
    )
    for one in found["sizes"]:
        far = f": NOT within {100 * found['tolerance']:.0f} %, so in no curve and no decision"
        mark = "" if one["matched"] else far
        yield (
            f"at {one['n']:,}: real {_quartiles(one['real'])}, mixed {_quartiles(one['mixed'])},"
            f" off by {100 * one['deviation']:.0f} %{mark}"
        )


def notes(content: Mapping[str, Any]) -> list[str]:
    """What is to be known beside the numbers."""
    found = list(content["notes"])
    if any(is_lite(one["engine"]) for one in content["points"]):
        found.append("Milvus Lite's latencies are its own, and say nothing of a server.")
    if any(fit["what"] == "recall" for fit in content["fits"]):
        found.append(
            "intervals of recall are those of its curve over the sizes. All sizes are asked the"
            f" same {content['questions']:,} questions, so they say nothing of what others would"
            " find: the fewer there are, the more that may differ."
        )
    return found


def _quartiles(values: Any) -> str:
    return "/".join(f"{value:.1f}" for value in values)


def alike(content: Mapping[str, Any]) -> Iterator[str]:
    """Whether the two stores answered alike, a pair a line, those most alike first."""
    for one in sorted(content["alike"], key=lambda one: -one["overlap"]):
        first, second = (named(part["index"], part["search"]) for part in one["pair"])
        gap = one["difference"]
        yield (
            f"{first} and {second} at {one['n']:,}: {_verdict(one)}; recall {one['recall'][0]:.3f}"
            f" and {one['recall'][1]:.3f}, difference {gap['mean']:+.4f} [{gap['low']:+.4f},"
            f" {gap['high']:+.4f}], {100 * one['same']:.0f} % of {one['questions']:,} questions id"
            " for id"
        )


def _verdict(one: Mapping[str, Any]) -> str:
    if one["equivalent"]:
        return f"alike within ±{one['margin']:g}"
    if one["same"] == 1.0:
        return f"the same answers; too few questions to show ±{one['margin']:g} for others"
    return f"not shown to be alike within ±{one['margin']:g}"


def left_out(content: Mapping[str, Any]) -> Iterator[str]:
    """What wasn't measured, the cheapest first."""
    for one in content["left_out"]:
        yield f"{one['n']:,} {way(one)}, about {one['expected_s']:.0f} s: {one['why']}"
