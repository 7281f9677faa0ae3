"""Settings in files: YAML 1.2 to plain values, and where each of them stands.

Read with ruamel.yaml: `no` stays text, `1e-3` is a number, duplicate keys are refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mox.errors import DataError, MissingError, MoxError, SpecError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """Plain settings, the file that they came from, and the line of each."""

    settings: Mapping[str, Any]
    file: Path | None = None
    lines: Mapping[Path_, int] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        """The folder that relative paths start from."""
        return self.file.parent if self.file else Path.cwd()

    def where(self, path: Path_) -> str:
        """`file:line` of a path, or of the nearest that stands around it; else the dotted path."""
        dotted = ".".join(str(part) for part in path)
        if self.file is None:
            return dotted or "experiment"
        for size in range(len(path), -1, -1):
            if path[:size] in self.lines:
                return f"{self.file}:{self.lines[path[:size]]}"
        return str(self.file)

    def error(self, path: Path_, error: MoxError) -> MoxError:
        """The same error, naming the place."""
        named = f"{self.where(path)}: {error.message}"
        return SpecError(named, mend=error.mend)


def read(file: Path, *, what: str = "an experiment", start: str = "name:") -> Source:
    """Read a YAML file.

    Args:
        what: what such a file is, for messages.
        start: what it may begin with, for the mend where it is no mapping.

    Raises:
        MissingError: no such file.
        DataError: not UTF-8.
        SpecError: not YAML 1.2, a duplicate key, or no mapping; names the line.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{file}: no such file.", mend=f"name {what}'s YAML.") from None
    except IsADirectoryError:
        raise MissingError(f"{file} is a folder.", mend=f"name {what}'s YAML.") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}:{line}: not UTF-8 (byte {error.start}).", mend="save the file as UTF-8."
        ) from None
    node = _compose(text, str(file))
    if not isinstance(node, dict):
        raise SpecError(f"{file}: {what} is a mapping.", mend=f"start with `{start}`.")
    lines: dict[Path_, int] = {(): 1}
    settings = _plain(node, (), lines)
    return Source(settings, file.absolute(), lines)


def parse_value(text: str) -> Any:
    """One value as YAML would read it: for `--set path=value`."""
    return _plain(_compose(text, "--set"), (), {})


def _compose(text: str, name: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if any(line.startswith("%YAML") for line in text.splitlines()):
        raise SpecError(
            f"{name}: a %YAML directive would change what words mean.", mend="remove that line."
        )
    yaml = YAML(typ="rt")
    try:
        return yaml.load(io.StringIO(text))
    except DuplicateKeyError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = str(error.problem or "duplicate key").split(" with value")[0]
        raise SpecError(f"{name}:{line}: {problem}.", mend="remove one of the two.") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise SpecError(
            f"{name}:{line}: not YAML: {error.problem or error.context}.", mend="mend that line."
        ) from None
    except YAMLError as error:
        raise SpecError(f"{name}: not YAML: {error}.", mend="mend the file.") from None


def _plain(node: Any, path: Path_, lines: dict[Path_, int]) -> Any:
    """Plain dicts, lists and scalars; notes the line of each key and item on the way."""
    if isinstance(node, dict):
        found = {}
        for key, value in node.items():
            name = str(key)
            marks = getattr(node, "lc", None)
            if marks is not None and marks.data and key in marks.data:
                lines[(*path, name)] = marks.data[key][0] + 1
            found[name] = _plain(value, (*path, name), lines)
        return found
    if isinstance(node, list):
        for at, _ in enumerate(node):
            marks = getattr(node, "lc", None)
            if marks is not None and marks.data and at in marks.data:
                lines[(*path, at)] = marks.data[at][0] + 1
        return [_plain(value, (*path, at), lines) for at, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def override(source: Source, changes: Mapping[str, Any]) -> Source:
    """Settings with some replaced: dotted path → value, list items by number.

    Raises:
        SpecError: a path leads through something that is no mapping or list, or past its end.
    """
    settings = _copy(source.settings)
    for dotted, value in changes.items():
        here = settings
        parts = dotted.split(".")
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            if isinstance(here, list):
                if not part.isdigit() or int(part) >= len(here):
                    raise SpecError(
                        f"{dotted}: {'.'.join(parts[:at])} is a list of {len(here)}.",
                        mend=f"use a number from 0 to {len(here) - 1} there.",
                    )
                key: Any = int(part)
            elif isinstance(here, dict):
                key = part
            else:
                raise SpecError(
                    f"{dotted}: {'.'.join(parts[:at])} has no parts.", mend="name a setting."
                )
            if last:
                here[key] = value
            elif isinstance(here, list):
                here = here[key]
            else:
                if here.get(key) is None:
                    here[key] = {}
                here = here[key]
    return Source(settings, source.file, source.lines)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_copy(item) for item in value]
    return value
