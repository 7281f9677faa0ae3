"""Vectors to an index to hits: exact search, and engines that are verified after each build."""

from mox.registry import Registry
from mox.settings import Settings
from mox.spec import IndexSpec
from mox.types import IndexBackend

indexes: Registry[IndexBackend] = Registry(
    "mox.indexes", ["mox.indexes.exact", "mox.indexes.milvus.backend"]
)


def address(spec: IndexSpec, settings: Settings) -> str | None:
    """URI of the service that an index lives in; None where that is embedded, or there is none."""
    return settings.uri(indexes.entry(spec.kind).traits.get("service"))
