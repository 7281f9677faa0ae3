"""A release as it stands in its file: written as YAML, and read back with its checksum."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.errors import DataError, StoreError
from mox.settings import DISTRIBUTION
from mox.source import read
from mox.spec import digest

SCHEMA = 1
CHECKSUM = "sha256"
HEAD = (
    f"# A release of Mox ({DISTRIBUTION}). Its checksum covers every value: don't edit it."
    " `mox ask` opens it.\n"
)


@dataclass(frozen=True)
class Release:
    """A release as it stands in its file."""

    path: Path
    content: Mapping[str, Any]
    """All of it, its checksum under `sha256`."""

    @property
    def name(self) -> str:
        return str(self.content["name"])

    @property
    def sha256(self) -> str:
        return str(self.content[CHECKSUM])


def read_release(path: Path) -> Release:
    """Read a release and verify its checksum.

    Raises:
        MissingError: no such file.
        DataError: it isn't a release, or was changed after it was written.
        StoreError: it was written by a newer Mox.
    """
    content = dict(read(path, what="a release", start="schema: 1").settings)
    if not is_one(content):
        raise DataError(f"{path} is no release.", mend="name a file that `mox promote` wrote.")
    schema = content["schema"]
    if schema > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer Mox (schema {schema}; this one knows {SCHEMA}).",
            mend="upgrade Mox.",
        )
    said = content.pop(CHECKSUM)
    found = digest(content)
    if said != found:
        raise DataError(
            f"{path} was changed after it was written: it says {CHECKSUM} {str(said)[:12]}, and"
            f" its content has {found[:12]}.",
            mend="promote the trial again, or take the file from where it was registered.",
        )
    return Release(path.absolute(), {**content, CHECKSUM: said})


def is_one(content: Mapping[str, Any]) -> bool:
    """Whether a file's settings are a release's, changed or not."""
    return isinstance(content.get("schema"), int) and CHECKSUM in content


def dump(content: Mapping[str, Any]) -> str:
    """A release as YAML."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096  # a folded line would be harder to compare
    yaml.representer.ignore_aliases = lambda *_: True
    buffer = io.StringIO()
    yaml.dump(_quoted(content), buffer)
    return HEAD + buffer.getvalue()


def _quoted(value: Any) -> Any:
    """The same, a text with a break of YAML 1.1 in quotes, where it is escaped: plain, it is read
    as a space or a line's end."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(name): _quoted(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    if isinstance(value, str) and any(sign in value for sign in "\x85\u2028\u2029"):
        return DoubleQuotedScalarString(value)
    return value
