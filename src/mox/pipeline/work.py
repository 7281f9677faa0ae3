"""What each stage does: functions of a stage and the context that reads its inputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.embedding import embedders
from mox.embedding.check import unread_share, verify
from mox.errors import DataError, SpecError
from mox.evaluation.agreement import recall_of_exact
from mox.evaluation.cuts import TokenEnds
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import Relevance, prepare
from mox.evaluation.score import score
from mox.indexes import engine_fusion
from mox.indexes.exact import nearest
from mox.pipeline import codec
from mox.pipeline.building import build, rebuild_if_gone
from mox.pipeline.context import Context, index_spec
from mox.pipeline.memo import memo_of
from mox.pipeline.paid import Shopper
from mox.pipeline.stages import Output, Stage
from mox.registry import validate
from mox.retrieval import fusions, retrievers
from mox.retrieval.hits import ranked
from mox.types import Asked, ChunkTable, Hits

if TYPE_CHECKING:
    from mox.types import Floats


def chunk(stage: Stage, context: Context) -> Output:
    """Documents → chunk table."""
    spec = chunkers.parse(stage.spec["of"])
    documents = context.documents(stage.inputs["documents"])
    tokenizer = context.tokenizer(stage.spec["tokenizer"])
    table = chunk_corpus(spec, documents, tokenizer, tick=_seldom(context.tick))
    return Output(codec.pack_chunks(table), {"chunks": len(table)})


def tokens(stage: Stage, context: Context) -> Output:
    """Where each token of each chunk's returned text ends: what context budgets are cut by."""
    import numpy as np

    table = context.chunks(stage.inputs["chunk"])
    texts = {d.id: d.text for d in context.documents(stage.inputs["documents"])}
    tokenizer = context.tokenizer(stage.spec["tokenizer"])
    tick = _seldom(context.tick)
    ends = []
    for row in range(len(table)):
        ends.append(tokenizer.ends(returned_text(table, row, texts)))
        tick()
    first = np.zeros(len(ends) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in ends], out=first[1:])
    every = np.concatenate(ends) if ends else np.empty(0, dtype=np.int32)
    return Output({"first": first, "ends": every.astype(np.int32)}, {"tokens": int(first[-1])})


def _seldom(tick: Callable[[], None]) -> Callable[[], None]:
    """The tick, five times a second at most: each is a line that the parent has to read."""
    last = -math.inf

    def ticked() -> None:
        nonlocal last
        if (now := time.monotonic()) - last > 0.2:
            last = now
            tick()

    return ticked


def returned_text(table: ChunkTable, row: int, texts: Mapping[str, str]) -> str:
    """What a hit returns: its spans' verbatim text, joined."""
    text = texts[table.documents[table.document[row]]]
    return "".join(text[start:end] for start, end in table.spans(row))


def embed(stage: Stage, context: Context) -> Output:
    """Chunk table → (chunks, dims) vectors."""
    table = context.chunks(stage.inputs["chunk"])
    return _embed(stage, context, table.texts, "chunks")


def queries(stage: Stage, context: Context) -> Output:
    """Questions → (questions, dims) vectors."""
    asked = context.questions(stage.inputs["questions"])
    return _embed(stage, context, tuple(question.text for question in asked), "questions")


def _embed(stage: Stage, context: Context, texts: Sequence[str], whose: str) -> Output:
    spec = embedders.parse({**stage.spec["of"], **stage.runtime.get("embedder", {})})
    embedder = context.embedder(spec)
    traits = embedders.entry(spec.kind).traits
    reads = traits["reads"](spec)
    unread = unread_share(embedder, reads, texts)
    if unread > 0 and not getattr(spec, "truncate", False):
        raise SpecError(
            f"{spec.kind} reads {reads} tokens; {100 * unread:.1f} % of the {whose}' text lies"
            " beyond.",
            mend="use smaller chunks, or set `truncate: true` on the embedder to leave it unread.",
        )
    name, memo = memo_of(context.store.root, spec, embedders.fingerprint(spec))
    shopper = Shopper(stage, spec, context) if "paid" in traits else None
    if shopper:
        texts = shopper.sent(texts)  # kept, counted and paid for as they are sent

    def checked(batch: Any) -> Floats:
        made = shopper.buy(batch) if shopper else embedder.embed(batch)
        verify(made, len(made) if shopper else len(batch), embedder.dims, name=spec.kind)
        return made

    with context.alone(name):
        billed = shopper.billed if shopper else None
        vectors, made = memo.vectors(
            texts, checked, embedder.dims, tick=context.tick, billed=billed
        )
        # What texts were billed is read while nobody merges their segments.
        paid = shopper.facts(texts, memo) if shopper else {}
    facts = {"texts": len(texts), "embedded": made, "dims": embedder.dims, "unread": unread}
    return Output({"vectors": vectors}, {**facts, **paid})


def exact(stage: Stage, context: Context) -> Output:
    """The k nearest by exact search: hits of `exact`, and the truth that indexes are held to."""
    vectors, asked = _vectors(stage, context)
    k = stage.spec["k"]
    ids, scores = nearest(vectors, asked, min(k, len(vectors)))
    return Output(codec.pack_hits(ranked(ids, scores, k=k)), {"index_bytes": vectors.nbytes})


