"""What all providers have in common: a model, and where its key stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from mox.errors import FieldError
from mox.secrets import looks_like_a_key, scrub
from mox.spec import Spec

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_LONGEST_WORD = 24
"""Letters and digits in a row: more of them are no word of a variable's name."""


class ProviderSpec(Spec):
    """One way to a model. No field ever holds a key: one that does is refused, unrepeated."""

    # Specs are stored and shown, and so are their errors.
    model_config = ConfigDict(hide_input_in_errors=True)

    KEY_ENV: ClassVar[str | None] = None
    """The provider's own variable, read where the spec names none."""

    model: str = Field(min_length=1)
    """As the provider names it."""
    key_env: str | None = None
    """The environment variable that holds the key; the provider's own where not set."""
    key_file: Path | None = None
    """A file whose only content is the key."""

    @model_validator(mode="before")
    @classmethod
    def _holds_no_key(cls, settings: Any) -> Any:
        """Refuse (FieldError) keys before any other check could repeat them."""
        if not isinstance(settings, Mapping):
            return settings
        kind = cls.model_fields["kind"].default
        for field, text in _texts(settings):
            if looks_like_a_key(text) or scrub(text) != text:
                raise FieldError(
                    f"{kind}.{field} holds a key or another secret; a Spec never does.",
                    mend="put it into an environment variable and name that with key_env, or into"
                    " a file and name that with key_file. Specs are stored and shown.",
                    field=field,
                )
        if settings.get("key_env") is not None and settings.get("key_file") is not None:
            raise FieldError(
                f"{kind} names two places of a key, key_env and key_file.",
                mend="leave one of them out.",
                field="key_file",
            )
        variable = settings.get("key_env")
        if isinstance(variable, str) and not is_variable(variable):
            raise FieldError(
                f"{kind}.key_env is no name of a variable.",
                mend="write the variable's name (OPENAI_API_KEY), never the key itself.",
                field="key_env",
            )
        return settings


def is_variable(name: str) -> bool:
    """Whether a text is a variable's name and not, most likely, a key: capitals, digits and
    underscores, in words."""
    words = name.split("_")
    return bool(_VARIABLE.fullmatch(name)) and max(map(len, words)) <= _LONGEST_WORD


def checked_url(url: str) -> str:
    """An address of a server, which may be stored and shown.

    Raises:
        ValueError: it is none, or has what could be a password. Nothing of it is repeated.
    """
    none = "no address of a server: write an address such as http://localhost:8000/v1"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket too few
        known = False
    if not known or not url.isprintable() or " " in url:
        raise ValueError(none)
    if "@" in url:
        raise ValueError("an address has no user and no password; name the key with key_env")
    if parts.fragment:
        raise ValueError("an address has no fragment: what is behind # is never sent")
    return url


def _texts(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each text in settings, however deep, with its dotted place."""
    if isinstance(settings, str | Path):
        yield ".".join(path), str(settings)
    elif isinstance(settings, Mapping):
        for name, part in settings.items():
            yield from _texts(part, (*path, str(name)))
    elif isinstance(settings, list | tuple):
        for number, part in enumerate(settings):
            yield from _texts(part, (*path, str(number)))
