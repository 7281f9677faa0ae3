"""How one trial is chosen: what is maximised, within which margin, subject to what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mox.embedding import embedders
from mox.errors import FieldError, MoxError, SpecError
from mox.evaluation.measures import Measure
from mox.experiment.checks import mapping
from mox.experiment.constraints import (
    AGREEMENT,
    COSTS,
    FORM,
    Constraint,
    check,
    more_is_better,
)
from mox.experiment.trials import Trial
from mox.registry import nearest, validate
from mox.source import Source

LOAD = "add a `load` axis, which measures it."
MONEY = "add an embedder that costs money: every one here is free."

_ONE = {
    "type": "string",
    "pattern": f"^{FORM}$",
    "examples": ["recall_of_exact@10 >= 0.95", "p95_ms <= 20", "memory_mb <= 2 GB"],
}
WRITTEN: dict[str, Any] = {"anyOf": [_ONE, {"type": "array", "items": _ONE}]}
"""How constraints may be written, as JSON schema: one, or a list of them."""


class Section(BaseModel):
    """A part of an experiment: frozen, closed, its fields' docstrings their help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Prefer(Section):
    """Which of the trials that qualify is taken."""

    minimise: str | None = None
    maximise: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Prefer:
        if (self.minimise is None) == (self.maximise is None):
            raise ValueError("give one of minimise and maximise")
        return self

    @property
    def name(self) -> str:
        return self.minimise or self.maximise or ""

    @property
    def sign(self) -> int:
        """+1 where less is better, else -1."""
        return 1 if self.minimise else -1


