"""Asking a release: its corpus and its checksum verified, its index re-used or built again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mox.corpus import corpora
from mox.errors import DataError, SpecError, StageError
from mox.indexes import indexes
from mox.pipeline import codec
from mox.pipeline.execute import execute
from mox.pipeline.plan import Plan, fold
from mox.pipeline.progress import Silent
from mox.pipeline.store import Store
from mox.release.bundle import Release, as_experiment, fingerprints, open_release
from mox.settings import Settings
from mox.types import Corpus, Evidence, Question


@dataclass(frozen=True)
class Passage:
    """One ranked passage: verbatim text of a source, and where it stands there."""

    rank: int
    score: float
    document: str
    spans: tuple[tuple[int, int], ...]
    text: str
    uri: str


@dataclass(frozen=True)
class Answer:
    """What a release returns for a question. `warnings`: versions that differ from its own."""

    release: str
    question: str
    passages: tuple[Passage, ...]
    warnings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `mox ask --json`."""
        return {"schema": 1, **asdict(self)}


def ask(path: Path, question: str, store: Store, settings: Settings, *, k: int) -> Answer:
    """Search a release's corpus as it was promoted.

    Raises:
        DataError: the release was changed, or its corpus is another one now.
        SpecError: no question, or more passages than the release searches for.
        StageError: a stage failed.
    """
    release = open_release(path)
    if not question.strip():
        raise SpecError("the question is empty.", mend="ask something.")
    corpus = _corpus(release)
    searched = release.content["config"]["search"]["k"]
    if k > searched:
        raise SpecError(
            f"the release searches for {searched} passages, not {k}.",
            mend=f"ask for {searched} or fewer, or promote a trial with a larger k.",
        )
    plan = _plan(release, corpus, question, store, settings)
    outcome = execute(plan, settings, Silent())
    if outcome.failed:
        said = next(iter(outcome.failed.values()))
        raise StageError(f"{path.name} cannot be asked: {said}", mend="see `mox doctor`.")
    return Answer(release.name, question, _passages(plan, corpus, k), _differences(release))


def _corpus(release: Release) -> Corpus:
    said: Mapping[str, Any] = release.content["corpus"]
    spec = corpora.parse(said["spec"])
    base = (release.path.parent / said["base"]).resolve()
    corpus = corpora[spec](spec, base)
    if corpus.fingerprint != said["fingerprint"]:
        raise DataError(
            f"the corpus {said['name']} is not what {release.path.name} was measured on:"
            f" fingerprint {corpus.fingerprint[:12]}, then {said['fingerprint'][:12]}.",
            mend="bring the documents back, or run the experiment again and promote anew.",
        )
    return corpus


def _plan(
    release: Release, corpus: Corpus, question: str, store: Store, settings: Settings
) -> Plan:
    """One trial's stages up to its hits; those of the sweep are stored already."""
    content = release.content
    experiment = as_experiment(content["config"], content["corpus"]["spec"], release.name)
    asked = Question(id="asked", text=question, group="asked", evidence=Evidence())
    one = replace(corpus, questions=(asked,))
    plan = fold(experiment, one, store, lambda spec: indexes[spec].engine(settings.milvus_uri))
    return replace(plan, target="hits")


def _passages(plan: Plan, corpus: Corpus, k: int) -> tuple[Passage, ...]:
    roles = plan.trials[0].roles
    hits = codec.unpack_hits(plan.store.read(*roles["hits"]).arrays)
    table = codec.unpack_chunks(plan.store.read(*roles["chunk"]).arrays)
    documents = {document.id: document for document in corpus.documents}
    found: list[Passage] = []
    for row, score in zip(hits.ids[0, :k].tolist(), hits.scores[0, :k].tolist(), strict=True):
        if row < 0:
            break
        document = documents[table.documents[table.document[row]]]
        spans = tuple(table.spans(row))
        text = "".join(document.text[start:end] for start, end in spans)
        found.append(Passage(len(found) + 1, score, document.id, spans, text, document.uri))
    return tuple(found)


def _differences(release: Release) -> tuple[str, ...]:
    """Versions and files of today that aren't the release's."""
    content = release.content
    [trial] = as_experiment(content["config"], content["corpus"]["spec"], release.name).trials
    now = fingerprints(trial)
    return tuple(
        f"{part}: {name} is {now.get(part, {}).get(name)}, was {value} when promoted."
        for part, held in content["fingerprints"].items()
        for name, value in held.items()
        if now.get(part, {}).get(name) != value
    )
