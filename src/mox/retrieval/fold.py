"""Chunk hits to documents: each document by its best chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.types import ChunkTable, Floats, Hits, Ints


def fold(hits: Hits, table: ChunkTable) -> tuple[Ints, Floats]:
    """Documents in the order of their first, so best, chunk.

    Ties stay trec_eval's, document id descending, since chunks of equal score stand so.

    Returns:
        (queries, k) indexes into `table.documents` padded with -1, and (queries, k) float32
        scores padded with -inf. Documents may be fewer than chunks: search deeper than the
        number of documents that is wanted.
    """
    import numpy as np

    real = hits.ids >= 0
    document = np.full(hits.ids.shape, -1, dtype=np.int32)
    document[real] = table.document[hits.ids[real]]
    # A stable sort brings each document's hits together, the first of them in front.
    order = np.argsort(document, axis=1, kind="stable")
    together = np.take_along_axis(document, order, axis=1)
    first = np.ones(together.shape, dtype=bool)
    first[:, 1:] = together[:, 1:] != together[:, :-1]
    # Padding folds like a document, and stands last.
    kept = np.zeros(together.shape, dtype=bool)
    np.put_along_axis(kept, order, first, axis=1)
    documents = np.full(hits.ids.shape, -1, dtype=np.int32)
    scores = np.full(hits.ids.shape, -np.inf, dtype=np.float32)
    query, place = np.nonzero(kept)
    rank = (np.cumsum(kept, axis=1) - 1)[query, place]
    documents[query, rank] = document[query, place]
    scores[query, rank] = hits.scores[query, place]
    return documents, scores
