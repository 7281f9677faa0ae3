"""Documents to chunks: verbatim spans with exact offsets, never over their size."""

from mox.registry import Registry
from mox.types import Chunker

chunkers: Registry[Chunker] = Registry(
    "mox.chunkers",
    ["mox.chunking.fixed", "mox.chunking.recursive", "mox.chunking.headings", "mox.chunking.whole"],
)
