"""Results in a terminal: what a user or an engine wrote stands there as it was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mox.results import Results
from mox.results.run import TrialRun
from mox.results.show.terminal import text
from mox.settings import install_line

MENDS = (
    "cannot read [/data/x]",
    f"PostgreSQL isn't installed. {install_line('pgvector')}",
    "a [bold red]word[/] and :warning: b",
    f"PostgreSQL isn't installed. {'/a/long/path/of/an/environment' * 5}/bin/python",
)
"""What rich would read as an end tag without a start, a tag, or an emoji; what it would fold."""


@pytest.mark.parametrize("said", MENDS)
def test_what_failed_is_shown_to_the_letter(hostile: Results, said: str) -> None:
    *others, failed, skipped = hostile.run.trials
    trials = (*others, replace(failed, error=said), skipped)
    assert f": {said}\n" in text(Results(replace(hostile.run, trials=trials), hostile.store))


@pytest.mark.parametrize("said", MENDS)
def test_a_name_and_a_note_are_shown_to_the_letter(hostile: Results, said: str) -> None:
    shown = text(Results(replace(hostile.run, name=said, notes=(said,)), hostile.store), 200)
    assert shown.startswith(f"{said}: 3 of 5 trials")
    assert f"note: {said}\n" in shown


def test_a_setting_with_brackets_is_shown_in_the_table_to_the_letter(made: Any) -> None:
    made.trial("brackets", {"kind": "recursive", "size": 16}, ("recall@2",))
    one: TrialRun = made.trials[0]
    separator = {"kind": "recursive", "size": 16, "separator": "[/p] [bold]"}
    made.trials[0] = replace(one, config={**one.config, "chunk": separator})
    shown = text(made.results(("recall@2",), varying=("chunk.separator",)))
    assert "separator=[/p] [bold]" in shown


def test_one_question_is_shown_without_an_interval(lone: Results) -> None:
    assert "nan" not in text(lone)
    explained = lone.explain("only")
    assert "1 questions in 1 groups" in repr(explained)
    assert "nan" not in repr(explained) + explained._repr_html_()
