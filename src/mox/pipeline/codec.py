"""Documents, questions, chunks and hits as plain arrays, and back. No pickles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mox.types import ChunkTable, Document, Evidence, Hits, Question, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def pack_texts(texts: Sequence[str]) -> tuple[Array, Array]:
    """Texts as one UTF-8 blob and (texts + 1,) byte offsets."""
    import numpy as np

    raw = [text.encode() for text in texts]
    first = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in raw], out=first[1:])
    return np.frombuffer(b"".join(raw), dtype=np.uint8), first


def unpack_texts(blob: Array, first: Array) -> tuple[str, ...]:
    raw = blob.tobytes()
    return tuple(raw[begin:end].decode() for begin, end in pairwise(first.tolist()))


def pack_json(value: Any) -> Array:
    import numpy as np

    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), dtype=np.uint8)


def unpack_json(array: Array) -> Any:
    return json.loads(array.tobytes())


def pack_documents(documents: Sequence[Document]) -> dict[str, Array]:
    text, first = pack_texts([document.text for document in documents])
    rest = [[d.id, d.sha256, d.media_type, d.uri, dict(d.metadata)] for d in documents]
    return {"text": text, "first": first, "rest": pack_json(rest)}


def unpack_documents(arrays: dict[str, Array]) -> tuple[Document, ...]:
    texts = unpack_texts(arrays["text"], arrays["first"])
    return tuple(
        Document(id=name, text=text, sha256=sha, media_type=media, uri=uri, metadata=metadata)
        for text, (name, sha, media, uri, metadata) in zip(
            texts, unpack_json(arrays["rest"]), strict=True
        )
    )


def pack_questions(questions: Sequence[Question]) -> dict[str, Array]:
    rest = [
        [q.id, q.text, q.group, q.split, q.kind, q.answer, q.evidence.groups,
         dict(q.evidence.grades)]
        for q in questions
    ]  # fmt: skip
    return {"questions": pack_json(rest)}


def unpack_questions(arrays: dict[str, Array]) -> tuple[Question, ...]:
    return tuple(
        Question(
            id=name,
            text=text,
            group=group,
            split=split,
            kind=kind,
            answer=answer,
            evidence=Evidence(
                tuple(tuple(Span(*span) for span in spans) for spans in groups), grades
            ),
        )
        for name, text, group, split, kind, answer, groups, grades in unpack_json(
            arrays["questions"]
        )
    )


def pack_chunks(table: ChunkTable) -> dict[str, Array]:
    text, text_first = pack_texts(table.texts)
    return {
        "documents": pack_json(list(table.documents)),
        "document": table.document,
        "first": table.first,
        "start": table.start,
        "end": table.end,
        "text": text,
        "text_first": text_first,
    }


def unpack_chunks(arrays: dict[str, Array]) -> ChunkTable:
    return ChunkTable(
        documents=tuple(unpack_json(arrays["documents"])),
        document=arrays["document"],
        first=arrays["first"],
        start=arrays["start"],
        end=arrays["end"],
        texts=unpack_texts(arrays["text"], arrays["text_first"]),
    )


def pack_hits(hits: Hits) -> dict[str, Array]:
    return {"ids": hits.ids, "scores": hits.scores}


def unpack_hits(arrays: dict[str, Array]) -> Hits:
    return Hits(arrays["ids"], arrays["scores"])
