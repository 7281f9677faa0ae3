"""What a setting does: means, matched differences and shares of variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.results import Results
from mox.results.compare.effects import _share

NAN = float("nan")


@pytest.fixture
def sweep(made: Any) -> Any:
    """Makes results of trials whose every question scores the same: settings → score."""

    def build(*trials: tuple[Mapping[str, Any], float], varying: tuple[str, ...]) -> Results:
        for at, (_, score) in enumerate(trials):
            column = [score, score, NAN, *[score] * 4]
            made.trial(f"t{at}", {"kind": "recursive", "size": 16}, ["recall@2"],
                       values={"recall@2": column})  # fmt: skip
        runs = [
            replace(run, config=config)
            for run, (config, _) in zip(made.trials, trials, strict=True)
        ]
        return made.results(["recall@2"], trials=tuple(runs), varying=varying)

    return build


def trial(size: int, k: int, **index: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "chunk": {"kind": "recursive", "size": size},
        "search": {"kind": "dense", "k": k},
    }
    return {**found, "index": index} if index else found


CROSSED = (
    (trial(16, 5), 0.2),
    (trial(16, 10), 0.4),
    (trial(32, 5), 0.6),
    (trial(32, 10), 1.0),
)
VARYING = ("chunk.size", "search.k")


def test_a_mean_is_over_all_trials_with_the_value(sweep: Any) -> None:
    [effect] = sweep(*CROSSED, varying=VARYING).why("chunk.size").effects
    assert [(one.value, one.trials) for one in effect.levels] == [("16", 2), ("32", 2)]
    assert [one.mean.mean for one in effect.levels] == pytest.approx([0.3, 0.8])
    assert [one.mean.n for one in effect.levels] == [6, 6]


def test_values_are_matched_on_all_other_settings(sweep: Any) -> None:
    [effect] = sweep(*CROSSED, varying=VARYING).why("chunk.size").effects
    reference, other = effect.levels
    assert effect.reference == "16", "the baseline's"
    assert reference.difference is None
    # (0.6 − 0.2 + 1.0 − 0.4) / 2
    assert other.difference.interval.mean == pytest.approx(0.5)
    assert (other.cells, other.matched) == (2, 2)
    assert effect.notes == ()


def test_the_share_is_that_of_the_analysis_of_variance(sweep: Any) -> None:
    # Means 0.2, 0.4, 0.6, 1.0 around 0.55: total 0.35. By size 0.3 and 0.8: 4 × 0.25² = 0.25.
    # By k 0.4 and 0.7: 4 × 0.15² = 0.09. The rest, 0.01, is what the two do together.
    shares = {e.setting: e.share for e in sweep(*CROSSED, varying=VARYING).why().effects}
    assert shares == {"chunk.size": pytest.approx(0.25 / 0.35), "search.k": pytest.approx(9 / 35)}
    assert list(shares) == ["chunk.size", "search.k"], "what explains most comes first"


scores = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=12)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(scores, st.data())
def test_of_two_values_the_share_is_the_squared_correlation(
    found: list[float], data: st.DataObject
) -> None:
    values = np.array(found, dtype=np.float64)
    side = np.array(data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))))
    if values.std() < 1e-6 or side.all() or not side.any():
        return
    share = _share(values, [np.flatnonzero(side), np.flatnonzero(~side)])
    assert share == pytest.approx(np.corrcoef(values, side)[0, 1] ** 2, abs=1e-9)


def test_what_has_no_counterpart_is_not_compared(sweep: Any) -> None:
    some = sweep(*CROSSED[:3], (trial(32, 20), 1.0), varying=VARYING)
    [effect] = some.why("chunk.size").effects
    other = effect.levels[1]
    # Only k=5 has both: 0.6 − 0.2.
    assert other.difference.interval.mean == pytest.approx(0.4)
    assert (other.cells, other.matched, other.trials) == (1, 1, 2)
    notes = " ".join(effect.notes)
    assert "32 against 16: only 1 of 2 trials have a counterpart." in notes
    assert "don't stand beside the same other settings" in notes


def test_values_that_never_meet_are_said_to_be_incomparable(sweep: Any) -> None:
    apart = sweep((trial(16, 5), 0.2), (trial(32, 10), 0.9), varying=VARYING)
    [effect] = apart.why("chunk.size").effects
    assert effect.levels[1].difference is None
    assert "32 against 16: no two trials agree in all other settings" in effect.notes[0]


def test_a_trial_without_the_setting_stays_out(sweep: Any) -> None:
    exact, hnsw = {"kind": "exact"}, {"kind": "HNSW"}
    found = sweep(
        (trial(16, 5, **exact), 0.9),
        (trial(16, 5, **hnsw, m=8), 0.2),
        (trial(16, 5, **hnsw, m=16), 0.4),
        varying=("index.kind", "index.m"),
    )
    [effect] = found.why("index.m").effects
    assert [(one.value, one.trials) for one in effect.levels] == [("8", 1), ("16", 1)]
    assert effect.levels[1].difference.interval.mean == pytest.approx(0.2)
    assert effect.notes == ("1 of 3 trials have no index.m and stay out.",)
    # All three count towards the total: 0.9, 0.2, 0.4 around 0.5 is 0.26; 8 and 16: 2 × 0.1².
    assert effect.share == pytest.approx(0.02 / 0.26)


def test_an_empty_text_is_a_value_of_its_own_and_no_lack_of_one(sweep: Any) -> None:
    def prompted(**embed: str) -> dict[str, Any]:
        return {**trial(16, 5), "embed": {"kind": "hashing", **embed}}

    found = sweep(
        (prompted(), 0.9), (prompted(prefix=""), 0.2), (prompted(prefix="q: "), 0.4),
        varying=("embed.prefix",),
    )  # fmt: skip
    [effect] = found.why("embed.prefix").effects
    assert [(one.value, one.trials, one.mean.mean) for one in effect.levels] == [
        ("", 1, pytest.approx(0.2)), ("q: ", 1, pytest.approx(0.4))
    ]  # fmt: skip
    # 0.9, 0.2, 0.4 around 0.5 is 0.26 in all; the two that have it are 2 × 0.1² apart.
    assert effect.share == pytest.approx(0.02 / 0.26)


def test_a_setting_that_one_side_only_has_is_averaged_over(sweep: Any) -> None:
    exact, hnsw = {"kind": "exact"}, {"kind": "HNSW"}
    found = sweep(
        (trial(16, 5, **exact), 0.9),
        (trial(16, 5, **hnsw, m=8), 0.2),
        (trial(16, 5, **hnsw, m=16), 0.4),
        varying=("index.kind", "index.m"),
    )
    [effect] = found.why("index.kind").effects
    assert effect.levels[1].difference.interval.mean == pytest.approx(0.3 - 0.9)
    assert "HNSW against exact: only one side has index.m, and is averaged over that." in (
        effect.notes
    )


def test_what_a_kind_brings_with_it_is_part_of_its_effect_and_said(sweep: Any) -> None:
    def embedded(kind: str, dims: int) -> dict[str, Any]:
        return {**trial(16, 5), "embed": {"kind": kind, "dims": dims}}

    found = sweep(
        (embedded("hashing", 64), 0.2), (embedded("wordllama", 256), 0.6), varying=("embed.kind",)
    )
    [effect] = found.why("embed.kind").effects
    assert effect.levels[1].difference.interval.mean == pytest.approx(0.4)
    assert effect.notes[0] == (
        "wordllama against hashing: embed.dims changes with it, and is part of the difference."
    )


def test_an_axis_is_compared_as_a_whole(sweep: Any) -> None:
    headings = {"chunk": {"kind": "headings"}, "search": {"kind": "dense", "k": 5}}
    found = sweep(
        (trial(16, 5), 0.2), (trial(32, 5), 0.6), (headings, 0.5),
        varying=("chunk.kind", "chunk.size"),
    )  # fmt: skip
    [effect] = found.why("chunk").effects
    assert [one.value for one in effect.levels] == [
        "recursive size=16", "recursive size=32", "headings"
    ]  # fmt: skip
    assert [one.difference and round(one.difference.interval.mean, 9) for one in effect.levels] == [
        None, 0.4, 0.3
    ]  # fmt: skip


def test_one_question_has_matched_differences_without_intervals(made: Any) -> None:
    lone = type(made)(made.store.root.parent / "lone", made.documents, made.questions[3:4])
    for size, score in ((16, 0.25), (32, 0.75)):
        lone.trial(f"t{size}", {"kind": "recursive", "size": size}, ["recall@2"],
                   values={"recall@2": [score]})  # fmt: skip
    view = lone.results(["recall@2"], varying=("chunk.size",)).why()
    assert repr(view).endswith("matched with 16 (1 cells): +0.500")
    assert "nan" not in view._repr_html_()


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("chunk.sze", "no finished trial has a setting 'chunk.sze', did you mean 'chunk.size'"),
        ("chunk.kind", "chunk.kind is recursive in every finished trial that has it"),
    ],
)
def test_what_does_not_vary_is_refused_by_name(sweep: Any, axis: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        sweep(*CROSSED, varying=VARYING).why(axis)


def test_nothing_finished_has_no_effects(made: Any) -> None:
    made.trial("a", {"kind": "recursive", "size": 16}, ["recall@2"])
    with pytest.raises(SpecError, match="no trial finished"):
        made.results(["recall@2"], trials=()).why()


def test_trials_that_all_score_the_same_leave_nothing_to_explain(sweep: Any) -> None:
    flat = sweep(*((config, 0.5) for config, _ in CROSSED), varying=VARYING)
    assert [effect.share for effect in flat.why().effects] == [0.0, 0.0]


def test_the_table_the_text_and_the_json_hold_the_same(sweep: Any, tmp_path: Path) -> None:
    view = sweep(*CROSSED, varying=VARYING).why()
    assert list(view.df["setting"]) == ["chunk.size"] * 2 + ["search.k"] * 2
    assert list(view.df["mean"]) == pytest.approx([0.3, 0.8, 0.4, 0.7])
    held = view.document()["effects"][0]
    assert held["setting"] == "chunk.size"
    assert held["values"][1]["difference"]["mean"] == pytest.approx(0.5)
    assert "32  0.800 [" in repr(view)
    assert view._repr_html_() in view.save(tmp_path / "why.html").read_text(encoding="utf-8")


def test_the_chart_has_a_panel_for_each_setting_with_the_trials_counted(sweep: Any) -> None:
    spec = sweep(*CROSSED, varying=VARYING).why().chart().spec
    panels = spec["vconcat"]
    assert [panel["layer"][0]["encoding"]["y"]["title"] for panel in panels] == list(VARYING)
    rows = next(iter(spec["datasets"].values())) if "datasets" in spec else None
    rows = rows or panels[0]["data"]["values"]
    assert [row["value"] for row in rows] == ["16 (2)", "32 (2)"]


def test_a_value_that_is_markup_is_shown_as_text(sweep: Any) -> None:
    hostile = "<script>alert('x')</script>"
    one = {"chunk": {"kind": "recursive", "by": hostile}}
    found = sweep((one, 0.2), ({"chunk": {"kind": "recursive", "by": "b"}}, 0.4),
                  varying=("chunk.by",))  # fmt: skip
    page = found.why()._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in page
