"""The search: what it finds of a provider whose limit is known, and that it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.bench.providers.quantiles import Share
from mox.bench.providers.slo import Search, verdict

GOOD, BAD = Share(100, 100), Share(0, 100)


def found(search: Search, limit: float, *, answers: float | None = None) -> list[float]:
    """Loads that a search tries on a provider that keeps its bounds up to a limit."""
    tried = []
    while (value := search.ask()) is not None:
        tried.append(value)
        assert len(tried) < 60
        rate = value if answers is None else min(value, answers)
        search.tell(value, GOOD if value <= limit else BAD, kept=value <= limit, answers_per_s=rate)
    return tried


def test_it_doubles_and_then_bisects() -> None:
    search = Search(1, 256, within=0.1)
    assert found(search, 11) == [1, 2, 4, 8, 16, 12, 10, 11]
    assert search.best is not None
    assert search.best.value == 11
    assert search.ended == "12 doesn't keep them."


@given(st.floats(0.07, 250), st.floats(0.01, 0.5))
def test_what_it_finds_is_kept_and_hardly_under_the_limit(limit: float, within: float) -> None:
    search = Search(1, 256, within=within)
    found(search, limit)
    best = search.best
    if best is None:
        assert limit < 1 / 16
    else:
        assert best.value <= limit < best.value * (1 + within) * 1.001


@given(st.integers(1, 200))
def test_callers_are_found_to_the_last_one(limit: int) -> None:
    search = Search(1, 256, within=0.001, whole=True)
    tried = found(search, limit)
    assert search.best is not None
    assert search.best.value == limit
    assert all(value == int(value) for value in tried)


def test_a_first_load_that_is_too_much_is_halved_down_to_a_sixteenth() -> None:
    search = Search(4, 256)
    assert found(search, 0.1) == [4, 2, 1, 0.5, 0.25]
    assert search.best is None
    assert search.ended == "not even 0.25 keeps the bounds."


def test_nothing_beyond_the_most_is_tried() -> None:
    search = Search(1, 5)
    assert found(search, 1000) == [1, 2, 4, 5]
    assert search.ended == "5 keeps them, and more wasn't to be tried."


def test_callers_who_get_no_more_answers_a_second_only_wait_for_each_other() -> None:
    search = Search(1, 256, whole=True)
    assert found(search, 1000, answers=4) == [1, 2, 4, 8]
    assert "no more answers" in str(search.ended)


def test_a_rate_that_is_kept_is_kept_up_with_whatever_its_flow_seems_to_be() -> None:
    search = Search(1, 16)
    assert found(search, 1000, answers=4) == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("most", "whole", "last"), [(33.3333, False, 33.33), (100 / 3, False, 33.33), (10.4, True, 10)]
)
def test_the_most_may_be_any_number(most: float, whole: bool, last: float) -> None:
    search = Search(1, most, whole=whole)
    assert found(search, 1000)[-1] == last


def test_a_provider_that_is_not_steady_ends_the_search() -> None:
    search = Search(1, 256)
    search.tell(4, BAD, kept=False, answers_per_s=4)
    search.tell(8, GOOD, kept=True, answers_per_s=8)
    assert search.ask() is None
    assert "isn't steady" in str(search.ended)


@pytest.mark.parametrize(
    ("met", "n", "expected"),
    [
        (52, 52, "kept"),  # the fewest that show 95 %
        (51, 51, "open"),
        (210, 210, "kept"),
        (198, 210, "open"),  # 94 % may be 95 %
        (190, 210, "broken"),  # 90.5 %, at most 93.3 %
    ],
)
def test_a_load_is_kept_only_where_its_bound_reaches_what_is_asked(
    met: int, n: int, expected: str
) -> None:
    assert verdict(Share(met, n), 0.95) == expected