def search(stage: Stage, context: Context) -> Output:
    """A built collection and questions → hits; where it holds vectors alone, also their agreement
    with exact search."""
    if index_spec(stage.spec["index"]).holds != "vectors":
        return _search_texts(stage, context)
    source = stage.inputs["build"]
    spec = index_spec(stage.spec["index"])
    settings = validate(spec.Search, stage.spec["of"])
    vectors, asked = _vectors(stage, context)
    rebuild_if_gone(source, stage.inputs, context)
    k = stage.spec["k"]
    searcher = context.opened(source, spec)
    ids, scores = searcher.search(asked, k=min(k, len(vectors)), settings=settings)
    hits = ranked(ids, scores, k=k)
    truth = context.hits(stage.inputs["exact"])
    agreement = recall_of_exact(hits, truth, vectors=vectors, queries=asked, k=k)
    return Output(
        {**codec.pack_hits(hits), "recall_of_exact": agreement},
        {"short_answers": int(((hits.ids >= 0).sum(axis=1) < min(k, len(vectors))).sum())},
    )


def _search_texts(stage: Stage, context: Context) -> Output:
    """A collection that holds texts, asked by text, or by vector and text at once."""
    source = stage.inputs["build"]
    spec = index_spec(stage.spec["index"])
    settings = validate(spec.Search, stage.spec["of"])
    rows = len(context.chunks(stage.inputs["chunk"]))
    k = _fits(stage.spec["k"], rows, clip=False)
    texts = [question.text for question in context.questions(stage.inputs["questions"])]
    rebuild_if_gone(source, stage.inputs, context)
    searcher = context.opened(source, spec)
    if spec.holds == "texts":
        ids, scores = searcher.search_texts(texts, k=k, settings=settings)
    else:
        asked = Asked(context.vectors(stage.inputs["queries"]), texts)
        fusion = engine_fusion(spec, stage.spec["fusion"])
        depth = stage.spec["depth"]
        ids, scores = searcher.search_pairs(
            asked, k=k, depth=depth, fusion=fusion, settings=settings
        )
    hits = ranked(ids, scores, k=k)
    short = int(((hits.ids >= 0).sum(axis=1) < k).sum())
    return Output(codec.pack_hits(hits), {"short_answers": short})


def lexical(stage: Stage, context: Context) -> Output:
    """Texts and questions → hits, without vectors."""
    spec = retrievers.parse(stage.spec["of"])
    table = context.chunks(stage.inputs["chunk"])
    asked = context.questions(stage.inputs["questions"])
    k = _fits(stage.spec["k"], len(table), stage.spec.get("clip", False))
    entry = retrievers.entry(spec.kind)
    ids, scores = entry.backend(spec, table.texts, [question.text for question in asked], k=k)
    size = entry.traits.get("index_bytes")
    facts = {"index_bytes": size(spec, table.texts) if size else None}
    return Output(codec.pack_hits(ranked(ids, scores, k=stage.spec["k"])), facts)


def fuse(stage: Stage, context: Context) -> Output:
    """Several hit lists → one."""
    spec = fusions.parse(stage.spec["of"])
    lists = lists_of(stage, context)
    return Output(codec.pack_hits(fusions[spec](spec, lists, k=stage.spec["k"])), {})


def lists_of(stage: Stage, context: Context) -> list[Hits]:
    """The lists that a stage fuses, knowing the least scores of their searches where it needs
    them."""
    lists = [context.hits(stage.inputs[role]) for role in ("dense", "lexical")]
    least = stage.spec.get("least")
    if least is None:
        return lists
    return [replace(hits, least=value) for hits, value in zip(lists, least, strict=True)]


def score_hits(stage: Stage, context: Context) -> Output:
    """Hits against evidence → a value per question and measure."""
    measures = [Measure.parse(name) for name in stage.spec["measures"]]
    hits = context.hits(stage.inputs["hits"])
    scores = score(relevance_of(stage, context), measures, hits, tick=context.tick)
    return Output(scores.values, {"short": dict(scores.short)})


def relevance_of(stage: Stage, context: Context) -> Relevance:
    """The questions' evidence over the chunks that a stage scores; made once a process."""
    source = stage.inputs["chunk"]

    def make() -> Relevance:
        table = context.chunks(source)
        questions = context.questions(stage.inputs["questions"])
        ends = None
        if "tokens" in stage.inputs:
            arrays = context.artifact(stage.inputs["tokens"]).arrays
            ends = TokenEnds(arrays["first"], arrays["ends"])
        sources = None
        if "documents" in stage.inputs:
            sources = {d.id: d.text for d in context.documents(stage.inputs["documents"])}
        return prepare(table, questions, ends=ends, sources=sources)

    role = " ".join(["relevance", stage.inputs["questions"].key, *stage.inputs])
    return context.kept(source, make, role)


def _vectors(stage: Stage, context: Context) -> tuple[Floats, Floats]:
    vectors = context.vectors(stage.inputs["embed"])
    asked = context.vectors(stage.inputs["queries"])
    _fits(stage.spec["k"], len(vectors), stage.spec.get("clip", False))
    return vectors, asked


def _fits(k: int, rows: int, clip: bool) -> int:
    """k where it fits; a side of a fusion (`clip`) may see fewer, a trial's own hits may not."""
    if k > rows and not clip:
        raise DataError(
            f"k = {k} is larger than the {rows} chunks of this chunking.",
            mend=f"lower k to {rows} or less, or use smaller chunks.",
        )
    return min(k, rows)


def load(stage: Stage, context: Context) -> Output:
    """A collection under load → its latencies and throughput, round by round."""
    from mox.pipeline.loading import load_one  # what measures is a tenth of a worker's start

    return load_one(stage, context)


WORK: Mapping[str, Callable[[Stage, Context], Output]] = {
    "chunk": chunk,
    "tokens": tokens,
    "embed": embed,
    "queries": queries,
    "exact": exact,
    "build": build,
    "search": search,
    "lexical": lexical,
    "fuse": fuse,
    "score": score_hits,
    "load": load,
}
"""What a worker can do. `documents` and `questions` are written by the process that read them."""
