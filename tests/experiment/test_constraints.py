"""Constraints of a choice: read, checked against what is measured, refused by their line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.experiment import COSTS, Constraint, load
from mox.experiment.constraints import FORM
from mox.experiment.schema import schema

LATENCIES = ("p50_ms", "p95_ms", "p99_ms")
NAMES = [*COSTS, "recall_of_exact", "recall_of_exact@10", "recall@1000t", "ndcg@5"]
BOUNDS = st.floats(min_value=1e-9, max_value=1e12, allow_nan=False)
COMPARISONS = st.sampled_from([">=", "<=", ">", "<"])


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), COMPARISONS, BOUNDS)
def test_a_constraint_reads_back_what_it_prints(name: str, how: Any, bound: float) -> None:
    one = Constraint(name, how, bound)
    assert Constraint.parse(str(one)) == one


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.sampled_from(NAMES), COMPARISONS, BOUNDS,
    st.tuples(*[st.sampled_from(["", " ", "  ", "\t"])] * 4),
)  # fmt: skip
def test_spaces_mean_nothing(name: str, how: Any, bound: float, gaps: tuple[str, ...]) -> None:
    a, b, c, d = gaps
    assert Constraint.parse(f"{a}{name}{b}{how}{c}{bound!r}{d}") == Constraint(name, how, bound)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(alphabet="abp95_ms@<>=! .0123456789tGMB%-+e", max_size=24))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        one = Constraint.parse(text)
    except SpecError:
        return
    assert re.fullmatch(FORM, text)
    assert math.isfinite(one.bound)
    assert Constraint.parse(str(one)) == one


@settings(derandomize=True, max_examples=200, deadline=None)
@given(COMPARISONS, st.integers(-20, 20), st.integers(-20, 20))
def test_a_bound_is_kept_on_its_own_side_alone(how: Any, bound: int, value: int) -> None:
    one = Constraint("p95_ms", how, bound)
    wanted = {">=": value >= bound, "<=": value <= bound, ">": value > bound, "<": value < bound}
    assert one.keeps(value) == wanted[how]
    beyond = one.beyond(value)
    assert beyond == (0 if one.keeps(value) else abs(value - bound))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # 0.0213 s are 21.3 ms to the digit; 0.0213 * 1000 in floats is 21.299999999999997.
        ("p95_ms <= 0.0213 s", "p95_ms <= 21.3"),
        ("p95_ms <= 20ms", "p95_ms <= 20"),
        ("build_s < 1500 ms", "build_s < 1.5"),
        ("memory_mb <= 2 GB", "memory_mb <= 2000"),
        ("index_mb <= 2.5gb", "index_mb <= 2500"),
        ("disk_mb<=1e3MB", "disk_mb <= 1000"),
        ("recall_of_exact@10 >= .95", "recall_of_exact@10 >= 0.95"),
        ("qps >= 1200.0", "qps >= 1200"),
    ],
)
def test_a_unit_is_brought_to_the_figure_s_own(text: str, said: str) -> None:
    assert str(Constraint.parse(text)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p95_ms <= 20 MB", "p95_ms is in ms, and the bound in MB"),
        ("qps >= 100 ms", "qps has no unit, and the bound in ms"),
        ("recall@1000t >= 0.9 s", "recall@1000t has no unit"),
        ("p95_ms <= 20 min", "write ms or s"),
        ("p95_ms =< 20", "write >= or <="),
        ("p95_ms == 20", "write a bound"),
        ("p95_ms = 20", "write a bound"),
        ("20 >= p95_ms", "write the figure first"),
        ("1 <= p95_ms <= 20", "has two bounds"),
        ("recall@5 >= 95 %", "write a share: 0.95 for 95 %"),
        ("chunks <= 10,000", "has a comma in its number"),
        ("p95_ms", "is no constraint"),
        ("p95_ms <=", "is no constraint"),
        ("p95_ms <= nan", "is no constraint"),
        ("p95_ms <= 1e999", "no such number"),
        ("", "is no constraint"),
    ],
)
def test_what_is_no_constraint_says_how_it_is_written(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        Constraint.parse(text)


BASE = """\
name: small
corpus: {kind: evidence, path: here}
axes:
  chunk: [{kind: recursive, size: 200}]
  embed: [{kind: wordllama}]
  index:
    - {kind: exact}
    - {kind: HNSW, m: [8, 16]}
  search:
    - {kind: dense, k: 10, ef: [16, 64]}
