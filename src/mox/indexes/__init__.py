"""Vectors to an index to hits: exact search, and engines that are verified after each build."""

from mox.registry import Registry
from mox.types import IndexBackend

indexes: Registry[IndexBackend] = Registry(
    "mox.indexes", ["mox.indexes.exact", "mox.indexes.milvus"]
)
