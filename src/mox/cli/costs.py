"""`mox costs`: what calls of models have cost."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from mox.cli.out import Json, refusals, say, show_json


def costs(
    by: Annotated[
        str,
        typer.Option(
            metavar="day,purpose,model",
            help="What to sum by, in that order: day, purpose, model, provider, account, trial,"
            " run, sweep.",
        ),
    ] = "day,purpose,model",
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="The first day that counts, as 2026-11-26.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what calls of language models have cost, from the ledger in the state folder.

    What was paid and what was only simulated are told apart and never added together. Days are
    UTC. Sums are exact: `--json` has them as text. What several trials of a sweep share is in a
    sum of its own, under the first one's id and how many more they are.
    """
    from mox.providers.costs import sums, text
    from mox.providers.ledger import Ledger
    from mox.settings import settings

    with refusals(as_json=as_json):
        names = [name.strip() for name in by.split(",") if name.strip()]
        first = _day(since)
        found = sums(Ledger(settings().root), *names, since=first)
        if as_json:
            show_json({"schema": 1, "by": names, "sums": [one.document() for one in found]})
        else:
            say(text(found, since=first))


def _day(text: str | None) -> dt.date | None:
    from mox.errors import SpecError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SpecError(f"--since {text!r} is no day.", mend="write 2026-11-26.") from None
