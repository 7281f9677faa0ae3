"""Building collections that hold texts, with or without a vector of each row.

The order is that of `build`: insert, flush once, index, load. Beside what is said there: on
Milvus Lite build parameters arrive nested only (flat `bm25_k1` of 0.1, 1.2 and 1.5 give one
score), and a row whose vector has no direction keeps its text, so it is inserted under a stand-in
and marked; searches by vector pass over it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes.milvus.build import BATCH_BYTES, BATCH_ROWS, FIELD, load, patience_s
from mox.indexes.milvus.client import Link
from mox.indexes.milvus.text import MOST_BYTES, MilvusText
from mox.indexes.milvus.verify import check_rows, differs
from mox.indexes.vectors import directed

if TYPE_CHECKING:
    from mox.types import Floats

TEXT = "text"
SPARSE = "sparse"
DIRECTED = "directed"
"""1 where the row's vector has a direction, else 0."""
FUNCTION = "bm25"


def create(link: Link, spec: MilvusText, dims: int | None) -> None:
    """Create an empty collection of texts, and of vectors where `dims` is given.

    Raises:
        EngineError: there is such a collection.
    """
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    # A server takes a second creation with an equal schema silently, and adds rows to the first.
    if link.client.has_collection(link.name, timeout=link.limits.answer):
        raise EngineError(f"{link.where} has {link.name} already.", mend="drop it first.")
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field(
        TEXT,
        DataType.VARCHAR,
        max_length=MOST_BYTES,
        enable_analyzer=True,
        analyzer_params=spec.analyzer_params(),
    )
    schema.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)
    if dims is not None:
        schema.add_field(FIELD, DataType.FLOAT_VECTOR, dim=dims)
        schema.add_field(DIRECTED, DataType.INT8)
    schema.add_function(Function(FUNCTION, FunctionType.BM25, [TEXT], [SPARSE]))
    link.client.create_collection(
        link.name, schema=schema, consistency_level="Bounded", timeout=link.limits.step
    )


def insert(link: Link, texts: Sequence[str], vectors: Floats | None = None) -> None:
    """Insert all rows, in batches that gRPC takes, and flush once.

    Raises:
        EngineError: no vector has a direction.
    """
    batch: list[Mapping[str, Any]] = []
    held = 0
    for size, cells in _cells(link, texts, vectors):
        if batch and (len(batch) == BATCH_ROWS or held + size > BATCH_BYTES):
            link.client.insert(link.name, batch, timeout=link.limits.write)
            batch, held = [], 0
        batch.append(cells)
        held += size
    link.client.insert(link.name, batch, timeout=link.limits.write)
    link.client.flush(link.name, timeout=link.limits.step)


def _cells(
    link: Link, texts: Sequence[str], vectors: Floats | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each row's bytes, about, and its cells."""
    if vectors is None:
        for row, text in enumerate(texts):
            yield len(text.encode()), {"id": row, TEXT: text}
        return
    has_direction = directed(vectors)
    if not has_direction.any():
        raise EngineError(
            f"none of the {len(vectors)} vectors for {link.name} has a direction.",
            mend="use an embedder that knows these texts.",
        )
    stand_in = vectors[int(has_direction.argmax())]
    for row, text in enumerate(texts):
        held = bool(has_direction[row])
        vector = vectors[row] if held else stand_in
        cells = {"id": row, TEXT: text, FIELD: vector, DIRECTED: int(held)}
        yield len(text.encode()) + vector.nbytes, cells


def index_texts(link: Link, spec: MilvusText, rows: int) -> None:
    """Index the sparse field, and wait until that is done."""
    params = spec.engine_params()
    sent = {**params, "params": params} if link.is_lite else params
    index = link.client.prepare_index_params()
    index.add_index(SPARSE, index_type=spec.kind, metric_type="BM25", params=sent)
    limit = max(link.limits.step, patience_s(rows)) if link.is_lite else link.limits.step
    link.client.create_index(link.name, index, sync=False, timeout=limit)

    def finished() -> bool:
        found = described(link)
        if found["state"] == "Failed":
            raise EngineError(
                f"{link.where} could not index {link.name}'s texts"
                f" ({found.get('index_fail_reason', '')}).",
                mend="see the engine's log, and whether its limits allow these settings.",
            )
        done = found["state"] == "Finished" and not found["pending_index_rows"]
        return done and int(found["total_rows"]) == rows

    link.wait(finished, "indexing", patience_s(rows))


def described(link: Link) -> dict[str, Any]:
    """What the engine says of the index of texts.

    Raises:
        EngineError: there is none.
    """
    found = link.client.describe_index(link.name, SPARSE, timeout=link.limits.answer)
    if not found:
        raise EngineError(
            f"{link.name} has no index of texts in {link.where}.", mend="build it again."
        )
    return dict(found)


def check_described(link: Link, spec: MilvusText) -> None:
    """Hold what the engine says of function, analyzer and index to the Spec.

    Raises:
        EngineError: one is absent or another; nothing may be scored.
    """
    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    filled = [
        (function["input_field_names"], function["output_field_names"])
        for function in about.get("functions", ())
        if function["type"].name == "BM25"
    ]
    if filled != [([TEXT], [SPARSE])]:
        # So of Milvus 2.3.5: it creates the collection, without the function.
        raise differs(link, f"the functions {filled}, not BM25 from {TEXT} to {SPARSE}")
    field = next(field for field in about["fields"] if field["name"] == TEXT)
    analyzer = field["params"].get("analyzer_params", "{}")
    held = json.loads(analyzer) if isinstance(analyzer, str) else analyzer
    if held != spec.analyzer_params():
        raise differs(link, f"the analyzer {held}, not {spec.analyzer_params()}")
    said = described(link)
    params = said.get("params", {}) if link.is_lite else said
    asked = {"index_type": spec.kind, "metric_type": "BM25"}
    for found, wanted in ((said, asked), (params, spec.engine_params())):
        for name, value in wanted.items():
            # A server answers numbers as text.
            if str(found.get(name)) != str(value):
                raise differs(link, f"an index with {name} = {found.get(name)}, not {value}")


def fill(link: Link, spec: MilvusText, texts: Sequence[str]) -> None:
    """Insert, flush, index, load and verify a created collection of texts.

    Raises:
        EngineError: the engine is away or refuses, or built something else.
    """
    insert(link, texts)
    index_texts(link, spec, len(texts))
    load(link, len(texts))
    check_described(link, spec)
    check_rows(link, len(texts))
