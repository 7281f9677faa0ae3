"""Back ends by kind: ours, and third parties' through entry points.

A room owns one registry. Its own modules register when a kind is looked up, in turn until one
has it: exact search imports nothing of Milvus'. A third party's module is imported only when
its kind is asked for, so a broken plugin stops nothing that doesn't use it.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mox.errors import FieldError, MissingError, SpecError
from mox.settings import install_line
from mox.spec import Spec

B = TypeVar("B")
Fingerprint = Callable[[Any], Mapping[str, str]]


@dataclass(frozen=True)
class Entry(Generic[B]):
    """One back end: its settings, what does the work, and what its results depend on."""

    spec: type[Spec]
    backend: B
    fingerprint: Fingerprint
    traits: Mapping[str, Any] = field(default_factory=dict)
    plugin: str | None = None
    """The distribution it came with; None for ours."""


class Registry(Generic[B]):
    """Back ends of one group, by the `kind` of their Spec.

    Args:
        group: the entry-point group, such as `mox.chunkers`.
        ours: modules of Mox that register into it when imported.
    """

    def __init__(self, group: str, ours: Iterable[str]) -> None:
        self.group = group
        self._ours = tuple(ours)
        self._not_imported = list(self._ours)
        self._entries: dict[str, Entry[B]] = {}
        self._ready: set[str] = set()
        """Kinds that were looked up, and so whose modules are imported to their ends."""
        self._broken: dict[str, str] = {}
        self._importing = threading.RLock()
        self._loading: str | None = None

    def register(
        self, spec: type[Spec], *, fingerprint: Fingerprint, **traits: Any
    ) -> Callable[[B], B]:
        """Decorate the back end that does the work of `spec`.

        Args:
            spec: its settings; the default of `kind` is its name.
            fingerprint: the versions and file hashes that its results depend on, given a spec.
            traits: what else the room asks of its back ends, such as how far an embedder reads.
                `imports` (of ours only): modules that the work imports, take long, and start no
                thread when imported, so that workers share one import of them.
        """
        kind = spec.model_fields["kind"].default

        def decorate(backend: B) -> B:
            known = self._entries.get(kind)
            if known is not None and known.plugin != self._loading:
                raise SpecError(
                    f"{self.group}: the kind {kind!r} is taken already.",
                    mend="give the back end another kind.",
                )
            self._entries[kind] = Entry(spec, backend, fingerprint, traits, self._loading)
            return backend

        return decorate

    def kinds(self) -> list[str]:
        """All kinds that can be asked for, sorted; plugins by the names of their entry points."""
        self._load_ours(None)
        return sorted(
            {*self._entries, *(point.name for point in self._plugins())} - {*self._broken}
        )

    def entry(self, kind: str) -> Entry[B]:
        """The back end of a kind.

        Raises:
            SpecError: no such kind; names the nearest.
            MissingError: a plugin has it, and cannot be imported.
        """
        found = self.known(kind)
        if found is None:
            raise SpecError(
                f"unknown kind {kind!r} in {self.group}{nearest(kind, self.kinds())}.",
                mend=f"use one of {', '.join(self.kinds())}, or install what brings {kind!r}.",
            )
        return found

    def known(self, kind: object) -> Entry[B] | None:
        """The back end of a kind; None where there is no such kind.

        Raises:
            MissingError: a plugin has it, and cannot be imported.
        """
        if not isinstance(kind, str):
            return None
        if kind not in self._ready:  # else without a lock: a sweep asks for few, and often
            self._load_ours(kind)
            if kind not in self._entries:
                self._load_plugin(kind)
            if kind in self._entries:
                self._ready.add(kind)
        return self._entries.get(kind)

    def __getitem__(self, spec: Spec) -> B:
        return self.entry(spec.kind).backend

    def parse(self, settings: Mapping[str, Any]) -> Spec:
        """A frozen Spec from plain settings.

        Raises:
            SpecError: no `kind`, an unknown one, or a field that its Spec refuses.
        """
        kind = settings.get("kind")
        if not isinstance(kind, str):
            raise SpecError(
                f"{self.group}: settings without a `kind`.",
                mend=f"add `kind:` with one of {', '.join(self.kinds())}.",
            )
        return validate(self.entry(kind).spec, settings)

    def fingerprint(self, spec: Spec) -> dict[str, str]:
        """What the results of `spec` depend on beyond its settings."""
        return dict(self.entry(spec.kind).fingerprint(spec))

    def broken(self) -> dict[str, str]:
        """Plugins that cannot be loaded: entry point → what it said. Tries all of them."""
        self._load_ours(None)
        for point in self._plugins():
            if point.name not in self._entries:
                try:
                    self._load_plugin(point.name)
                except (MissingError, SpecError) as error:
                    self._broken[point.name] = error.message
        return dict(self._broken)

    def _load_ours(self, kind: str | None) -> None:
        """Import our modules until one registers the kind; all of them for None."""
        with self._importing:
            while self._not_imported and kind not in self._entries:
                importlib.import_module(self._not_imported.pop(0))

    def _plugins(self) -> tuple[metadata.EntryPoint, ...]:
        return _entry_points(self.group, _installed())

    def _load_plugin(self, kind: str) -> None:
        for point in self._plugins():
            if point.name != kind:
                continue
            name = point.dist.name if point.dist else point.module
            self._loading = name
            try:
                point.load()
            except Exception as error:
                raise MissingError(
                    f"{self.group}: {name} brings {kind!r} but cannot be imported"
                    f" ({type(error).__name__}: {error}).",
                    mend=f"mend or uninstall {name}; `mox doctor` lists all plugins.",
                ) from error
            finally:
                self._loading = None
            if kind not in self._entries:
                raise MissingError(
                    f"{self.group}: {name} says that it brings {kind!r} and registers nothing"
                    " of that kind.",
                    mend=f"its entry point's name must be the kind of a Spec that {point.value}"
                    " registers.",
                )


Installed = tuple[tuple[str, int | None], ...]


def _installed() -> Installed:
    """The import path, and when each of its folders changed: what is installed, without looking.

    So what is asked of installed packages is asked once, and anew when one is installed into a
    running kernel.
    """
    return tuple((path, _changed(path)) for path in sys.path)


def _changed(path: str) -> int | None:
    try:
        return os.stat(path or ".").st_mtime_ns  # noqa: PTH116  asked for each point of a sweep
    except OSError:
        return None


@lru_cache(maxsize=32)
def _entry_points(group: str, _: Installed) -> tuple[metadata.EntryPoint, ...]:
    return tuple(sorted(metadata.entry_points(group=group), key=lambda point: point.name))


@lru_cache(maxsize=256)
def _version(name: str, _: Installed) -> str:
    return metadata.version(name)


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else ""


M = TypeVar("M", bound=BaseModel)


def validate(spec: type[M], settings: Mapping[str, Any], *, name: str | None = None) -> M:
    """Settings as a Spec, refused with the field's name and the nearest valid one.

    Args:
        name: what the settings are called in messages; the `kind` where not given.

    Raises:
        SpecError: an unknown field, or a value that its field refuses; `.field` names it.
    """
    fields = spec.model_fields
    try:
        return spec.model_validate(settings)
    except ValidationError as error:
        # A misspelt field first: what is missing then is most likely what it meant.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"])
        kind = name or settings.get("kind", spec.__name__)
        if first["type"] == "extra_forbidden":
            raise FieldError(
                f"{kind} has no field {field!r}{nearest(field, fields)}.",
                mend=f"use one of {', '.join(fields)}.",
                field=field,
            ) from None
        if first["type"] == "missing":
            raise FieldError(
                f"{kind} needs the field {field!r}.", mend=f"add `{field}:`.", field=field
            ) from None
        said = first["msg"].removeprefix("Value error, ")
        # What stands near a key may be one: such a Spec says that its values aren't repeated.
        shy = spec.model_config.get("hide_input_in_errors", False)
        value = "" if shy else f" = {first['input']!r}"
        raise FieldError(
            f"{kind}.{field}{value}: {said}." if field else f"{kind}: {said}.",
            mend="give a value that the field takes; `mox schema` lists all fields.",
            field=field,
        ) from None


def versions(*distributions: str, **parts: str) -> dict[str, str]:
    """Installed versions by distribution, with further named parts: a fingerprint's usual form.

    Raises:
        MissingError: one isn't installed.
    """
    found = {}
    for name in distributions:
        try:
            found[name] = _version(name, _installed())
        except metadata.PackageNotFoundError:
            raise missing_package(name) from None
    return {**found, **parts}


def missing_package(name: str, *, extra: str | None = None) -> MissingError:
    """The error for a package that isn't installed, with the line that installs it.

    The line fits how Mox was installed: from a working tree or from an index.
    """
    return MissingError(f"{name} is not installed.", mend=f"run `{install_line(extra)}`.")
