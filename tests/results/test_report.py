"""The report: one content, as a page that needs nothing and as a model; final only where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mox.errors import SpecError, StoreError
from mox.results import Results
from mox.results.others import also, others
from mox.results.report import page as paper
from mox.results.report.content import Bar, Folded, Looked, Report, Table, report, words

HOSTILE = "<script>alert('x')</script> & \"><img src=x onerror=alert(1)>"
MEASURES = ("recall@60t", "recall@2", "ndcg@60t")

TAGS = {"html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "ul",
        "li", "pre", "code", "div", "span", "b", "br", "mark", "details", "summary", "table",
        "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img",
        "svg", "g", "path", "line", "text", "rect"}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "role", "scope", "tabindex", "style",
              "title", "open", "src", "alt", "aria-label",
              # What Vega draws with.
              "xmlns", "xmlns:xlink", "version", "width", "height", "viewbox", "fill", "stroke",
              "stroke-width", "stroke-miterlimit", "stroke-dasharray", "stroke-opacity",
              "stroke-linecap", "fill-opacity", "opacity", "transform", "d", "x", "y", "x1", "x2",
              "y1", "y2", "text-anchor", "font-family", "font-size", "font-weight",
              "font-style", "pointer-events", "display", "aria-hidden",
              "aria-roledescription"}  # fmt: skip
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += f"{data}\n"

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def finished(hostile: Results, **changes: Any) -> Results:
    """The results without what failed or was skipped, and with all that a real run notes."""
    trials = tuple(trial for trial in hostile.run.trials if trial.status == "FINISHED")
    return noted(hostile, trials=trials, stopped=None, **changes)


def noted(results: Results, **changes: Any) -> Results:
    corpus = {
        "name": f"corpus {HOSTILE}", "fingerprint": "f" * 64, "questions_fingerprint": "e" * 64,
        "documents": 4, "questions": 7, "unanswerable": 1, "left_out": {},
        "about": {"licence": f"licence {HOSTILE}"},
    }  # fmt: skip
    known = {"python": "3.11", "commit": "c0ffee"}
    run = replace(results.run, corpus=corpus, environment=known, settings={"name": HOSTILE})
    return Results(replace(run, **changes), results.store)


@pytest.fixture
def final(hostile: Results) -> Results:
    return finished(hostile)


def tables(made: Report) -> Iterator[Table]:
    for section in made.sections:
        for block in section.blocks:
            parts = block.parts if isinstance(block, Folded) else (block,)
            yield from (part for part in parts if isinstance(part, Table))


def test_nothing_that_a_user_wrote_is_markup_and_nothing_is_fetched(hostile: Results) -> None:
    page = Page(noted(hostile).report().html())
    assert {tag for tag, _ in page.tags} <= TAGS
    assert {name for _, attributes in page.tags for name in attributes} <= ATTRIBUTES
    for said in (f"corpus {HOSTILE}", f"licence {HOSTILE}", f"broke: {HOSTILE}", f"note {HOSTILE}"):
        assert said in page.text, said
    style = (noted(hostile).report().html()).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_page_can_be_read_by_ear(final: Results) -> None:
    page = Page(final.report().html())
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    assert all(head["scope"] == "col" for head in page.named("th"))
    drawn = [t for t in page.named("div") if t.get("role") == "region"]
    assert len(drawn) == len(page.named("caption")) > 5
    assert all(region["aria-label"] and region["tabindex"] == "0" for region in drawn)
    [chart] = page.named("svg")
    assert chart["role"] == "img"
    assert "with 95 % intervals" in (chart["aria-label"] or "")


def test_the_sections_come_in_the_order_in_which_a_lead_asks(final: Results) -> None:
    made = final.report()
    assert made.tone == "chosen"
    assert final.choice is not None
    assert made.verdict[0] == final.choice.reason
    assert [section.title for section in made.sections] == [
        "How sure", "What it costs", "The alternatives", "What no other beats",
        "By kind of question", "What matters",
        "Worst questions", "What was tried", "What was asked", "Do it again",
    ]  # fmt: skip
    page = Page(made.html()).text
    places = [page.index(said) for said in (made.verdict[0], "How sure", "What it costs")]
    assert places == sorted(places)


def test_a_final_report_says_nothing_of_an_unfinished_one(final: Results) -> None:
    assert final.report().unfinished == ""
    assert "NOT FINAL" not in final.report().html()
    assert final.report().document()["final"] is True


@pytest.mark.parametrize("stopped", ["budget", "interrupted", "cut off"])
def test_a_stopped_run_says_so_before_anything_else(hostile: Results, stopped: str) -> None:
    made = noted(hostile, stopped=stopped).report()
    assert made.unfinished == (
        f"NOT FINAL: run abc123 was stopped ({stopped}): 3 of 3 stages stored; 1 of 5 trials are"
        " missing. The choice is over the 3 that were scored. The same call again resumes."
    )
    assert Page(made.html()).text.split()[:2] == ["NOT", "FINAL:"], "the window's title"
    body = made.html().split("<main>")[1]
    assert body.startswith('<p class="first" role="alert">NOT FINAL: run abc123')
    assert made.document()["final"] is False


def test_nothing_is_chosen_while_a_run_is_still_going_on(hostile: Results) -> None:
    going = noted(hostile, stopped="going on")
    assert going.chosen is None
    made = going.report()
    assert made.unfinished.startswith("NOT FINAL: run abc123 is still going on: 3 of 3 stages")
    assert made.tone == "refused"
    assert made.verdict == (
        "Nothing is chosen: run abc123 is still going on, 3 of 5 trials are scored.",
    )
    assert "How sure" not in [section.title for section in made.sections]


def test_failures_are_named_with_their_messages(hostile: Results) -> None:
    [failed] = [s for s in noted(hostile).report().sections if s.title.startswith("What failed")]
    assert failed.title == "What failed: 1 of 5 trials"
    assert failed.blocks[0].said == (f"trialx: broke: {HOSTILE}",)  # type: ignore[union-attr]


def test_without_a_rule_the_report_compares(final: Results) -> None:
    made = finished(final, choose=None).report()
    assert made.tone == "plain"
    assert made.verdict[0].startswith("The experiment asks for no choice")
    assert Page(made.html()).text.count("trial16") >= 1


def test_a_run_without_a_finished_trial_is_reported(hostile: Results) -> None:
    failed = tuple(t for t in hostile.run.trials if t.status == "FAILED")
    made = noted(hostile, trials=failed, stopped=None, baseline="trialx").report()
    assert made.verdict == ("Nothing is chosen: no trial finished, so nothing is chosen.",)
    assert "broke" in Page(made.html()).text


def test_a_single_group_is_reported_without_intervals(lone: Results) -> None:
    page = noted(lone).report().html()
    assert "[nan" not in page
    assert ">nan" not in page
    assert "a single question gives no interval" in page


def test_only_the_measure_that_decides_is_drawn_as_bars(final: Results) -> None:
    [board] = [table for table in tables(final.report()) if "best first" in table.title]
    assert board.head[3:6] == ("recall@60t ▾", "recall@2", "ndcg@60t")
    for row in board.rows:
        cells = [cell for cell in row if isinstance(cell, Bar)]
        assert [cell.minor for cell in cells] == [False, True, True]
    assert "recall@2, ndcg@60t decide nothing here." in board.note


def test_every_measures_interval_is_its_own(final: Results) -> None:
    [board] = [table for table in tables(final.report()) if "best first" in table.title]
    for trial, row in zip(final.ranked(), board.rows, strict=True):
        cells = [cell.interval for cell in row if isinstance(cell, Bar)]
        assert cells == [final.summary[trial.id]["dev"][name] for name in MEASURES]


NAN = float("nan")


def beside(made: Any, falls: list[float], base: list[float]) -> Results:
    """Two trials: by recall@2 the other is better than the baseline; by ndcg@2 as given."""
    for name, good, other in (("base", 0.0, base), ("good", 1.0, falls)):
        column = [good, good, NAN, *[good] * 4]
        made.trial(name, {"kind": "recursive", "size": 16}, ["recall@2", "ndcg@2"],
                   values={"recall@2": column, "ndcg@2": other})  # fmt: skip
    rule = {"maximise": "recall@2", "within": None, "prefer": None}
    found: Results = made.results(["recall@2", "ndcg@2"], choose=rule, baseline="base")
    return found


def test_what_another_measure_loses_is_said(many: Any) -> None:
    for name, good, other in (("base", 0.0, 0.75), ("good", 1.0, 0.25)):
        pattern = [other + (at % 4 < 2) * 0.25 for at in range(120)]
        many.trial(name, {"kind": "recursive", "size": 16}, ["recall@2", "ndcg@2"],
                   values={"recall@2": [good] * 120, "ndcg@2": pattern})  # fmt: skip
    rule = {"maximise": "recall@2", "within": None, "prefer": None}
    results = many.results(["recall@2", "ndcg@2"], choose=rule, baseline="base")
    [(name, found)] = others(results)
    assert (name, found.interval.mean, found.over) == ("ndcg@2", -0.5, "test")
    assert also(results).startswith("Also, against the baseline on test: ndcg@2 falls by 0.500 [")
    assert also(results) in repr(results).replace("\n", " ")


def test_another_measure_that_barely_moves_is_not_said_to(made: Any) -> None:
    results = beside(made, [0.5, 0.5, NAN, 0.5, 0.5, 0.5, 0.5], [0.4, 0.6, NAN, 0.5, 0.5, 0.5, 0.5])
    assert "ndcg@2 can't be told apart (" in also(results)


def test_another_measure_on_one_test_question_is_said_without_an_interval(made: Any) -> None:
    good, other = made.questions[3], made.questions[4]  # dev and test
    lone = type(made)(made.store.root.parent / "lone", made.documents, [good, other])
    for name, score in (("base", 0.0), ("good", 1.0)):
        lone.trial(name, {"kind": "recursive", "size": 16}, ["recall@2", "ndcg@2"],
                   values={"recall@2": [score] * 2, "ndcg@2": [0.5, score]})  # fmt: skip
    rule = {"maximise": "recall@2", "within": None, "prefer": None}
    results = lone.results(["recall@2", "ndcg@2"], choose=rule, baseline="base")
    assert "ndcg@2 can't be told apart (+1.000)" in also(results)


def test_a_chosen_baseline_is_not_compared_with_itself(made: Any) -> None:
    made.trial("only", {"kind": "recursive", "size": 16}, ["recall@2", "ndcg@2"])
    rule = {"maximise": "recall@2", "within": None, "prefer": None}
    assert also(made.results(["recall@2", "ndcg@2"], choose=rule)) == ""


def test_the_worst_questions_are_never_those_of_the_test_side(final: Results) -> None:
    [worst] = [s for s in final.report().sections if s.title == "Worst questions"]
    asked = [block.view.question for block in worst.blocks if isinstance(block, Looked)]
    assert {question.split for question in asked} == {"dev"}
    measure, chosen = "recall@60t", final.chosen
    assert chosen is not None
    scores = dict(zip([q.id for q in final.questions_asked],
                      final.scores(chosen).arrays[measure].tolist(), strict=True))  # fmt: skip
    found = [scores[question.id] for question in asked]
    assert found == sorted(found)


def test_questions_beyond_the_pages_room_are_said_in_a_line(
    final: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = final.report().html()
    monkeypatch.setattr(paper, "MOST", 100)
    brief = final.report().html()
    assert len(brief) < len(whole)
    assert "flex-wrap" in whole
    assert "flex-wrap" not in brief
    for question in ("q1", "q3", "q5"):
        assert f"{question} (" in Page(brief).text


def test_a_chart_of_too_many_marks_is_drawn_in_pixels(
    final: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Page(final.report().html()).named("svg")
    monkeypatch.setattr(paper, "VECTORS", 10)
    page = Page(final.report().html())
    assert not page.named("svg")
    [image] = page.named("img")
    assert (image["src"] or "").startswith("data:image/png;base64,")
    assert "with 95 % intervals" in (image["alt"] or "")


def test_a_long_table_folds_and_keeps_the_chosen_one_in_sight() -> None:
    rows = tuple((str(at), f"row {at}") for at in range(30))
    table = Table("t", ("#", "what"), rows, marked=frozenset([25]), shown=3)
    drawn = paper._table(table).text
    before = drawn.split("<details>")[0]
    assert [at for at in range(30) if f"row {at}<" in before] == [0, 1, 2, 25]
    assert "27 more" in drawn
    assert all(f"row {at}<" in drawn for at in range(30))


def test_a_secret_is_nowhere_in_a_report(final: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "pl4nted & <secret>"  # noqa: S105
    monkeypatch.setenv("SOME_API_KEY", secret)
    uri = "s3://user:pa55word@host/bucket"
    changed = {"settings": {"corpus": {"path": uri, "key": secret}}, "notes": (secret, uri)}
    made = Results(replace(final.run, **changed), final.store).report()
    for text in (made.html(), Page(made.html()).text):
        assert "pl4nted" not in text
        assert "pa55word" not in text
    assert "s3://***@host/bucket" in made.html()


def test_a_report_is_one_html_file(final: Results, tmp_path: Path) -> None:
    file = final.report().save(tmp_path / "r.html")
    assert file.read_text(encoding="utf-8") == final.report().html()
    assert file.stat().st_size < 2e6
    with pytest.raises(SpecError, match=r"r\.pdf is no \.html file"):
        final.report().save(tmp_path / "r.pdf")
    with pytest.raises(StoreError, match=r"cannot write .*: No such file or directory"):
        final.report().save(tmp_path / "none" / "r.html")


def test_the_json_holds_what_the_page_says(final: Results) -> None:
    made = final.report()
    page = re.sub(r"\s+", " ", Page(made.html()).text)
    held = made.document()
    for section in held["sections"]:
        assert section["title"] in page
        for part in section["parts"]:
            if isinstance(part, dict) and "table" in part:
                assert part["table"] in page
                for row in part["rows"]:
                    assert all(
                        re.sub(r"\s+", " ", str(cell).split(" [")[0]) in page for cell in row
                    )


def test_a_report_changes_every_text(final: Results) -> None:
    upper = report(final).mapped(str.upper)
    assert upper.title == report(final).title.upper()
    said = [words(cell) for table in tables(upper) for row in table.rows for cell in row]
    assert said == [word.upper() for word in said]
