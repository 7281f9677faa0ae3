"""What must never reach a tracking server or a release: credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlparse

HIDDEN = "***"

_USER = re.compile(r"(?<=://)[^\s/'\"<>]*@")
_QUERY = re.compile(
    r"([?&][^=&\s]*(?:token|key|secret|password|signature|sig|credential)[^=&\s]*=)[^&\s'\"]+",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|(?:API|ACCESS|SECRET)?_?KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_SHORTEST = 6
"""A secret of fewer characters would blot out ordinary words."""


def scrub(text: str) -> str:
    """Text without what a URI in it carries as user and password, and without the values of
    environment variables that are secrets by their names."""
    return hide(_QUERY.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", text)))


def hide(text: str) -> str:
    """Text without the values of environment variables that are secrets by their names."""
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


def _planted() -> list[str]:
    """Secrets that the environment holds, longest first."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _NAME.search(name):
            found.add(value)
        elif name.startswith(("MOX_", "MLFLOW_")) and "://" in value:
            password = urlparse(value).password or ""
            found |= {password, unquote(password)}
    return sorted((s for s in found if len(s) >= _SHORTEST), key=lambda s: (-len(s), s))
