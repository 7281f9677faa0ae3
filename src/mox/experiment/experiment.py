"""What a user writes: a corpus, labelled questions, axes to sweep, what to measure and choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from mox.chunking.tokenizers import fingerprint as tokenizer_fingerprint
from mox.corpus import corpora
from mox.errors import FieldError, MoxError, SpecError
from mox.evaluation.measures import Measure
from mox.experiment.axes import expand
from mox.experiment.baseline import baseline
from mox.experiment.checks import mapping, only
from mox.experiment.choosing import Choose, Section, choosing
from mox.experiment.trials import AXES, Trial
from mox.registry import validate
from mox.source import Source, override, read
from mox.spec import Spec


class QuestionsPart(Section):
    """Which of the corpus' questions are asked."""

    limit: int | None = Field(None, ge=1)
    """The first N; all where null."""
    split: Literal["dev", "test"] | None = None
    """One split only; both where null. All are scored; choosing sees dev only."""


class Split(Section):
    """How to part the questions, where the corpus brings no split."""

    by: Literal["group"] = "group"
    """Whole groups (topics, articles) go to one side, since their questions are not independent."""
    test: float = Field(0.5, gt=0, lt=1)
    """Share of questions on the test side."""
    seed: int = 0
    """Which groups go where."""


class Budget(Section):
    """Where a run stops by itself; what it finished is kept."""

    usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Dollars that one run may spend: it stops before the call that would exceed them. The next
    run has as much again, and goes on from there."""
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Minutes that one run may take."""


KEYS = (
    "name", "corpus", "questions", "split", "tokenizer", "axes", "measure", "baseline", "choose",
    "budget", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """An experiment as read and checked; nothing has run, no corpus has been opened."""

    name: str
    corpus: Spec
    questions: QuestionsPart
    split: Split | None
    tokenizer: str
    trials: tuple[Trial, ...]
    alternatives: Mapping[str, list[Any]]
    """The points of each axis as they were read, for lists and figures."""
    notes: tuple[str, ...]
    """What was written twice."""
    measures: tuple[Measure, ...]
    baseline: str
    """The id of the trial that others are compared with."""
    choose: Choose | None
    budget: Budget
    seed: int
    source: Source

    @property
    def settings(self) -> dict[str, Any]:
        """What was written, `--set` applied: what tracking keeps of it."""
        return dict(self.source.settings)

    @cached_property
    def varying(self) -> list[str]:
        """Names of parameters that tell trials apart, in the order of the axes.

        Kinds where an axis has several, and settings in which trials of one kind differ; what
        merely follows from a kind, such as its other defaults, is left out.
        """
        seen: dict[tuple[str, Any], set[str]] = {}
        for trial in self.trials:
            params = trial.params
            for name, value in params.items():
                kind = None if name.endswith(".kind") else params.get(_kind_of(name))
                seen.setdefault((name, kind), set()).add(repr(value))
        told = {name for (name, _), values in seen.items() if len(values) > 1}
        return [name for name in dict.fromkeys(name for name, _ in seen) if name in told]


@cache
def _kind_of(name: str) -> str:
    """The parameter that says whose setting this is: `chunk.kind` for `chunk.size`."""
    return f"{name.rpartition('.')[0]}.kind"


def load(
    experiment: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Experiment:
    """Read and check an experiment.

    Args:
        experiment: a YAML file, or the same as a mapping.
        changes: dotted path → value, such as `{"questions.limit": 50}`; unknown names are
            refused.

    Raises:
        SpecError: what is written cannot be meant; names file, line and the nearest valid name.
    """
    source = Source(experiment) if isinstance(experiment, Mapping) else read(Path(experiment))
    return parse(override(source, changes or {}))


def parse(source: Source) -> Experiment:
    """Check settings and expand their axes. See `load`."""
    settings = source.settings
    only(source, (), settings, KEYS)
    for key in ("corpus", "axes", "measure"):
        if settings.get(key) is None:
            raise source.error(
                (), SpecError(f"`{key}` is missing.", mend=f"add `{key}:`; see `mox schema`.")
            )
    axes = mapping(source, ("axes",), settings["axes"])
    only(source, ("axes",), axes, AXES)
    for axis in ("chunk", "search"):
        if axes.get(axis) is None:
            raise source.error(
                ("axes",), SpecError(f"`axes.{axis}` is missing.", mend=f"add `{axis}:`.")
            )
    name = settings.get("name") or (source.file.stem if source.file else "experiment")
    if not isinstance(name, str):
        raise source.error(("name",), SpecError(f"name = {name!r} is no text.", mend="quote it."))
    tokenizer = settings.get("tokenizer", "cl100k")
    try:
        tokenizer_fingerprint(str(tokenizer))
    except MoxError as error:
        raise source.error(("tokenizer",), error) from None
    expanded = expand(source, tokenizer)
    trials = expanded.trials
    if not trials:
        raise source.error(
            ("axes",),
            SpecError("the axes hold no trial.", mend="give each list one alternative at least."),
        )
    measures = _measures(source)
    return Experiment(
        name=name,
        corpus=_corpus(source),
        questions=_section(source, "questions", QuestionsPart),
        split=_section(source, "split", Split) if settings.get("split") is not None else None,
        tokenizer=tokenizer,
        trials=trials,
        alternatives=expanded.alternatives,
        notes=expanded.notes,
        measures=measures,
        baseline=baseline(source, trials),
        choose=choosing(source, measures, trials),
        budget=_section(source, "budget", Budget),
        seed=_seed(source),
        source=source,
    )


S = TypeVar("S", bound=BaseModel)


def _section(source: Source, key: str, shape: type[S]) -> S:
    raw = source.settings.get(key)
    value = mapping(source, (key,), {} if raw is None else raw)
    try:
        return validate(shape, value, name=key)
    except FieldError as error:
        raise source.error((key, *error.field.split(".")), error) from None


def _corpus(source: Source) -> Spec:
    value = mapping(source, ("corpus",), source.settings["corpus"])
    try:
        return corpora.parse(value)
    except FieldError as error:
        raise source.error(("corpus", *error.field.split(".")), error) from None
    except MoxError as error:
        raise source.error(("corpus", "kind"), error) from None


def _measures(source: Source) -> tuple[Measure, ...]:
    value = source.settings["measure"]
    names = value if isinstance(value, list) else [value]
    found: dict[str, Measure] = {}
    for at, name in enumerate(names):
        try:
            measure = Measure.parse(str(name))
        except MoxError as error:
            raise source.error(("measure", at), error) from None
        found.setdefault(str(measure), measure)
    if not found:
        raise source.error(
            ("measure",), SpecError("`measure` is empty.", mend="name one: recall@1000t, say.")
        )
    return tuple(found.values())


def _seed(source: Source) -> int:
    seed = source.settings.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise source.error(("seed",), SpecError(f"seed = {seed!r}.", mend="use a whole number."))
    return seed