measure: [recall@1000t, recall@5]
choose:
  maximise: recall@1000t
  subject_to:
    - recall_of_exact@10 >= 0.95
    - index_mb <= 2 GB
  within: 0.05
  prefer: {minimise: index_mb}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "e.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SpecError, match=r".") as caught:
        load(written(folder, text))
    return str(caught.value)


def test_constraints_are_kept_in_the_figures_units(tmp_path: Path) -> None:
    choose = load(written(tmp_path, BASE)).choose
    assert choose is not None
    assert choose.rule["subject_to"] == ["recall_of_exact@10 >= 0.95", "index_mb <= 2000"]
    one = load(written(tmp_path, BASE), {"choose.subject_to": "build_s<5000ms"}).choose
    assert one is not None
    assert one.rule["subject_to"] == ["build_s < 5"]


def test_a_rule_without_constraints_is_the_rule_that_it_was(tmp_path: Path) -> None:
    """Runs are named by their rule: those made before there were constraints keep their names."""
    plain = load(written(tmp_path, BASE), {"choose.subject_to": None}).choose
    assert plain is not None
    assert plain.rule == {
        "maximise": "recall@1000t",
        "within": 0.05,
        "prefer": {"minimise": "index_mb", "maximise": None},
    }


FIRST = "recall_of_exact@10 >= 0.95"
GOAL = "maximise: recall@1000t"
BAD: list[tuple[str, str, str, str]] = [
    ("a misspelt figure", FIRST, "recal_of_exact@10 >= 0.95", "e.yaml:15: `recal_of_exact@10 >= 0.95` names 'recal_of_exact@10', which no trial reports, did you mean 'recall_of_exact@10'?"),
    ("a misspelt latency", "index_mb <= 2 GB", "p95ms <= 20", "e.yaml:16: `p95ms <= 20` names 'p95ms', which no trial reports, did you mean 'p95_ms'?"),
    ("a latency that nothing measures", "index_mb <= 2 GB", "p95_ms <= 20", "e.yaml:16: `p95_ms <= 20`: nothing measures p95_ms.\n  mend: add a `load` axis"),
    ("another depth", FIRST, "recall_of_exact@20 >= 0.95", "e.yaml:15: `recall_of_exact@20 >= 0.95`: nothing measures recall_of_exact@20.\n  mend: write recall_of_exact@10: so deep the searches here ask"),
    ("no approximate index", "    - {kind: HNSW, m: [8, 16]}\n  search:\n    - {kind: dense, k: 10, ef: [16, 64]}", "  search:\n    - {kind: dense, k: 10}", "add an approximate index: every search here is exact"),
    ("the wrong way", "index_mb <= 2 GB", "index_mb >= 2 GB", "e.yaml:16: `index_mb >= 2000`: of index_mb less is better.\n  mend: write `index_mb <= 2000`"),
    ("the wrong way up", FIRST, "recall_of_exact@10 <= 0.95", "of recall_of_exact@10 more is better"),
    ("a share in percent", FIRST, "recall_of_exact@10 >= 95", "e.yaml:15: `recall_of_exact@10 >= 95`: recall_of_exact@10 lies between 0 and 1.\n  mend: write 0.95."),
    ("a share that none has", FIRST, "recall_of_exact@10 > 1", "lies between 0 and 1"),
    ("an idle bound", "index_mb <= 2 GB", "index_mb <= 0", "e.yaml:16: `index_mb <= 0`: index_mb is above 0"),
    ("two bounds of one figure", FIRST, "index_mb < 10", "e.yaml:16: `index_mb <= 2000`: index_mb has a bound already"),
    ("a unit of another kind", "index_mb <= 2 GB", "index_mb <= 2 s", "e.yaml:16: 'index_mb <= 2 s': index_mb is in MB, and the bound in s"),
    ("a mapping", FIRST, "recall_of_exact@10: 0.95", "e.yaml:15: choose.subject_to holds {'recall_of_exact@10': 0.95}"),
    ("quality on dev where quality is maximised", FIRST, "recall@5 >= 0.5", "e.yaml:15: `recall@5 >= 0.5` bounds a measure on dev, where recall@1000t is maximised.\n  mend: bound quality by `within`"),
    ("a cost maximised", GOAL, "maximise: index_mb", "e.yaml:13: choose.maximise names index_mb, of which less is better.\n  mend: write `minimise: index_mb`"),
    ("a measure minimised", GOAL, "minimise: recall@1000t", "write `maximise: recall@1000t`"),
    ("a margin of a cost", GOAL, "minimise: index_mb", "e.yaml:17: choose.within is a margin of a measure on dev, and index_mb is none"),
    ("throughput without load", GOAL, "maximise: qps", "e.yaml:13: choose.maximise names qps, and nothing measures it.\n  mend: add a `load` axis"),
    ("neither way", f"  {GOAL}\n", "", "give one of maximise and minimise"),
    ("preferring a latency without load", "{minimise: index_mb}", "{minimise: p95_ms}", "e.yaml:18: choose.prefer names p95_ms, and nothing measures it.\n  mend: add a `load` axis"),
    ("preferring the larger index", "{minimise: index_mb}", "{maximise: index_mb}", "e.yaml:18: choose.prefer.maximise names index_mb, of which less is better.\n  mend: write `minimise: index_mb`"),
    ("preferring the worse", "{minimise: index_mb}", "{minimise: recall@5}", "e.yaml:18: choose.prefer.minimise names recall@5, of which more is better"),
    ("preferring where only the best qualifies", "  within: 0.05\n", "", "e.yaml:17: choose.prefer does nothing: without `within` the best by recall@1000t is taken.\n  mend: add `within: 0.05`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_choice_that_cannot_be_made_is_refused_by_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in BASE
    message = refusal(tmp_path, BASE.replace(old, new, 1))
    assert said in message
    assert "mend: " in message


def test_constraints_on_quality_are_taken_where_a_cost_is_the_goal(tmp_path: Path) -> None:
    text = BASE.replace(GOAL, "minimise: index_mb").replace("  within: 0.05\n", "")
    text = text.replace("index_mb <= 2 GB", "recall@1000t >= 0.5")
    choose = load(written(tmp_path, text)).choose
    assert choose is not None
    assert choose.goal == "index_mb"
    assert choose.rule["minimise"] == "index_mb"


def test_the_schema_says_how_a_constraint_is_written() -> None:
    choose = schema()["properties"]["choose"]["properties"]
    one, many = choose["subject_to"]["anyOf"]
    assert many == {"type": "array", "items": one}
    for text in ("recall_of_exact@10 >= 0.95", "p95_ms <= 20 ms", "memory_mb<2GB"):
        assert re.search(one["pattern"], text)
    for text in ("p95_ms =< 20", "20 <= p95_ms", "p95_ms"):
        assert not re.search(one["pattern"], text)
    assert "p95_ms <= 20" in choose["subject_to"]["description"]
    assert {"maximise", "minimise", "within", "prefer"} <= set(choose)


LOADED = BASE.replace("measure:", "  load: [{clients: [1, 8], seconds: 1}]\nmeasure:").replace(
    "index_mb <= 2 GB", "p95_ms <= 20 ms"
)


def test_a_load_measures_what_constraints_may_bound(tmp_path: Path) -> None:
    choose = load(written(tmp_path, LOADED), {"choose.prefer": {"minimise": "p99_ms"}}).choose
    assert choose is not None
    assert choose.rule["subject_to"] == ["recall_of_exact@10 >= 0.95", "p95_ms <= 20"]
    goal = {"maximise": "qps", "subject_to": "recall@1000t >= 0.5"}
    assert load(written(tmp_path, LOADED), {"choose": goal}).choose is not None


def test_loads_of_several_kinds_choose_no_index(tmp_path: Path) -> None:
    """Clients are part of what is chosen; a filter, inserts or a cold start are what is asked."""
    text = LOADED.replace("seconds: 1", "seconds: 1, selectivity: [1.0, 0.01]")
    message = refusal(tmp_path, text)
    assert "choose names p95_ms, and loads differ in selectivity (1.0, 0.01)" in message
    assert load(written(tmp_path, text), {"choose.subject_to": None}).choose is not None


def test_the_figures_of_a_load_are_those_that_loads_measure() -> None:
    from mox.experiment.loads import LOAD_COSTS

    assert set(LOAD_COSTS) == {name for name, cost in COSTS.items() if cost.by_load}
