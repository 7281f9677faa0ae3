"""Building a collection in Milvus, by the one order in which nothing is answered unindexed.

Insert, flush once, index, load. Rows that are not flushed are searched by brute force while the
engine calls the index finished; each flush makes a segment with an index of its own; what was
loaded before its flush goes on being answered from memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError, SpecError
from mox.indexes.milvus import lite
from mox.indexes.milvus.client import Link
from mox.indexes.milvus.reasons import logged
from mox.indexes.milvus.specs import InvertedFile, MilvusSpec
from mox.indexes.vectors import directed

if TYPE_CHECKING:
    from mox.types import Floats, Ints

FIELD = "vector"
OWN = ("id", FIELD)
"""Fields of every collection."""
BLANK = "mox.blank"
"""Collection property: JSON list of the rows without direction, which the engine never sees."""
BLANK_FIELDS = "mox.blank.fields"
"""Collection property: JSON object of these rows' numbers by field."""
BATCH_ROWS = 2_000
BATCH_BYTES = 8 << 20
"""Of one insert: 2,000 rows load fastest on a server, and gRPC refuses 64 MiB."""
TRAINING_ROWS = 39
"""Rows a cell under which faiss warns."""


def patience_s(rows: int) -> float:
    """How long an index may take: 20 times the slowest graph that was measured, 400 rows/s."""
    return 120 + rows / 20


@dataclass(frozen=True)
class Contents:
    """What a collection is filled with.

    `vectors`: (rows, dims) float32. `fields`: (rows,) whole numbers by name.
    """

    vectors: Floats
    fields: Mapping[str, Ints]

    @property
    def blank(self) -> list[int]:
        """Rows without direction, ascending."""
        held: list[int] = (~directed(self.vectors)).nonzero()[0].tolist()
        return held

    @property
    def held(self) -> list[int]:
        """Rows that the engine gets, ascending."""
        held: list[int] = directed(self.vectors).nonzero()[0].tolist()
        return held


def create(link: Link, spec: MilvusSpec, contents: Contents) -> None:
    """Create an empty collection.

    Raises:
        SpecError: vectors or fields that the type cannot hold.
        EngineError: there is such a collection, or nothing that has a direction.
    """
    from pymilvus import DataType, MilvusClient

    _check(link, spec, contents)
    # A server takes a second creation with an equal schema silently, and adds rows to the first.
    if link.client.has_collection(link.name, timeout=link.limits.answer):
        raise EngineError(f"{link.where} has {link.name} already.", mend="drop it first.")
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field(FIELD, DataType[spec.data_type], dim=contents.vectors.shape[1])
    for name in contents.fields:
        schema.add_field(name, DataType.INT64)
    link.client.create_collection(
        link.name,
        schema=schema,
        # Strong costs 200 ms a search and gains nothing where nothing is written any more.
        consistency_level="Bounded",
        properties=_properties(contents),
        timeout=link.limits.step,
    )


def _check(link: Link, spec: MilvusSpec, contents: Contents) -> None:
    if not contents.held:
        raise EngineError(
            f"none of the {len(contents.vectors)} vectors for {link.name} has a direction.",
            mend="use an embedder that knows these texts.",
        )
    spec.check_dims(contents.vectors.shape[1])
    spec.check_rows(len(contents.held))
    if taken := sorted(set(contents.fields) & set(OWN)):
        raise SpecError(
            f"{spec.kind}: every collection has a field {taken[0]!r} of its own.",
            mend="give the field another name.",
        )


def _properties(contents: Contents) -> dict[str, str] | None:
    blank = contents.blank
    if not blank:
        return None
    numbers = {name: values[blank].tolist() for name, values in contents.fields.items()}
    return {BLANK: json.dumps(blank), BLANK_FIELDS: json.dumps(numbers)}


def fill(
    link: Link,
    spec: MilvusSpec,
    contents: Contents,
    *,
    patience_s: Callable[[int], float] = patience_s,
) -> None:
    """Insert, flush, index and load a created collection. Verified by `verify.verify`.

    Args:
        patience_s: seconds that so many rows may take to be indexed, and then to be loaded.

    Raises:
        EngineError: the engine is away or refuses, or its index is not done when patience ends.
    """
    rows = contents.held
    _insert(link, spec, contents, rows)
    link.client.flush(link.name, timeout=link.limits.step)
    index(link, spec, len(rows), patience_s(len(rows)))
    load(link, len(rows), patience_s=patience_s)


