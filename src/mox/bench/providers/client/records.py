"""What was measured, as JSON lines: written as it comes, read however it ended.

```
{"what": "begin", "cell", "round", "at", "at_ns", "host": {…}, "versions": {…}, "seed",
 "simulated", "time_scale", "target": {…}}
{"what": "record", …}
{"what": "end", "cell", "round", "check": {…}, "failed": null | "why"}
```
A round without its end was cut off: its records are kept, and it is measured again. A last line
that was cut is no line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from mox.bench.providers.client.selfcheck import SelfCheck
from mox.bench.providers.record import Chunk, Load, Record
from mox.errors import StoreError
from mox.types.providers import Usage

SCHEMA = 1
_FIRST = b'{"what":"begin","schema":%d,' % SCHEMA


@dataclass(frozen=True, slots=True)
class Kept:
    """One round as it stands in a file."""

    header: Mapping[str, Any]
    records: tuple[Record, ...]
    check: SelfCheck | None = None
    failed: str | None = None
    whole: bool = False
    """Whether it came to its end."""

    @property
    def name(self) -> tuple[str, int]:
        """Cell and round."""
        return self.header["cell"], self.header["round"]


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON takes it: a chunk is [moment, characters], and its kind where not text."""
    made = {field.name: getattr(record, field.name) for field in fields(record)}
    made["load"] = asdict(record.load)
    made["usage"] = asdict(record.usage)
    made["chunks"] = [
        [chunk.at_ns, chunk.characters, *(["reasoning"] if chunk.kind == "reasoning" else [])]
        for chunk in record.chunks
    ]
    return made


def parsed(made: Mapping[str, Any]) -> Record:
    """A record from its plain form."""
    rest = {name: value for name, value in made.items() if name != "what"}
    rest["load"] = Load(**made["load"])
    rest["usage"] = Usage(**made["usage"])
    rest["retried"] = tuple(made.get("retried", ()))  # older files have none
    rest["chunks"] = tuple(Chunk(*chunk) for chunk in made["chunks"])
    return Record(**rest)


class Writer:
    """Appends to a file of records; what it has written stays, whatever becomes of this process.

    Raises:
        StoreError: the file can't be opened, or (later) written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _mend(path)
            self._file = path.open("ab", buffering=0)  # nothing is left to write at its end
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def begin(self, header: Mapping[str, Any]) -> None:
        """Say which round the next records are of."""
        self._line({"what": "begin", "schema": SCHEMA, **header})

    def record(self, record: Record) -> None:
        """Keep one record."""
        self._line({"what": "record", **plain(record)})

    def end(self, cell: str, round_: int, *, check: SelfCheck | None, failed: str | None) -> None:
        """Say that a round is over."""
        said = None if check is None else asdict(check)
        self._line({"what": "end", "cell": cell, "round": round_, "check": said, "failed": failed})

    def _line(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        begins, rest = self._file.tell(), memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(begins)  # of a full disk's last line, a part
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self._path} can't be written ({error.strerror}).",
            mend="make room, or name another file.",
        )


def _mend(path: Path) -> None:
    """Take away a last line that was cut, so that the next one is by itself."""
    if not path.exists():
        return
    content = path.read_bytes()
    cut = content[content.rfind(b"\n") + 1 :]
    if cut:
        os.truncate(path, len(content) - len(cut))


def read(path: Path) -> list[Kept]:
    """The rounds of a file, in the order of their beginning; none where there is no file.

    A round that was begun again is there once: whole if it ever was, else as it began last.

    Raises:
        StoreError: the file can't be read, or isn't one of records.
    """
    found: dict[tuple[str, int], Kept] = {}
    header: Mapping[str, Any] | None = None
    records: list[Record] = []

    def keep(**end: Any) -> None:
        if header is not None:
            kept = Kept(header, tuple(records), **end)
            if kept.whole or not (kept.name in found and found[kept.name].whole):
                found[kept.name] = kept

    for line in _lines(path):
        what = line.get("what")
        if what == "begin":
            keep()
            header, records = line, []
        elif what == "record":
            records.append(parsed(line))
        elif what == "end":
            check = None if line["check"] is None else SelfCheck(**line["check"])
            keep(check=check, failed=line["failed"], whole=True)
            header = None
    keep()
    return list(found.values())


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{path} can't be read ({error.strerror}).", mend="name another file."
        ) from None
    if not content.startswith(_FIRST[: len(content)]):
        raise StoreError(
            f"{path} is no file of measured requests of schema {SCHEMA}.",
            mend="name another file, or read it with the Mox that wrote it.",
        )
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            yield json.loads(line)
        except ValueError:
            raise StoreError(
                f"{path}:{number}: a line is spoilt.",
                mend="measure again with --again: what lies there is moved aside, and stays.",
            ) from None
