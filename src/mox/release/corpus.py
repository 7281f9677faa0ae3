"""The corpus of a release: where it lies, and that it is the one that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.corpus import corpora
from mox.corpus.documents import documents
from mox.errors import DataError
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import DamagedError, Store
from mox.types import Corpus


def verified(content: Mapping[str, Any], folder: Path, store: Store) -> Corpus:
    """The documents of a release as they lie there now, known to be those that it was measured on;
    without questions.

    Args:
        content: the release's.
        folder: where the release lies or is to lie.

    Raises:
        DataError: it is another one now; says what differs.
    """
    said = content["corpus"]
    spec = corpora.parse(said["settings"])
    # What is said of its questions counts no more: they were asked, and another may be asked now.
    found = documents(spec, (folder / said["base"]).resolve())
    corpus = Corpus(said["name"], found, ())
    if corpus.fingerprint != said["fingerprint"]:
        raise DataError(
            f"{corpus.name} is not the corpus that this release was measured on:"
            f" {_changes(content, corpus, store)}.",
            mend="bring back that corpus, or run the experiment on the new one and promote again.",
        )
    return corpus


def _changes(content: Mapping[str, Any], corpus: Corpus, store: Store) -> str:
    """What differs, by document where the store still has the old ones."""
    said = content["corpus"]
    prints = f"fingerprint {corpus.fingerprint[:12]} instead of {said['fingerprint'][:12]}"
    before = _stored_documents(content, store)
    if before is None:
        return f"{prints}, {len(corpus.documents)} documents where it had {said['documents']}"
    now = {d.id: d.text for d in corpus.documents}
    parts = {
        "changed": [name for name, text in before.items() if name in now and now[name] != text],
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
    }
    named = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for what, names in parts.items()
        if names
    ]
    same = "the same texts, in another order or form, or with other metadata"
    return f"{prints}; documents: {'; '.join(named) or same}"


def _stored_documents(content: Mapping[str, Any], store: Store) -> dict[str, str] | None:
    """The documents that the release's chunks were cut from, while the store has them."""
    chunk = Ref("chunk", content["run"]["stages"]["chunk"])
    try:
        if not store.has(*chunk):
            return None
        source = Ref(*store.sidecar(*chunk)["inputs"]["documents"])
        if not store.has(*source):
            return None
        found = codec.unpack_documents(store.read(*source).arrays)
    except DamagedError:
        return None
    return {document.id: document.text for document in found}