def _insert(link: Link, spec: MilvusSpec, contents: Contents, rows: list[int]) -> None:
    fields = {name: values.tolist() for name, values in contents.fields.items()}
    step = max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * contents.vectors.shape[1])))
    for at in range(0, len(rows), step):
        part = rows[at : at + step]
        packed = spec.pack(contents.vectors[part])
        batch = [
            {"id": row, FIELD: vector, **{name: values[row] for name, values in fields.items()}}
            for row, vector in zip(part, packed, strict=True)
        ]
        link.client.insert(link.name, batch, timeout=link.limits.write)


def index(link: Link, spec: MilvusSpec, rows: int, patience_s: float) -> None:
    """Index the vectors, and wait until that is done."""
    params = spec.engine_params()
    if link.is_lite and params:
        # Lite reads build parameters only from a nested `params`, and takes its defaults for
        # whatever stands flat, as pymilvus' own examples write it.
        params = {**params, "params": params}
    wanted = link.client.prepare_index_params()
    wanted.add_index(FIELD, index_type=spec.kind, metric_type=spec.sent_metric, params=params)
    thin = isinstance(spec, InvertedFile) and rows < TRAINING_ROWS * spec.nlist
    quiet = lite.without_training_warnings() if link.is_embedded and thin else nullcontext()
    # Lite builds inside the call. `sync` would wait with one timeout for all, so that a frozen
    # server looked like a slow one, and sleeps half a second first.
    limit = max(link.limits.step, patience_s) if link.is_lite else link.limits.step
    with quiet:
        link.client.create_index(link.name, wanted, sync=False, timeout=limit)
    link.wait(
        lambda: _finished(link, rows),
        "indexing",
        patience_s,
        so_far=lambda: _so_far(link, spec),
    )


def _finished(link: Link, rows: int) -> bool:
    found = describe(link)
    if found["state"] == "Failed":
        raise EngineError(
            f"{link.where} could not index {link.name} ({found.get('index_fail_reason', '')}).",
            mend="see the engine's log, and whether its limits allow these settings.",
        )
    done = found["state"] == "Finished" and not found["pending_index_rows"]
    return done and int(found["total_rows"]) == rows


def _so_far(link: Link, spec: MilvusSpec) -> str:
    found = describe(link)
    done, total = found["indexed_rows"], found["total_rows"]
    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    reason = found.get("index_fail_reason") or logged(link.place.uri, about["collection_id"])
    reason = reason or "its API gives no reason"
    return f" as {spec.kind} ({done} of {total} rows, {found['state']}, {reason})"


def describe(link: Link) -> dict[str, Any]:
    """What the engine says of the index.

    Raises:
        EngineError: there is none.
    """
    found = link.client.describe_index(link.name, FIELD, timeout=link.limits.answer)
    if not found:
        raise EngineError(f"{link.name} has no index in {link.where}.", mend="build it again.")
    return dict(found)


def load(link: Link, rows: int, *, patience_s: Callable[[int], float] = patience_s) -> None:
    """Make a collection searchable; returns when it is."""
    from pymilvus.client.types import LoadState

    link.client.load_collection(link.name, timeout=link.limits.step, _async=True)

    def loaded() -> bool:
        state = link.client.get_load_state(link.name, timeout=link.limits.answer)
        return bool(state["state"] == LoadState.Loaded)

    link.wait(loaded, "loading", patience_s(rows))


def release(link: Link) -> None:
    """Let a server forget what it holds of a collection in memory; Lite's goes with its server."""
    if not link.is_embedded:
        link.client.release_collection(link.name, timeout=link.limits.step)


def blank_rows(link: Link) -> list[int]:
    """The collection's rows without direction, ascending."""
    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    held: Iterable[int] = json.loads(about["properties"].get(BLANK, "[]"))
    return list(held)


def blank_fields(link: Link) -> dict[str, list[int]]:
    """Numbers of the rows without direction, by field."""
    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    held: dict[str, list[int]] = json.loads(about["properties"].get(BLANK_FIELDS, "{}"))
    return held


def held_rows(link: Link) -> int:
    """How many rows the engine holds, without loading them.

    By its statistics: these count what was inserted, which is what is there where nothing is
    ever deleted or written twice.
    """
    stats = link.client.get_collection_stats(link.name, timeout=link.limits.answer)
    return int(stats["row_count"])
