"""What every command prints: one JSON document on standard output, or text; errors with mend."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from mox.errors import MoxError
from mox.spec import readable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Replace a setting: axes.search.0.k=20. The value is YAML; may be given repeatedly.",
    ),
]

REFUSED = 2
FAILED = 1


def called() -> str:
    """How this command was called, for lines that are meant to be pasted back."""
    program = Path(sys.argv[0])
    if program.name != "mox":
        return "mox"
    typed = shutil.which("mox")
    if typed and Path(typed).resolve() == program.resolve():
        return "mox"
    return str(program)


def show_json(value: Mapping[str, Any]) -> None:
    """Print the one document."""
    sys.stdout.write(readable(value) + "\n")


def say(text: str = "") -> None:
    """Print a line of text."""
    sys.stdout.write(text + "\n")


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as one line on standard error, without the place in our code that raised it."""
    sys.stderr.write(f"warning: {message}\n")


@contextmanager
def refusals(*, as_json: bool, status: int = REFUSED) -> Iterator[None]:
    """Turn an error of ours into its message, its mend and an exit status."""
    try:
        yield
    except MoxError as error:
        kind = getattr(error, "kind", None)  # of a provider's error
        if as_json:
            said = {"kind": type(error).__name__, "message": error.message, "mend": error.mend}
            if kind is not None:
                said["provider_error"] = kind
            show_json({"schema": 1, "error": said})
        named = "error" if kind is None else f"error ({kind})"
        sys.stderr.write(f"{named}: {error.message}\n  mend: {error.mend}\n")
        raise typer.Exit(status) from None


def parse_sets(sets: list[str] | None) -> dict[str, Any]:
    """`path=value` options as changes to an experiment."""
    from mox.errors import SpecError
    from mox.secrets import scrub
    from mox.source import parse_value

    changes = {}
    for item in sets or []:
        path, equals, value = item.partition("=")
        if not equals or not path:
            said = scrub(item)  # it may be a key, typed in place of its variable
            raise SpecError(f"{said!r} has no `=`.", mend="write NAME=VALUE: axes.search.0.k=20.")
        changes[path.strip()] = parse_value(value)
    return changes


def say_next(steps: Iterable[tuple[str, str]]) -> None:
    """Where to look next: (what, line) pairs."""
    say("\nLook next:")
    for name, line in steps:
        say(f"  {name:<14} {line}")
