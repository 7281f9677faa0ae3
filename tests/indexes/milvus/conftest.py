"""A stub of a Milvus server at the gRPC boundary: it records what pymilvus really sends, and
answers as a server of any version would that does what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

SERVICE = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"]
NOT_FOUND = 100


class Stub(grpc.GenericRpcHandler):
    """One collection at a time, which has whatever rows and index were asked for."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.requests: list[tuple[str, Any]] = []
        self.uri = ""
        self._schema: Any = None
        self._properties: list[Any] = []
        self._index: dict[str, list[Any]] = {}
        self._rows = 0

    def sent(self, method: str) -> Any:
        """The last request of a method."""
        return [request for name, request in self.requests if name == method][-1]

    def service(self, details: Any) -> Any:
        method = SERVICE.methods_by_name[details.method.rsplit("/", 1)[-1]]
        asked, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

        def reply(request: Any, _: Any) -> Any:
            self.requests.append((method.name, request))
            said = getattr(self, f"_{method.name}", lambda _: {})(request)
            return answer(**said)

        return grpc.unary_unary_rpc_method_handler(
            reply,
            request_deserializer=asked.FromString,
            response_serializer=answer.SerializeToString,
        )

    def _GetVersion(self, _: Any) -> Any:  # noqa: N802  the service's own names, here and below
        return {"version": self.version}

    def _CreateCollection(self, request: Any) -> Any:  # noqa: N802
        self._schema = schema_pb2.CollectionSchema.FromString(request.schema)
        self._properties = list(request.properties)
        return {}

    def _DescribeCollection(self, request: Any) -> Any:  # noqa: N802
        if self._schema is None:
            reason = f"collection not found[collection={request.collection_name}]"
            return {"status": common_pb2.Status(code=NOT_FOUND, reason=reason, error_code=4)}
        return {"schema": self._schema, "properties": self._properties, "collectionID": 1}

    def _DropCollection(self, _: Any) -> Any:  # noqa: N802
        self._schema, self._rows = None, 0
        return {}

    def _Insert(self, request: Any) -> Any:  # noqa: N802
        self._rows += request.num_rows
        ids = range(self._rows - request.num_rows, self._rows)
        return {
            "IDs": schema_pb2.IDs(int_id=schema_pb2.LongArray(data=ids)),
            "insert_cnt": request.num_rows,
        }

    def _GetFlushState(self, _: Any) -> Any:  # noqa: N802
        return {"flushed": True}

    def _CreateIndex(self, request: Any) -> Any:  # noqa: N802
        self._index[request.field_name] = list(request.extra_params)
        return {}

    def _DescribeIndex(self, request: Any) -> Any:  # noqa: N802
        found = [
            milvus_pb2.IndexDescription(
                index_name=field,
                field_name=field,
                params=params,
                total_rows=self._rows,
                indexed_rows=self._rows,
                state=common_pb2.IndexState.Finished,
            )
            for field, params in self._index.items()
            if request.index_name in ("", field)
        ]
        return {"index_descriptions": found}

    def _GetLoadState(self, _: Any) -> Any:  # noqa: N802
        return {"state": common_pb2.LoadState.LoadStateLoaded}

    def _GetLoadingProgress(self, _: Any) -> Any:  # noqa: N802
        return {"progress": 100}

    def _GetQuerySegmentInfo(self, _: Any) -> Any:  # noqa: N802
        sealed = milvus_pb2.QuerySegmentInfo(
            segmentID=1, num_rows=self._rows, indexID=1, state=common_pb2.SegmentState.Sealed
        )
        return {"infos": [sealed]}

    def _GetCollectionStatistics(self, _: Any) -> Any:  # noqa: N802
        return {"stats": [common_pb2.KeyValuePair(key="row_count", value=str(self._rows))]}

    def _Query(self, _: Any) -> Any:  # noqa: N802
        counted = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[self._rows]))
        field = schema_pb2.FieldData(
            type=schema_pb2.DataType.Int64, field_name="count(*)", scalars=counted
        )
        return {"fields_data": [field], "output_fields": ["count(*)"]}

    def _Search(self, request: Any) -> Any:  # noqa: N802
        """Row 1 to each query, at a distance of a half."""
        return {
            "results": schema_pb2.SearchResultData(
                num_queries=request.nq,
                top_k=1,
                ids=schema_pb2.IDs(int_id=schema_pb2.LongArray(data=[1] * request.nq)),
                scores=[0.5] * request.nq,
                topks=[1] * request.nq,
                primary_field_name="id",
            )
        }

    def _HybridSearch(self, request: Any) -> Any:  # noqa: N802
        return self._Search(request.requests[0])


@contextmanager
def listening(version: str) -> Iterator[Stub]:
    stub = Stub(version)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[stub])
    stub.uri = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield stub
    finally:
        server.stop(None).wait()


@pytest.fixture
def stub_of() -> Iterator[Callable[[str], Stub]]:
    """Starts a stub that says it is a server of some version."""
    with ExitStack() as stack:
        yield lambda version: stack.enter_context(listening(version))
