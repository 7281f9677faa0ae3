"""MLflow's description: the page's content as Markdown, the verdict first, within its room."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from mox.results import Results
from mox.results.reading import Interval
from mox.results.report.content import Bar, Code, Commands, Lines, Report, Section, Table
from mox.tracking.links import Place
from mox.tracking.report import NOTE, markdown

pytestmark = pytest.mark.timeout(120)

PLACE = Place("1", "abc", "r")


def made(*sections: Section, **changes: Any) -> Report:
    plain = Report("t: report", "", ("a is chosen.", "On test too."), "chosen", "facts", sections)
    return replace(plain, **changes)


def test_the_description_and_the_page_say_the_same(results: Results) -> None:
    report = results.report()
    text, page = unescape(markdown(report, PLACE).replace("\\", "")), unescape(report.html())
    for line in report.verdict:
        assert line in text
        assert line in page
    for section in report.sections:
        assert f"## {section.title}" in text
        assert f"<h2>{section.title}</h2>" in page
        for block in section.blocks:
            if isinstance(block, Lines):
                assert all(line in text and line in page for line in block.said)


def test_what_keeps_a_run_from_being_final_is_the_descriptions_first_line(
    results: Results, change: Any
) -> None:
    *some, last = results.run.trials
    stopped = change(
        results, stopped="interrupted", trials=(*some, replace(last, status="SKIPPED"))
    )
    first = markdown(stopped.report(), PLACE).split("\n")[0]
    assert first.startswith("**NOT FINAL: run ")
    assert "1 of 4 trials are missing" in first


def test_links_stand_right_after_the_verdict() -> None:
    lines = [line for line in markdown(made(), PLACE).split("\n") if line]
    assert lines[0] == "**a is chosen.**"
    assert lines[2].startswith("Look: [the whole report](/#/experiments/1/runs/abc/artifacts/")
    assert "viewStateShareKey=mox-r" in lines[2]


def test_what_matters_least_is_left_out_first_and_named() -> None:
    long = tuple(f"sentence {at}" * 10 for at in range(60))
    sections = [Section(f"Part {weight}", (Lines(long),), weight) for weight in (3, 1, 2)]
    text = markdown(made(*sections), PLACE, most=NOTE)
    assert len(text) <= NOTE
    assert "## Part 1" in text
    assert "## Part 3" not in text
    assert text.endswith("Left out here for want of room, and in `report.html`: Part 3, Part 2.\n")


def test_a_long_message_is_shortened_and_says_where_it_is_whole() -> None:
    failed = Section("What failed", (Lines(("e" * 9000,)),))
    text = markdown(made(failed), PLACE, most=NOTE)
    assert "eee… (9,000 characters, see report.html)" in text
    assert "e" * 9000 in markdown(made(failed), PLACE)


def test_a_table_leaves_out_what_has_no_room() -> None:
    rows = tuple(
        (str(at), f"trial {at}", Bar(Interval(0.5, 0.4, 0.6, 9)), "wide", Code(f"id{at}"))
        for at in range(20)
    )
    table = Table("t", ("", "what", "r", "w", "id"), rows, words=2, marked=frozenset([12]),
                  note="By r.", wide=frozenset([3]))  # fmt: skip
    text = markdown(made(Section("Board", (table,))), PLACE)
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert lines[:2] == ["|  | what | r | id |", "| --- | --- | --: | --: |"]
    assert len(lines) == 2 + 8 + 1
    assert "**trial 12**" in lines[-1]
    assert "0.500\u00a0[0.400,\u00a00.600]" in lines[2]
    assert "… and 11 more. By r." in text


def test_text_is_no_markdown_of_its_own_and_carries_no_secret() -> None:
    hostile = "<b>*x*</b> | [a](http://u:s3cret@h) `c` ~~d~~ e &lt; 3"
    text = markdown(made(Section("S", (Lines((hostile,)), Commands("a ``` b")))), PLACE)
    said = "- &lt;b&gt;\\*x\\*&lt;/b&gt; \\| \\[a\\](http://\\*\\*\\*@h) \\`c\\`"
    assert f"{said} \\~\\~d\\~\\~ e &amp;lt; 3" in text
    assert "```\na  b\n```" in text
