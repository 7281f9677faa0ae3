"""A release opened and asked: verified first, its index re-used or rebuilt by the same stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mox.errors import SpecError
from mox.experiment import Trial
from mox.pipeline import codec
from mox.pipeline.context import Context
from mox.pipeline.dollars import is_paid
from mox.pipeline.paid import with_purse
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.pipeline.work import WORK, returned_text
from mox.pipeline.worker import perform
from mox.release.bundle import Release, read_release
from mox.release.corpus import verified
from mox.release.runtime import told
from mox.release.spending import afford, purse
from mox.release.trial import engine_of, fingerprints, folded, standing_alone, trial_of
from mox.settings import DISTRIBUTION, Settings
from mox.types import Corpus, Document, Evidence, Question

STANDING = ("chunk", "embed", "build")
"""Stages that an answer stands on: stored, and shared with the sweep that they come from."""
ASKING = ("queries", "exact", "search", "lexical", "fuse")
"""Stages of one question: done in this process, and never stored."""


@dataclass(frozen=True)
class Passage:
    """One hit: verbatim text of its document, and where it comes from."""

    rank: int
    score: float
    document: str
    spans: tuple[tuple[int, int], ...]
    text: str
    uri: str


@dataclass(frozen=True)
class Answer:
    """Ranked passages. `warnings`: versions that differ from those of the release."""

    release: str
    question: str
    passages: tuple[Passage, ...]
    warnings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `mox ask --json`."""
        return {"schema": 1, **asdict(self)}


def open_release(
    path: Path,
    store: Store,
    settings: Settings,
    *,
    embedder: Mapping[str, Any] | None = None,
    usd: float | None = None,
) -> OpenRelease:
    """Open a release: verify its checksum and its corpus, and have its index.

    Stages that the store has are re-used, the sweep's own index among them; others are redone.

    Args:
        embedder: how an embedder that costs money is asked on this machine, where not as the
            release says: `{"key_env": "MY_KEY"}`. See `mox.release.runtime`.
        usd: the most that may be spent in all: on its corpus, where that is embedded anew, and on
            the questions asked until it is closed. Without it questions are paid for, and no
            corpus.

    Raises:
        MissingError: no such file, or its corpus isn't where it was.
        DataError: the file was changed, its documents are others (says what differs) or can't be
            read; or it doesn't say how its embedder is asked.
        SpecError: the embedder can't be told that, or a limit that can't be meant.
        BudgetError: its corpus has to be embedded for money, and `usd` doesn't allow it: nothing
            was asked; or it cost more than was estimated: what was paid for is kept.
        PriceError: what that costs isn't known.
        StoreError: an artifact is damaged (it was removed: open again), or a newer Mox wrote it.
        EngineError: the engine is away.
    """
    release = read_release(path)
    trial = trial_of(release.content["config"], told(release.content, embedder))
    corpus = verified(release.content, release.path.parent, store)
    engine = engine_of(trial, settings)
    context = Context(store, settings, lambda: None)
    graph, _, stages = folded(trial, corpus, engine)
    context.kept(graph.documents.ref, lambda: corpus.documents)
    own = {**purse(usd), "trial": release.content["trial"]}
    for stage in stages.values():
        if stage.kind in STANDING and not store.has(*stage.ref):
            if is_paid(stage):  # its chunks are stored by now
                afford(standing_alone(trial, corpus, store, [stage]), usd)
            perform(_named(stage, own), context)
    return OpenRelease(release, corpus, trial, engine, context, purse=own)


class OpenRelease:
    """A verified release over its corpus. Leaving its context gives the engine back."""

    def __init__(
        self,
        release: Release,
        corpus: Corpus,
        trial: Trial,
        engine: Mapping[str, str],
        context: Context,
        *,
        purse: Mapping[str, Any],
    ) -> None:
        self.release = release
        self.warnings = differences(release, trial, engine)
        self._corpus = corpus
        self._trial = trial
        self._engine = engine
        self._context = context
        self._purse = purse
        self._documents: Mapping[str, Document] = {d.id: d for d in corpus.documents}

    def ask(self, question: str, *, k: int = 5) -> Answer:
        """The k best passages for a question, best first; fewer where fewer match.

        Raises:
            SpecError: an empty question, or more passages than the release looks for.
            EngineError: the engine is lost.
        """
        most = self._trial.search.k
        if not question.strip():
            raise SpecError("the question is empty.", mend="ask something.")
        if not 1 <= k <= most:
            raise SpecError(
                f"this release returns 1 to {most} passages, not {k}.",
                mend=f"ask for {most} or fewer, or promote a trial with a larger k.",
            )
        asked = Question("asked", question, "asked", Evidence())
        corpus = Corpus(self._corpus.name, self._corpus.documents, (asked,))
        graph, planned, stages = folded(self._trial, corpus, self._engine)
        self._context.kept(graph.questions.ref, lambda: corpus.questions)
        for stage in stages.values():
            if stage.kind in ASKING:
                self._do(_named(stage, self._purse))
        passages = self._passages(planned.roles["hits"], planned.roles["chunk"], k)
        return Answer(str(self.release.path), question, passages, self.warnings)

    def close(self) -> None:
        """Give the open collection back: its memory, its threads and its lock."""
        self._context.close_engine()

    def __enter__(self) -> OpenRelease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _do(self, stage: Stage) -> None:
        """Do a stage in this process and keep its result in memory, where the next finds it."""
        arrays = dict(WORK[stage.kind](stage, self._context).arrays)
        if stage.kind == "queries":
            self._context.kept(stage.ref, lambda: arrays["vectors"])
        else:
            self._context.kept(stage.ref, lambda: codec.unpack_hits(arrays))

    def _passages(self, found: Ref, chunks: Ref, k: int) -> tuple[Passage, ...]:
        hits, table = self._context.hits(found), self._context.chunks(chunks)
        texts = {name: document.text for name, document in self._documents.items()}
        passages: list[Passage] = []
        for row, score in zip(hits.ids[0, :k].tolist(), hits.scores[0, :k].tolist(), strict=True):
            if row < 0:
                break  # padding: nothing further was found
            document = self._documents[table.documents[table.document[row]]]
            spans = tuple(table.spans(row))
            text = returned_text(table, row, texts)
            passages.append(
                Passage(len(passages) + 1, score, document.id, spans, text, document.uri)
            )
        return tuple(passages)


def _named(stage: Stage, own: Mapping[str, Any]) -> Stage:
    """A stage whose cost, where it has one, the ledger writes down under the release's trial."""
    return with_purse(stage, {**own, "trials": {stage.key: own["trial"]}})


def differences(release: Release, trial: Trial, engine: Mapping[str, str]) -> tuple[str, ...]:
    """Versions that aren't the release's; what they make is then built anew by those of now."""
    before: Mapping[str, Mapping[str, str]] = release.content["fingerprints"]
    now = fingerprints(trial, engine)
    found = []
    if trial.id != release.content["trial"]:
        found.append("this Mox reads the configuration as another trial: its defaults changed.")
    for part in dict.fromkeys([*before, *now]):
        was, is_ = before.get(part, {}), now.get(part, {})
        found += [
            f"{part}: {name} was {was.get(name, 'absent')}, is {is_.get(name, 'absent')}."
            for name in dict.fromkeys([*was, *is_])
            if was.get(name) != is_.get(name)
        ]
    was_mox, is_mox = release.content["environment"].get(DISTRIBUTION), _installed()
    if was_mox != is_mox:
        found.append(f"{DISTRIBUTION} was {was_mox}, is {is_mox}.")
    return tuple(found)


def _installed() -> str:
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "not installed"
