"""A corpus' documents alone, for who asks them and scores nothing."""

from __future__ import annotations

from pathlib import Path

from mox.corpus import corpora
from mox.corpus.check import open_checked
from mox.spec import Spec
from mox.types import Document


def documents(spec: Spec, base: Path) -> tuple[Document, ...]:
    """The documents of a Spec, in order, whatever became of its questions.

    A loader registers what reads them alone as its trait `documents`, with the arguments of here.
    Of one that doesn't, the whole corpus is opened and checked.

    Args:
        base: where relative paths of `spec` start from.

    Raises:
        MoxError: what its loader raises.
    """
    alone = corpora.entry(spec.kind).traits.get("documents")
    return open_checked(spec, base).documents if alone is None else tuple(alone(spec, base))
