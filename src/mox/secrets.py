"""What must never reach a tracking server or a release: credentials."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"

_USER = re.compile(r"(?<=://)[^\s/'\"<>]*@")
_QUERY = re.compile(r"(?<=[?&])([^=&\s]+)=[^&\s'\"]+")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Of a name, however it is written: `api_key`, `X-Api-Key`, `apiKey`."""
_CAPITALS = re.compile(r"[A-Z]{3,}")
"""A word too, whatever follows it: `APIKEYv2`."""
_SECRET = re.compile(
    r"o?auth(?:z|orization|entication)?|cookies?|sig|credentials?|\w*token"
    r"|(?!monkey|donkey|turkey|hockey)\w*(?:key|secret|password|passwd|signature)s?",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"(?:access|api|auth|bearer|refresh|secret|security|session)[_-]?tokens", re.IGNORECASE
)
"""Other tokens in the plural (`max_tokens`) are counts."""
_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|(?:API|ACCESS|SECRET)?_?KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_SHAPED = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}"
    r"|hf_[A-Za-z0-9]{20,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16})"
)
"""Keys of providers of models, known by how they begin."""
_SHORTEST = 6
"""A secret of fewer characters would blot out ordinary words."""

_LENT = re.compile(r"(?:^|(?<!ACCESS)(?<!SECRET)_)KEY$", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]{1,12}")
"""What servers that need no key are given for one (`any`, `EMPTY`, `simulated`), in a variable of
such a name: an ordinary word, which is no secret, and hidden would blot out that word wherever it
stands."""

_FILE = re.compile(r"/(?!/)|[.~]|(?:file|sqlite|unix)(?:\+[a-z0-9.-]*)?:(?!//[^/])", re.IGNORECASE)
"""How a path begins, or a URI that is one: no host stands in it, so no user and no password."""

_guarded: set[str] = set()
"""Secrets that this process read from elsewhere than variables with telling names."""


def guard(secret: str) -> str:
    """The secret itself; from now on `scrub` and `hide` know it, wherever it was read, unless it
    is a mere word."""
    if not _WORD.fullmatch(secret):
        _guarded.add(secret)
    return secret


def looks_like_a_key(text: str) -> bool:
    """Whether a provider's key stands in a text, by its shape."""
    return _SHAPED.search(text) is not None


def names_a_secret(name: str) -> bool:
    """Whether a header or a query's parameter carries a secret, by its name."""
    words = [*_WORDS.findall(name), *_CAPITALS.findall(name)]
    return any(map(_SECRET.fullmatch, words)) or _TOKENS.search(name) is not None


def names_a_file(uri: str) -> bool:
    """Whether a URI is a path, in which `@` parts no password from a host."""
    return _FILE.match(uri) is not None


def scrub(text: str) -> str:
    """Text without what a URI in it carries as user and password, without what has the shape of
    a key, and without the values of environment variables that are secrets by their names."""
    # Secrets that are known go first and whole: of one that a shape breaks up, a part would stay.
    text = _SHAPED.sub(HIDDEN, hide(text))
    return _QUERY.sub(_without_value, _USER.sub(f"{HIDDEN}@", text))


def hide(text: str) -> str:
    """Text without the values of environment variables that are secrets by their names, and
    without keys that were read from files."""
    for secret in _planted():
        text = text.replace(secret, HIDDEN)
    return text


def scrubbed(value: Any) -> Any:
    """Settings with every text in them scrubbed."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: scrubbed(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(part) for part in value]
    return value


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1]}={HIDDEN}" if names_a_secret(found[1]) else found[0]


def _planted() -> tuple[str, ...]:
    """Secrets that this process knows, longest first; also as they stand in JSON, which writes a
    quote or a backslash otherwise."""
    told = (_told(name, value) for name, value in os.environ.items())
    return _as_written(frozenset(_guarded).union(*told))


@lru_cache(maxsize=1024)
def _told(name: str, value: str) -> frozenset[str]:
    """The secrets in a variable of the environment."""
    if _NAME.search(name):
        return frozenset() if _LENT.search(name) and _WORD.fullmatch(value) else frozenset({value})
    if name.startswith(("MOX_", "MLFLOW_")) and not names_a_file(value):
        return frozenset(_passwords(value))
    return frozenset()


@lru_cache(maxsize=16)
def _as_written(found: frozenset[str]) -> tuple[str, ...]:
    written = {json.dumps(s, ensure_ascii=ascii_)[1:-1] for s in found for ascii_ in (True, False)}
    long = (s for s in found | written if len(s) >= _SHORTEST)
    return tuple(sorted(long, key=lambda s: (-len(s), s)))


def _passwords(uri: str) -> set[str]:
    """What may be a URI's password, as it is written and as it is meant: up to the first `@`, and
    up to the last, where one stands unencoded in it as `/`, `?` and `#` may; and where `://` is
    missing, what follows any colon, since the first may be the scheme's."""
    before = (uri.partition("://")[2] if "://" in uri else uri).rpartition("@")[0]
    users = {before, before.partition("@")[0]}
    if "://" not in uri:
        users |= {user.partition(":")[2] for user in users}
    written = {user.partition(":")[2] for user in users}
    return written | {unquote(one) for one in written}
