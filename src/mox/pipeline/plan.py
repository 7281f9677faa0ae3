"""Trials folded into one graph of stages: looked at, priced and compared with the store first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mox.chunking import chunkers, tokenizers
from mox.embedding import embedders
from mox.evaluation.measures import fingerprint as metric_fingerprint
from mox.experiment import Experiment, Trial
from mox.indexes import indexes
from mox.loadgen import host
from mox.pipeline.fields import LOAD_FIELD
from mox.pipeline.stages import VERSIONS, Ref, Stage, make
from mox.pipeline.store import Store
from mox.registry import versions
from mox.retrieval import fusions, retrievers
from mox.spec import IndexSpec, Spec, digest
from mox.types import Corpus

Engines = Callable[[IndexSpec], Mapping[str, str]]
"""Name and version of the engine that an index would be built in."""


ENDS = ("score", "load")
"""Roles that nothing stands on: what was measured of a trial."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its stages by role.

    Roles: `chunk`, `score` and `hits` always; `embed`, `exact`, `build`, `search`, `lexical`,
    `load` where it has them; `queries` where its embedder is paid.
    """

    trial: Trial
    roles: Mapping[str, Ref]

    @property
    def id(self) -> str:
        return self.trial.id


@dataclass(frozen=True)
class Plan:
    """What a run would do. Nothing has run yet."""

    experiment: Experiment
    corpus: Corpus
    store: Store
    stages: Mapping[str, Stage]
    """By key, in prefix order."""
    trials: tuple[PlannedTrial, ...]
    notes: tuple[str, ...] = ()
    """What its reader should know before running it."""

    @cached_property
    def run_id(self) -> str:
        """Names the run: the same trials, choice and data are the same run, resumed."""
        e = self.experiment
        named = {
            "name": e.name,
            "scores": [trial.roles["score"].key for trial in self.trials],
            "choose": e.choose.rule if e.choose else None,
            "baseline": e.baseline,
            "seed": e.seed,
        }
        if loads := [trial.roles["load"].key for trial in self.trials if "load" in trial.roles]:
            named["loads"] = loads
        return digest(named)[:12]

    def pending(self) -> list[Stage]:
        """Stages that would run, in prefix order: all that the store lacks.

        A score without the hits that it stands on can't be explained, and its trial's costs are
        read from the stages below it: nothing that a plan names is let go while a run needs it.
        """
        return list(self.lacking(self.stages.values()))

    def lacks(self) -> bool:
        """Whether anything of it would run."""
        return any(self.lacking(self.stages.values()))

    def lacking(self, stages: Iterable[Stage]) -> Iterator[Stage]:
        """Of some stages those that the store lacks; each is looked at when its turn comes."""
        stored = looking(self.store)
        return (stage for stage in stages if not stored(stage.ref))


def looking(store: Store) -> Callable[[Ref], bool]:
    """`Store.has`, for the many artifacts of a plan that are looked at together: one look at a
    folder tells most of what isn't there, and each of the others is looked at once."""
    named: dict[str, frozenset[str]] = {}
    found: dict[Ref, bool] = {}

    def stored(ref: Ref) -> bool:
        if ref.kind not in named:
            named[ref.kind] = store.keys(ref.kind)
        if ref not in found:
            found[ref] = ref.key in named[ref.kind] and store.has(*ref)
        return found[ref]

    return stored


