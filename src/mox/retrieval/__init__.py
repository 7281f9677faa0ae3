"""Searching texts themselves (BM25), fusing lists, and the one order of hits."""

from mox.registry import Registry
from mox.types import Fusion, Retriever

retrievers: Registry[Retriever] = Registry("mox.retrievers", ["mox.retrieval.bm25"])
fusions: Registry[Fusion] = Registry("mox.fusions", ["mox.retrieval.rrf"])
