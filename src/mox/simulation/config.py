"""What is simulated: models, the accounts that may use them, and what goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mox import source
from mox.errors import FieldError
from mox.registry import validate
from mox.simulation import naming
from mox.simulation.faults import Fault
from mox.simulation.models import EMBEDDING_MODELS, MODELS, EmbeddingModel, Model

Accounting = Literal["openai", "anthropic"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limits(_Settings):
    """What an account may use of one class of models, in tokens and requests a minute.

    A bucket is refilled all the time, never at the turn of a minute.
    """

    accounting: Accounting = "openai"
    """`openai`: a request is charged its estimated input and its whole `max_tokens` when it is
    let in, and gets nothing back; what came from a cache counts fully. `anthropic`: input that
    came from no cache when it is let in, output as it is produced, whatever `max_tokens` says."""
    rpm: float = Field(gt=0)
    """Requests a minute."""
    tpm: float | None = Field(default=None, gt=0)
    """Tokens a minute, by OpenAI's accounting."""
    itpm: float | None = Field(default=None, gt=0)
    """Input tokens a minute, by Anthropic's accounting."""
    otpm: float | None = Field(default=None, gt=0)
    """Output tokens a minute, by Anthropic's accounting."""
    burst_s: float = Field(default=60.0, gt=0)
    """How many seconds' refill a bucket holds: 60 is a minute's limit at once, 1 is strict."""
    growth_per_min: float | None = Field(default=None, gt=0)
    """The most that the load may grow from one minute to the next: 0.5 is by half. Without it
    there is no such limit. A fifth of `rpm` is always allowed, and one
    request."""
    project_headers: bool = False
    """OpenAI's headers of the project's limit too."""

    @model_validator(mode="after")
    def _fits_the_accounting(self) -> Self:
        if self.accounting == "openai" and (self.tpm is None or self.itpm or self.otpm):
            raise ValueError("OpenAI's accounting has tpm, and neither itpm nor otpm")
        if self.accounting == "anthropic" and (self.tpm or self.itpm is None or self.otpm is None):
            raise ValueError("Anthropic's accounting has itpm and otpm, and no tpm")
        return self


class Account(_Settings):
    """Who asks. Its name is its key: it opens nothing but this simulator."""

    limits: Limits | None = None
    """Of each class of models; without them nothing is refused."""
    by_class: dict[str, Limits] = Field(default_factory=dict)
    """Other limits for some classes, or for models that are in none."""
    keys: tuple[str, ...] = ()
    """Further keys of the account: all of them share its limits."""


class Simulation(_Settings):
    """All that a simulator needs to know. Equal settings give equal answers."""

    seed: int = 0
    time_scale: float = Field(default=1.0, gt=0)
    """Latencies are multiplied by it: 0.01 for tests. Latencies only: limits, storms and caps
    are always in real seconds."""
    models: dict[str, Model] = Field(default_factory=lambda: dict(MODELS))
    """By the names that clients ask for. One is `sim-swift`, `sim-careful` or `sim-thinking`, or
    `{like: sim-swift, …}` with settings of its own; its `profile` may be a name (`swift`,
    `careful`), settings, or in a file the name of a profile's YAML beside it."""
    embedding_models: dict[str, EmbeddingModel] = Field(
        default_factory=lambda: dict(EMBEDDING_MODELS)
    )
    """The same of models that turn texts into vectors."""
    context_tokens: int = Field(default=200_000, ge=1)
    """Input and `max_tokens` of a request together; more is refused."""
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Models that share one limit; a model of no class is a class by itself."""
    accounts: dict[str, Account] = Field(default_factory=dict)
    """By key. Without any, every key is let in, unlimited."""
    faults: tuple[Fault, ...] = ()

    _whole_models = field_validator("models", mode="before")(naming.models)
    _whole_embedders = field_validator("embedding_models", mode="before")(naming.embedding_models)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        models = {*self.models, *self.embedding_models}
        members = [name for some in self.classes.values() for name in some]
        _known("model", {*members, *_each(fault.models for fault in self.faults)}, models)
        if twice := [name for name, count in Counter(members).items() if count > 1]:
            raise ValueError(f"the model {twice[0]!r} stands twice in classes; it has one")
        limited = _each(account.by_class for account in self.accounts.values())
        _known("class", limited, {*self.classes, *(models - {*members})})
        if self.accounts:  # else every key is one, by a name of its own
            _known("account", _each(fault.accounts for fault in self.faults), {*self.accounts})
        keys = [key for name, one in self.accounts.items() for key in (name, *one.keys)]
        if len(keys) != len(set(keys)):
            raise ValueError("a key belongs to one account")
        return self

    def class_of(self, model: str) -> str:
        """Which limits a model counts against."""
        for name, members in self.classes.items():
            if model in members:
                return name
        return model

    def limits(self, account: str, model: str) -> Limits | None:
        """Of an account for a model; None where it has none."""
        found = self.accounts.get(account)
        if found is None:
            return None
        return found.by_class.get(self.class_of(model), found.limits)


def _each(names: Iterable[Iterable[str]]) -> set[str]:
    return set(chain.from_iterable(names))


def _known(what: str, named: set[str], known: set[str]) -> None:
    if unknown := sorted(named - known):
        raise ValueError(f"no {what} {unknown[0]!r} here; there are {', '.join(sorted(known))}")


def read(path: Path) -> Simulation:
    """A simulation from a YAML file; profiles that it names as files stand beside it.

    Raises:
        MissingError: no such file.
        SpecError: it is no YAML, or says what can't be meant; names the line.
    """
    found = source.read(path, what="a simulation", start="models:")
    settings = naming.with_profiles(found)
    try:
        return made(settings)
    except FieldError as error:
        parts = error.field.split(".")
        at = tuple(int(part) if part.isdigit() else part for part in parts)
        raise found.error(at, error) from None


def made(settings: Simulation | Mapping[str, Any]) -> Simulation:
    """A simulation from what was written in Python.

    Raises:
        SpecError: it says what can't be meant.
    """
    if isinstance(settings, Simulation):
        return settings
    try:
        return validate(Simulation, settings, name="simulation")
    except FieldError as error:
        # An experiment's mend doesn't help here.
        mend = error.mend if "no field" in error.message else _MEND
        raise FieldError(error.message, mend=mend, field=error.field) from None


_MEND = "give a value that the field takes; `help(mox.simulation.config)` says what each is."


def changed(simulation: Simulation, changes: Mapping[str, Any]) -> Simulation:
    """The same with some settings replaced; those that are None stay.

    Raises:
        SpecError: a setting can't be meant.
    """
    set_ = {name: value for name, value in changes.items() if value is not None}
    return made({**simulation.model_dump(), **set_}) if set_ else simulation