class Graph:
    """Collects stages while trials are walked; equal prefixes become one."""

    def __init__(self, experiment: Experiment, corpus: Corpus, engines: Engines) -> None:
        self._experiment = experiment
        self._engines = engines
        self._found: dict[str, Stage] = {}
        self._fingerprints: dict[str, Mapping[str, str]] = {}
        self._chunks: dict[int, tuple[Spec, Stage]] = {}
        self._pairs: dict[tuple[int, str], tuple[Spec, dict[str, Stage]]] = {}
        """By the identity of a Spec, which most trials share with others; it is held, so that no
        other gets its identity."""
        self.documents = self._add("documents", {"fingerprint": corpus.fingerprint}, {})
        self.questions = self._add("questions", {"fingerprint": corpus.questions_fingerprint}, {})

    def trial(self, trial: Trial) -> PlannedTrial:
        """Add a trial's stages."""
        chunk = self._chunk(trial.chunk)
        roles = {"chunk": chunk}
        search = trial.search
        if search.kind in ("full_text", "engine_hybrid"):
            roles |= self._in_engine(trial, chunk)
        elif search.settings is not None:
            roles |= self._dense(trial, chunk)
        if search.retriever is not None:
            roles["lexical"] = self._lexical(search.retriever, chunk, trial)
        roles["hits"] = roles.get("search") or roles.get("exact") or roles["lexical"]
        if search.is_fused_here:
            assert search.fusion is not None  # noqa: S101  resolve sets both
            parts = {"dense": roles["hits"], "lexical": roles["lexical"]}
            spec: dict[str, Any] = {"of": _plain(search.fusion), "k": search.k}
            if search.least is not None:
                spec["least"] = list(search.least)
            roles["hits"] = self._add("fuse", spec, parts, self._print(fusions, search.fusion))
        roles["score"] = self._score(chunk, roles["hits"])
        return PlannedTrial(trial, {role: stage.ref for role, stage in roles.items()})

    def stages(self) -> dict[str, Stage]:
        """All stages by key, in prefix order; within a kind, in the order of the trials.

        Questions that are paid for come before chunks: they are few, and a budget that the chunks
        use up would leave no trial finished without them.
        """
        order: dict[str, float] = {kind: at for at, kind in enumerate(VERSIONS)}

        def place(stage: Stage) -> float:
            first = stage.kind == "queries" and bool(stage.runtime)
            return order["embed"] - 0.5 if first else order[stage.kind]

        return {stage.key: stage for stage in sorted(self._found.values(), key=place)}

    def _chunk(self, spec: Spec) -> Stage:
        if id(spec) not in self._chunks:
            self._chunks[id(spec)] = spec, self._chunked(spec)
        return self._chunks[id(spec)][1]

    def _chunked(self, spec: Spec) -> Stage:
        tokenizer = self._experiment.tokenizer
        settings = {"of": _plain(spec), "tokenizer": tokenizer}
        prints = {**self._print(chunkers, spec), **tokenizers.fingerprint(tokenizer)}
        return self._add("chunk", settings, {"documents": self.documents}, prints)

    def _dense(self, trial: Trial, chunk: Stage) -> dict[str, Stage]:
        embed_spec, index, search = trial.embed, trial.index, trial.search
        assert embed_spec is not None  # noqa: S101  trials.expand gives dense trials both
        assert index is not None  # noqa: S101
        assert search.settings is not None  # noqa: S101
        pair = self._vectors(embed_spec, chunk)
        embed = pair["embed"]
        reach = {"k": search.dense_k, "clip": search.fusion is not None}
        exact = self._add("exact", reach, pair, versions("numpy"))
        is_exact = index.kind == "exact"
        roles = {**_named(pair), "exact": exact}
        if is_exact and trial.load is None:
            return roles
        built_with = {**self._print(indexes, index), **self._engines(index)}
        of: dict[str, Any] = {"of": _plain(index)}
        if trial.load is not None and trial.load.selectivity < 1:
            # By the trial alone, so that it is the same trial outside its sweep.
            of["fields"] = [LOAD_FIELD]
        build = self._add("build", of, {"embed": embed}, built_with)
        parts = {**pair, "build": build, "exact": exact}
        spec = {"of": search.settings.model_dump(mode="json"), "index": _plain(index), **reach}
        if not is_exact:
            roles |= {"build": build, "search": self._add("search", spec, parts, built_with)}
        if trial.load is not None:
            # A latency does not travel.
            here = {**built_with, **host()}
            asked = {**spec, "load": trial.load.model_dump(mode="json")}
            roles["load"] = self._add("load", asked, parts, here)
        return roles

    def _vectors(self, spec: Spec, chunk: Stage) -> dict[str, Stage]:
        """Vectors of chunks and questions."""
        name = (id(spec), chunk.key)
        if name not in self._pairs:
            self._pairs[name] = spec, self._embedded(spec, chunk)
        return self._pairs[name][1]

    def _embedded(self, spec: Spec, chunk: Stage) -> dict[str, Stage]:
        prints = self._print(embedders, spec)
        of = {"of": _plain(spec)}
        how = {"embedder": spec.runtime} if "paid" in embedders.entry(spec.kind).traits else {}
        return {
            "embed": self._add("embed", of, {"chunk": chunk}, prints, runtime=how),
            "queries": self._add("queries", of, {"questions": self.questions}, prints, runtime=how),
        }

    def _in_engine(self, trial: Trial, chunk: Stage) -> dict[str, Stage]:
        """A collection of texts, or of vectors and texts, and its search by questions' texts."""
        index, search = trial.index, trial.search
        assert index is not None  # noqa: S101  trials.expand gives these an index
        assert search.settings is not None  # noqa: S101
        vectors = self._vectors(trial.embed, chunk) if trial.embed is not None else {}
        embed = {role: stage for role, stage in vectors.items() if role == "embed"}
        named = _named(vectors) if vectors else {}
        built_with = {**self._print(indexes, index), **self._engines(index)}
        build = self._add("build", {"of": _plain(index)}, {**embed, "chunk": chunk}, built_with)
        spec: dict[str, Any] = {
            "of": search.settings.model_dump(mode="json"),
            "index": _plain(index),
            "k": search.k,
        }
        if search.fusion is not None:
            spec |= {"depth": search.depth, "fusion": _plain(search.fusion)}
        asked = {"questions": self.questions, **vectors, "chunk": chunk, "build": build}
        found = self._add("search", spec, asked, built_with)
        return {**named, "build": build, "search": found}

    def _lexical(self, spec: Spec, chunk: Stage, trial: Trial) -> Stage:
        fused = trial.search.fusion is not None
        settings = {"of": _plain(spec), "k": trial.search.dense_k, "clip": fused}
        parts = {"chunk": chunk, "questions": self.questions}
        return self._add("lexical", settings, parts, self._print(retrievers, spec))

    def _score(self, chunk: Stage, hits: Stage) -> Stage:
        measures = self._experiment.measures
        parts = {"chunk": chunk, "questions": self.questions, "hits": hits}
        if any(measure.unit == "tokens" for measure in measures):
            tokenizer = self._experiment.tokenizer
            parts["tokens"] = self._add(
                "tokens",
                {"tokenizer": tokenizer},
                {"chunk": chunk, "documents": self.documents},
                tokenizers.fingerprint(tokenizer),
            )
        if prints := metric_fingerprint(measures):  # third parties' metrics see the texts
            parts["documents"] = self.documents
        return self._add("score", {"measures": [str(m) for m in measures]}, parts, prints)

    def _add(
        self,
        kind: str,
        spec: Mapping[str, Any],
        inputs: Mapping[str, Stage],
        fingerprint: Mapping[str, str] | None = None,
        *,
        runtime: Mapping[str, Any] | None = None,
    ) -> Stage:
        stage = make(kind, spec, inputs, fingerprint or {}, runtime=runtime)
        return self._found.setdefault(stage.key, stage)

    def _print(self, registry: Any, spec: Spec) -> Mapping[str, str]:
        name = f"{registry.group} {spec.model_dump_json()}"
        if name not in self._fingerprints:
            self._fingerprints[name] = registry.fingerprint(spec)
        return self._fingerprints[name]


def _named(vectors: Mapping[str, Stage]) -> dict[str, Stage]:
    """A trial's roles of its vectors; of the questions' only where they are paid for."""
    paid = bool(vectors["queries"].runtime)
    return dict(vectors) if paid else {"embed": vectors["embed"]}


def _plain(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json")


def fold(
    experiment: Experiment,
    corpus: Corpus,
    store: Store,
    engines: Engines,
    notes: Iterable[str] = (),
) -> Plan:
    """Fold an experiment's trials into a plan."""
    graph = Graph(experiment, corpus, engines)
    trials = tuple(graph.trial(trial) for trial in experiment.trials)
    return Plan(experiment, corpus, store, graph.stages(), trials, tuple(notes))
