"""Names in MLflow's alphabet, and lengths that we check ourselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.evaluation import metrics
from mox.evaluation.measures import Measure
from mox.tracking.keys import (
    KEY,
    fitted,
    legal_key,
    measure_of,
    metric_key,
    shortened,
    text_of,
)

measures = st.builds(
    Measure,
    st.sampled_from(metrics.kinds()),
    st.integers(1, 10**6),
    st.sampled_from(["hits", "tokens"]),
).map(str)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({}, "recall_at_1000t"),
        ({"split": "dev"}, "dev_recall_at_1000t"),
        ({"split": "test", "bound": "low"}, "test_recall_at_1000t_low"),
        ({"bound": "high"}, "recall_at_1000t_high"),
    ],
)
def test_a_measure_has_one_key_for_each_split_and_bound(
    arguments: dict[str, str], key: str
) -> None:
    assert metric_key("recall@1000t", **arguments) == key


@given(measures)
@settings(derandomize=True, max_examples=50)
def test_a_key_says_which_measure_it_was(measure: str) -> None:
    assert measure_of(metric_key(measure)) == measure


@given(st.text(min_size=1, max_size=400))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_param_name

    key = legal_key(name)
    _validate_param_name(key)
    assert 1 <= len(key) <= KEY


def test_a_dotted_name_of_ours_is_kept_as_it_is() -> None:
    assert legal_key("search.fusion.k") == "search.fusion.k"


def test_two_long_names_stay_two() -> None:
    assert legal_key("a" * 300) != legal_key("a" * 301)


def test_settings_read_as_in_yaml() -> None:
    values = [None, True, 8, 0.5, "HNSW", [1, "a"]]
    assert [text_of(value) for value in values] == ["null", "true", "8", "0.5", "HNSW", "[1, a]"]


@given(st.text(max_size=60), st.integers(30, 50))
@settings(derandomize=True, max_examples=100)
def test_text_is_cut_visibly_or_not_at_all(text: str, most: int) -> None:
    cut = shortened(text, most)
    assert cut == text if len(text) <= most else len(cut) == most and cut.endswith("…")


def test_what_is_too_long_is_kept_whole_beside_what_names_it() -> None:
    short, long = fitted({"a": "x" * 10, "b": "y" * 7000}, 6000)
    assert long == {"b": "y" * 7000}
    assert short["a"] == "x" * 10
    assert len(short["b"]) == 6000
    assert short["b"].endswith("… (7,000 characters, see long_values.json)")
