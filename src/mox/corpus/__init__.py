"""Labelled corpora: documents, questions and evidence, read and checked."""

from mox.registry import Registry
from mox.types import CorpusLoader

corpora: Registry[CorpusLoader] = Registry(
    "mox.corpora",
    ["mox.corpus.card", "mox.corpus.evidence", "mox.corpus.beir", "mox.corpus.folder"],
)
