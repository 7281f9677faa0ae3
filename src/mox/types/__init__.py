"""The nouns that every room shares, and the protocols that rooms hand each other."""

from typing import TYPE_CHECKING

from mox.types.corpus import Chunk, ChunkTable, Corpus, Document, Evidence, Question, Span
from mox.types.judging import Metric, Passage, Shown
from mox.types.parts import (
    Chunker,
    CorpusLoader,
    Embedder,
    Fusion,
    PaidEmbedder,
    Retriever,
    Tokenizer,
)
from mox.types.search import (
    Asked,
    Built,
    Hits,
    IndexBackend,
    IndexServer,
    IndexWriter,
    PairSearcher,
    Place,
    Rows,
    Searcher,
    Served,
    TextSearcher,
    Where,
    Writable,
)

if TYPE_CHECKING:
    from mox.types.arrays import Arrays as Arrays
    from mox.types.arrays import Floats as Floats
    from mox.types.arrays import Ints as Ints

__all__ = [
    "Asked",
    "Built",
    "Chunk",
    "ChunkTable",
    "Chunker",
    "Corpus",
    "CorpusLoader",
    "Document",
    "Embedder",
    "Evidence",
    "Fusion",
    "Hits",
    "IndexBackend",
    "IndexServer",
    "IndexWriter",
    "Metric",
    "PaidEmbedder",
    "PairSearcher",
    "Passage",
    "Place",
    "Question",
    "Retriever",
    "Rows",
    "Searcher",
    "Served",
    "Shown",
    "Span",
    "TextSearcher",
    "Tokenizer",
    "Where",
    "Writable",
]
