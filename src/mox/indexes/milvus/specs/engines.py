"""Which engine has which type and setting, and from which version on.

Measured for Milvus Lite 3.2.2 and Milvus 2.3.5, else as Milvus documents it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mox.errors import SpecError
from mox.spec import IndexSpec

Version = tuple[int, ...]

LITE: Mapping[str, Version] = dict.fromkeys(
    ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "HNSW_SQ", "AUTOINDEX"), (3, 2)
)
SERVER: Mapping[str, Version] = {
    # Cosine came with 2.3, which is why the older types begin there.
    **dict.fromkeys(("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX"), (2, 3)),
    **dict.fromkeys(("IVF_PQ", "SCANN", "DISKANN", "BIN_FLAT", "BIN_IVF_FLAT"), (2, 3)),
    **dict.fromkeys(("HNSW_SQ", "HNSW_PQ", "HNSW_PRQ"), (2, 5)),
    **dict.fromkeys(("IVF_RABITQ", "MINHASH_LSH"), (2, 6)),
    "AISAQ": (2, 6, 4),
}
GPU: Mapping[str, Version] = {
    **dict.fromkeys(("GPU_IVF_FLAT", "GPU_IVF_PQ"), (2, 3)),
    **dict.fromkeys(("GPU_BRUTE_FORCE", "GPU_CAGRA"), (2, 4)),
}
"""Of a server built for a GPU, which its version tells by its end, `-gpu`."""
FIRST: Mapping[str, Version] = {**SERVER, **GPU}
"""First server version of each type."""


class Newer(NamedTuple):
    """A setting that came later than its type; Milvus Lite has none of them."""

    kind: str
    field: str
    since: Version
    value: str | None = None
    """The one value that came later; None for all but the default."""


NEWER = (
    Newer("HNSW_SQ", "sq_type", (2, 6, 8), "SQ4U"),
    *(Newer(kind, "refine_type", (2, 6, 8), "SQ4U") for kind in ("HNSW_SQ", "HNSW_PQ", "HNSW_PRQ")),
    Newer("HNSW_SQ", "sq_type", (2, 5)),
    *(Newer("HNSW_SQ", field, (2, 5)) for field in ("refine_type", "refine")),
    *(
        Newer(kind, field, (2, 6))
        for kind in ("IVF_SQ8", "IVF_PQ")
        for field in ("refine_type", "refine")
    ),
    Newer("IVF_SQ8", "sq_type", (2, 6)),
    Newer("IVF_RABITQ", "rbq_bits", (3, 0)),
    Newer("SCANN", "sub_dim", (2, 6)),
    *(
        Newer("DISKANN", field, (2, 6))
        for field in (
            "max_degree",
            "search_list_size",
            "pq_code_budget_gb_ratio",
            "search_cache_budget_gb_ratio",
        )
    ),
)


def check_engine(spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse a type or a setting that an engine's version lacks.

    Args:
        engine: its `engine` and `version`, as the engine itself says them.

    Raises:
        SpecError: names what it would need, what this engine is, and what it has.
    """
    is_lite = engine["engine"] == "milvus-lite"
    version = _numbers(engine["version"])
    here = f"{engine['engine']} {engine['version']}"
    if spec.kind == "MINHASH_LSH":
        raise SpecError(
            "MINHASH_LSH holds MinHash signatures, made of a text's shingles, and no embedder of"
            " Mox makes any.",
            mend="use BIN_FLAT or BIN_IVF_FLAT for the signs of vectors.",
        )
    if spec.kind not in _held(is_lite, version, engine["version"]):
        needs = f"a server of Milvus ≥ {_dotted(FIRST[spec.kind])}"
        if spec.kind in GPU:
            needs = f"a GPU, and {needs} built for one (its version ends in -gpu)"
        has = ", ".join(_held(is_lite, version, engine["version"]))
        raise SpecError(
            f"{spec.kind} needs {needs}; this server is {here}.",
            mend=f"use one of {has}, or set MOX_MILVUS_URI to such a server."
            if has
            else "use a newer engine.",
        )
    for newer in _lacking(spec, is_lite, version):
        value = getattr(spec, newer.field)
        raise SpecError(
            f"{spec.kind}: {newer.field} = {value} needs a server of Milvus ≥"
            f" {_dotted(newer.since)}; this server is {here}.",
            mend=f"leave {newer.field} out, or set MOX_MILVUS_URI to such a server.",
        )


def check_filter(spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse a filter where an engine answers it wrongly.

    Raises:
        SpecError: IVF_PQ on 2.3, which gives rows the scores of others as soon as one row is
            filtered out (measured on 2.3.5: off by up to 0.9, recall 0.35 where half pass).
    """
    broken = engine["engine"] == "milvus" and _numbers(engine["version"])[:2] == (2, 3)
    if spec.kind == "IVF_PQ" and broken:
        raise SpecError(
            f"milvus {engine['version']} mixes up the rows of IVF_PQ under a filter.",
            mend="filter on another type, or use a newer server.",
        )


def _held(is_lite: bool, version: Version, text: str) -> list[str]:
    """Types that an engine has."""
    first = LITE if is_lite else FIRST if text.endswith("-gpu") else SERVER
    return [kind for kind, since in first.items() if version >= since and kind != "MINHASH_LSH"]


def _lacking(spec: IndexSpec, is_lite: bool, version: Version) -> Iterator[Newer]:
    for newer in NEWER:
        if newer.kind != spec.kind or (version >= newer.since and not is_lite):
            continue
        value, default = getattr(spec, newer.field), type(spec).model_fields[newer.field].default
        if value == newer.value if newer.value else value != default:
            yield newer


def _numbers(version: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
