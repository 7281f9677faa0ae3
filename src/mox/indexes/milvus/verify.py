"""Whether what was asked for is what was built and what answers, read back from the engine.

An engine says "Finished" of an index that it did not build (Lite, for unflushed rows; a server,
for segments under `minSegmentNumRowsToEnableIndex`, 1,024 rows by default), and Lite says it
with other parameters than those sent. So each claim is held to the nearest thing to a proof: on
Lite the index files themselves, on a server the list of loaded segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.errors import EngineError
from mox.indexes.milvus import lite
from mox.indexes.milvus.build import describe, load, release
from mox.indexes.milvus.client import Link
from mox.indexes.milvus.specs import MilvusSpec

_FAISS = {
    "FLAT": "FLAT",
    "HNSW": "IndexHNSWFlat",
    "HNSW_SQ": "IndexHNSWSQ",
    "IVF_FLAT": "IndexIVFFlat",
    "IVF_SQ8": "IndexIVFScalarQuantizer",
    "AUTOINDEX": "IndexHNSWFlat",
}
"""What Lite's index file must hold. Without faiss its AUTOINDEX would be brute force."""
UNINDEXED = ("FLAT", "BIN_FLAT")
"""Types that are the vectors themselves: a server needs no index for them."""


def verify(link: Link, spec: MilvusSpec, rows: int) -> Mapping[str, Any]:
    """Read back type, metric, every build parameter, the row count, and what holds the rows.

    Args:
        rows: how many were sent.

    Returns:
        The build parameters as read back, under our names; for AUTOINDEX on Lite those that it
        chose.

    Raises:
        EngineError: one is absent or another; nothing may be scored.
    """
    check_described(link, spec)
    found = spec.model_dump(exclude={"kind"})
    if link.is_embedded:
        found |= _check_files(link, spec, rows)
    elif not link.is_lite:
        _check_segments(link, spec, rows)
    check_rows(link, rows)
    return found


def check_rows(link: Link, rows: int) -> None:
    """Hold the number of rows that can be found to those that were sent.

    Raises:
        EngineError: it differs.
    """
    counted = link.client.query(
        link.name,
        filter="",
        output_fields=["count(*)"],
        consistency_level="Strong",
        timeout=link.limits.search,
    )[0]["count(*)"]
    if counted != rows:
        raise differs(link, f"{counted} rows where {rows} were sent")


def check_described(link: Link, spec: MilvusSpec) -> None:
    """Hold the engine's description of the index to its Spec.

    Raises:
        EngineError: type, metric or a build parameter is absent or another.
    """
    said = describe(link)
    held = said.get("params", {}) if link.is_lite else said
    asked = {"index_type": spec.kind, "metric_type": spec.sent_metric}
    _compare(link, said, asked, "index")
    _compare(link, held, spec.engine_params(), "index")


def _compare(link: Link, found: Mapping[str, Any], asked: Mapping[str, Any], what: str) -> None:
    for name, value in asked.items():
        # A server answers numbers as text.
        if str(found.get(name)) != str(value):
            has = f"{name} = {found[name]}" if name in found else f"no {name}"
            raise differs(link, f"an {what} with {has} where {name} = {value} was asked for")


def _check_files(link: Link, spec: MilvusSpec, rows: int) -> dict[str, Any]:
    files = lite.index_files(link.place)
    held = 0
    resolved: dict[str, Any] = {}
    for file in files:
        found = lite.read_index(file)
        held += found["rows"]
        asked = {name: v for name, v in spec.engine_params().items() if name != "sq_type"}
        _compare(link, found, {"type": _FAISS[spec.kind], **asked}, "index file")
        if spec.kind == "AUTOINDEX":
            resolved = {"m": found["M"], "ef_construction": found["efConstruction"]}
    if held != rows:
        raise differs(link, f"index files over {held} rows where {rows} were sent")
    return resolved


def _check_segments(link: Link, spec: MilvusSpec, rows: int) -> None:
    """Every row in a sealed segment that answers by its index, after one more load if need be."""
    answering = _answering(link, spec)
    if answering != rows:
        release(link)
        load(link, rows)
        answering = _answering(link, spec)
    if answering != rows:
        raise EngineError(
            f"{link.where} answers {answering} of the {rows} rows of {link.name} by its"
            f" {spec.kind} index; a server leaves segments of few rows (1,024 unless it is told"
            " otherwise) unindexed.",
            mend="for so few rows use FLAT, `exact`, Milvus Lite or `mox up milvus`; or lower the"
            " server's indexCoord.segment.minSegmentNumRowsToEnableIndex.",
        )


def _answering(link: Link, spec: MilvusSpec) -> int:
    segments = link.client.list_loaded_segments(link.name, timeout=link.limits.answer)
    return sum(
        int(segment.num_rows)
        for segment in segments
        if segment.state_name == "Sealed" and (segment.index_id or spec.kind in UNINDEXED)
    )


def differs(link: Link, what: str) -> EngineError:
    """That an engine made something else than was asked for."""
    return EngineError(
        f"{link.where} built something else: {link.name} has {what}.",
        mend="drop it and build again; if that repeats, this version of the engine or of pymilvus"
        " does not do what is asked of it.",
    )


def index_bytes(link: Link, spec: MilvusSpec, rows: int, dims: int) -> tuple[int, str]:
    """Bytes of what answers, vectors included, and whether they were `measured` or by `formula`.

    On a server by formula, also where its files can be read (`disk`): they are compressed, which
    what answers isn't, and a FLAT has none but the log of its rows.
    """
    if link.is_embedded:
        files = lite.index_files(link.place)
        return sum(file.stat().st_size for file in files), "measured"
    return spec.formula_bytes(rows, dims) + spec.disk_bytes(rows, dims), "formula"