class Choose(Section):
    """How one trial is chosen, on dev."""

    maximise: str | None = None
    """A measure of `measure`; or a figure of which more is better (`qps`), as a point estimate."""
    minimise: str | None = None
    """Instead of `maximise`: a cost of which less is better (`p95_ms`, `index_mb`)."""
    subject_to: Annotated[tuple[str, ...], WithJsonSchema(WRITTEN)] = ()
    """Constraints that a trial must surely keep to be chosen at all: a figure, one of
    >= <= > <, and a bound, which may have a unit: `p95_ms <= 20 ms`."""
    within: float | None = Field(None, gt=0, lt=1)
    """Margin in the measure's own units: trials that are surely not worse than the best by more
    qualify. The best is taken where it is null."""
    prefer: Prefer | None = None
    """Of those that qualify, which one; the best by the measure where null. Trials qualify within
    a margin of a measure, or tie by a cost."""

    @field_validator("subject_to", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or ()

    @model_validator(mode="after")
    def _one(self) -> Choose:
        if (self.minimise is None) == (self.maximise is None):
            raise ValueError("give one of maximise and minimise")
        return self

    @property
    def goal(self) -> str:
        """The figure that is maximised or minimised."""
        return self.maximise or self.minimise or ""

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return tuple(Constraint.parse(text) for text in self.subject_to)

    @property
    def rule(self) -> dict[str, Any]:
        """What is kept of it, and what a run is named by: a rule without constraints is the very
        one that it was before there were any."""
        found = self.model_dump(mode="json")
        for name in ("minimise", "subject_to"):
            if not found[name]:
                del found[name]
        if self.subject_to:
            found["subject_to"] = [str(constraint) for constraint in self.constraints]
        return found


def choosing(
    source: Source, measures: tuple[Measure, ...], trials: Sequence[Trial]
) -> Choose | None:
    """The section `choose`, checked against what the experiment measures; None without one.

    Raises:
        SpecError: it names what no trial reports, or asks for what can't be; names the line.
    """
    raw = source.settings.get("choose")
    if raw is None:
        return None
    value = dict(mapping(source, ("choose",), raw))
    _check_margin(source, value)
    _check_written(source, value)
    try:
        choose = validate(Choose, value, name="choose")
    except FieldError as error:
        raise source.error(("choose", *error.field.split(".")), error) from None
    known = _Known(source, measures, trials)
    for place, name in known.named(choose):
        if name not in known.measured:
            raise source.error(place, known.unknown(".".join(map(str, place)), name))
    _check_goal(source, choose, known)
    _check_preferred(source, choose, known)
    _check_constraints(source, choose, known)
    _check_loads(source, choose, trials)
    return choose


class _Known:
    """The figures that this experiment's trials report, and what it would take for others."""

    def __init__(
        self, source: Source, measures: tuple[Measure, ...], trials: Sequence[Trial]
    ) -> None:
        self.measures = [str(measure) for measure in measures]
        loaded = any(trial.load is not None for trial in trials)
        depths = dict.fromkeys(
            trial.search.dense_k
            for trial in trials
            if trial.embed is not None and trial.index is not None and trial.index.kind != "exact"
        )
        agreement = [f"{AGREEMENT}@{depth}" for depth in depths]
        paid = any("paid" in embedders.entry(t.embed.kind).traits for t in trials if t.embed)
        costs = [
            name
            for name, cost in COSTS.items()
            if (loaded or not cost.by_load) and (paid or not cost.by_money)
        ]
        self.measured = [*self.measures, *costs, *agreement, *([AGREEMENT] if depths else [])]
        self._agreement = agreement
        self._others = [name for name in COSTS if name not in costs]

    def lacks(self, name: str) -> str | None:
        """What would measure a figure that nothing here measures; None for other names."""
        if name in self._others:
            return LOAD if COSTS[name].by_load else MONEY
        if name.partition("@")[0] != AGREEMENT or name in self.measured:
            return None
        if not self._agreement:
            return "add an approximate index: every search here is exact."
        return f"write {' or '.join(self._agreement)}: so deep the searches here ask."

    @property
    def every(self) -> list[str]:
        """Names that a misspelt one may have meant."""
        return [*self.measured, *self._others]

    def named(self, choose: Choose) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where `choose` names a figure, and which."""
        yield ("choose", "maximise" if choose.maximise else "minimise"), choose.goal
        if choose.prefer:
            yield ("choose", "prefer"), choose.prefer.name

    def unknown(self, place: str, name: str) -> SpecError:
        if lacking := self.lacks(name):
            return SpecError(f"{place} names {name}, and nothing measures it.", mend=lacking)
        if place == "choose.maximise":
            return SpecError(
                f"{place} names {name!r}, which is not measured{nearest(name, self.every)}.",
                mend=f"use one of {', '.join(self.measures)}, or add it to `measure`.",
            )
        return SpecError(
            f"{place} names {name!r}, which no trial reports{nearest(name, self.every)}.",
            mend=f"use one of {', '.join(self.measured)}.",
        )


def _check_written(source: Source, raw: Mapping[str, Any]) -> None:
    """Constraints that can't be read, each by its line."""
    written = raw.get("subject_to")
    if isinstance(written, str):
        written = [written]
    if written is None:
        return
    if not isinstance(written, list):
        raise source.error(
            ("choose", "subject_to"),
            SpecError(
                f"choose.subject_to = {written!r} is no list.",
                mend="write `subject_to: [p95_ms <= 20]`.",
            ),
        )
    for at, text in enumerate(written):
        try:
            if not isinstance(text, str):
                raise SpecError(
                    f"choose.subject_to holds {text!r}.", mend="write `p95_ms <= 20` there."
                )
            Constraint.parse(text)
        except SpecError as error:
            raise source.error(("choose", "subject_to", at), error) from None


def _check_goal(source: Source, choose: Choose, known: _Known) -> None:
    """The goal goes the way that its figure is better, and a margin belongs to a measure."""
    goal = choose.goal
    _check_way(source, ("choose",), "maximise" if choose.maximise else "minimise", goal)
    if choose.within is not None and goal not in known.measures:
        raise source.error(
            ("choose", "within"),
            SpecError(
                f"choose.within is a margin of a measure on dev, and {goal} is none.",
                mend="leave `within` out: a difference inside the spread is a tie as it is.",
            ),
        )


def _check_preferred(source: Source, choose: Choose, known: _Known) -> None:
    """What is preferred goes the way that it is better, and there may be several to prefer of."""
    if choose.prefer is None:
        return
    way = "maximise" if choose.prefer.maximise else "minimise"
    _check_way(source, ("choose", "prefer"), way, choose.prefer.name)
    if choose.within is None and choose.goal in known.measures:
        raise source.error(
            ("choose", "prefer"),
            SpecError(
                f"choose.prefer does nothing: without `within` the best by {choose.goal} is taken.",
                mend="add `within: 0.05`, so that others can qualify, or leave `prefer` out.",
            ),
        )


def _check_way(source: Source, place: tuple[str, ...], way: str, name: str) -> None:
    if more_is_better(name) == (way == "maximise"):
        return
    better, other = ("more", "maximise") if more_is_better(name) else ("less", "minimise")
    raise source.error(
        (*place, way),
        SpecError(
            f"{'.'.join((*place, way))} names {name}, of which {better} is better.",
            mend=f"write `{other}: {name}`.",
        ),
    )


def _check_constraints(source: Source, choose: Choose, known: _Known) -> None:
    seen: set[str] = set()
    for at, constraint in enumerate(choose.constraints):
        try:
            name = constraint.name
            if mend := known.lacks(name):
                raise SpecError(f"`{constraint}`: nothing measures {name}.", mend=mend)
            if name not in known.measured:
                raise SpecError(
                    f"`{constraint}` names {name!r}, which no trial reports"
                    f"{nearest(name, known.every)}.",
                    mend=f"use one of {', '.join(known.measured)}.",
                )
            check(constraint)
            if name in seen:
                raise SpecError(
                    f"`{constraint}`: {name} has a bound already.",
                    mend="keep the tighter one.",
                )
            seen.add(name)
            if name in known.measures and choose.goal in known.measures:
                raise SpecError(
                    f"`{constraint}` bounds a measure on dev, where {choose.goal} is maximised.",
                    mend="bound quality by `within`, which says how much the best may be missed"
                    " by; or maximise a cost such as qps subject to this.",
                )
        except MoxError as error:
            raise source.error(("choose", "subject_to", at), error) from None


def _check_loads(source: Source, choose: Choose, trials: Sequence[Trial]) -> None:
    """Refuse to choose by a figure under loads of several kinds: the easiest would be chosen, and
    no index. How many clients ask at once is part of what is chosen."""
    named = [choose.goal, *(one.name for one in choose.constraints)]
    named += [choose.prefer.name] if choose.prefer else []
    by_load = [name for name in named if name in COSTS and COSTS[name].by_load]
    loads = [trial.load for trial in trials if trial.load is not None]
    for field in ("selectivity", "inserts", "cold"):
        values = dict.fromkeys(getattr(load, field) for load in loads)
        if by_load and len(values) > 1:
            said = ", ".join(str(value) for value in values)
            raise source.error(
                ("choose",),
                SpecError(
                    f"choose names {', '.join(by_load)}, and loads differ in {field} ({said}): the"
                    " easiest load would be chosen, and no index.",
                    mend=f"leave one {field} in axes.load; others in an experiment of their own.",
                ),
            )


def _check_margin(source: Source, raw: Mapping[str, Any]) -> None:
    """`within` in another unit, or with a sign, is what one most easily gets wrong."""
    within = raw.get("within")
    if isinstance(within, bool) or not isinstance(within, int | float) or 0 < within < 1:
        return
    if within < 0:
        why, mend = "a margin has no sign", f"write {-within:g}: what a trial may lose to the best"
    elif within == 0:
        why = "no number of questions shows a loss of nothing"
        mend = "write a small margin such as 0.02, or leave `within` out to take the best"
    else:
        why = "a margin is in the measure's own units, between 0 and 1"
        mend = (
            f"write {within / 100:g} for {within:g} points" if within < 100 else "write 0.05, say"
        )
    raise source.error(
        ("choose", "within"), SpecError(f"choose.within = {within:g}: {why}.", mend=f"{mend}.")
    )
