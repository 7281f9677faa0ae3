"""A file's list `providers`: each entry's Spec, what is said besides, and whose key is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from mox.errors import FieldError, MoxError, SpecError
from mox.experiment.checks import mapping
from mox.experiment.choosing import Section
from mox.providers.accounts import key_files_from
from mox.providers.spec import ProviderSpec
from mox.registry import validate
from mox.source import Path_, Source


class Entry(Section):
    """What a provider's entry says besides its Spec."""

    name: str | None = Field(None, min_length=1)
    """Its model where not given."""
    optional: bool = False
    """Left out, by name, where its key isn't set; without it a missing key is an error."""
    limits: dict[str, Any] | None = None
    """Of its account, for the token pool: `requests_per_min`, and `tokens_per_min` or
    `input_per_min` and `output_per_min`. Without them it is asked as fast as the load has it. In
    the provider's minutes, as loads are in its seconds; a `mox simulate` of your own has its limits
    in real ones, so 600 of its at a time scale of 0.1 are 60 here."""
    accounts: tuple[dict[str, Any], ...] | None = Field(None, min_length=1)
    """Several accounts that the pool chooses from, each with its `key_env` or `key_file` and its
    `limits`; those above where it states none of its own."""


@dataclass(frozen=True)
class Named:
    """One provider of the file."""

    name: str
    spec: ProviderSpec
    entry: Entry
    at: int
    """Its place in the list."""


def entries(source: Source) -> Iterator[Named]:
    """Each entry's Spec, and what is said besides.

    Raises:
        SpecError: it can't be meant; names file and line.
    """
    from mox.providers import providers

    for at, raw in enumerate(listed(source, "providers")):
        path = ("providers", at)
        written = key_files_from(mapping(source, path, raw), source.base)
        entry = validated(
            source, path, Entry,
            {name: written[name] for name in Entry.model_fields if name in written},
        )  # fmt: skip
        rest = {name: value for name, value in written.items() if name not in Entry.model_fields}
        try:
            spec = providers.parse(rest)
        except FieldError as error:
            raise source.error((*path, *error.field.split(".")), error) from None
        except MoxError as error:
            raise source.error((*path, "kind"), error) from None
        if not isinstance(spec, ProviderSpec):
            raise source.error(
                path, SpecError(f"{spec.kind} is no provider of models.", mend="name another kind.")
            )
        yield Named(entry.name or spec.model, spec, entry, at)


S = TypeVar("S", bound=BaseModel)


def validated(source: Source, path: Path_, shape: type[S], value: Mapping[str, Any]) -> S:
    """Settings as a section, refused (SpecError) with file and line."""
    name = ".".join(str(part) for part in path) or "file"
    try:
        return validate(shape, value, name=name)
    except FieldError as error:
        raise source.error((*path, *_plain(error.field)), error) from None


def _plain(field: str) -> Iterator[str | int]:
    """A field's path as the file has it: numbers are places in a list."""
    for part in field.split("."):
        yield int(part) if part.isdigit() else part


def listed(source: Source, key: str) -> list[Any]:
    """A list; one value is as good as a list of it."""
    value = source.settings[key]
    return value if isinstance(value, list) else [value]
