"""Searching texts themselves (BM25), fusing lists, and the one order of hits.

Optional traits of a retriever, as functions from its Spec: `index_bytes` (and the texts) gives
the bytes of what answers, the texts not counted; `least` the score that no hit can be under,
which theoretical normalisation needs (an index may have it too).

Optional traits of a fusion: `many` is the fusion over several Specs at once, so that what they
share is made once; it yields the same bytes as one Spec after the other. `needs_least` says of
a Spec whether its lists have to know their search's least score (`Hits.least`).
"""

from mox.registry import Registry
from mox.types import Fusion, Retriever

retrievers: Registry[Retriever] = Registry("mox.retrievers", ["mox.retrieval.bm25"])
fusions: Registry[Fusion] = Registry("mox.fusions", ["mox.retrieval.rrf", "mox.retrieval.weighted"])
