"""Searching texts themselves (BM25), fusing lists, and the one order of hits.

A retriever's optional trait `index_bytes` is a function from its Spec and the texts to the
bytes of what answers, the texts not counted.
"""

from mox.registry import Registry
from mox.types import Fusion, Retriever

retrievers: Registry[Retriever] = Registry("mox.retrievers", ["mox.retrieval.bm25"])
fusions: Registry[Fusion] = Registry("mox.fusions", ["mox.retrieval.rrf"])
