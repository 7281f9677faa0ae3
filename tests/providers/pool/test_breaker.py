"""When a provider is closed, held or tried, in the books' own time: in Python and Redis alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mox.providers.pool import Account, Limits
from mox.providers.pool.forms import Ask, Booked, Refused, View

About = Callable[[float], Any]
Due = Callable[[Booked, View], float]
PLAIN = Account("plain", Limits(requests_per_min=60_000, safety=1.0), "p")
"""1000 requests a second, 500 at once."""


def fails(books: Any, times: int = 1) -> float:
    """For how long the provider is closed after so many failures."""
    for _ in range(times):
        books.settle(PLAIN, verdict=-1)
    return books.state(PLAIN)["closed_s"]


def test_a_success_halves_the_failures_before_it(books: Any, about: About) -> None:
    assert fails(books, 4) == 0
    books.settle(PLAIN, verdict=1)  # 2
    assert fails(books, 2) == 0
    assert fails(books) == about(1)


def test_a_closed_provider_is_tried_by_one_call_and_by_the_next_when_that_is_lost(
    books: Any, about: About
) -> None:
    fails(books, 5)
    refused = books.place(PLAIN, 1)
    assert isinstance(refused, Refused)
    assert (refused.why, refused.wait_s) == ("closed", about(1))
    books.go(1.5)
    assert isinstance(books.place(PLAIN, 1), Booked)
    behind = books.place(PLAIN, 1)
    assert isinstance(behind, Refused)
    assert (behind.why, behind.wait_s) == ("tried", about(15))
    books.go(15.5)  # nothing was heard of it: its process is gone
    assert isinstance(books.place(PLAIN, 1), Booked)
    assert isinstance(books.place(PLAIN, 1), Refused)
    books.settle(PLAIN, verdict=1)
    assert all(isinstance(books.place(PLAIN, 1), Booked) for _ in range(3))


def test_a_try_that_was_cancelled_frees_its_place_and_no_other_call_does(books: Any) -> None:
    other = Account("other", PLAIN.limits, "p")
    books.place(other, 1, lease="waits")
    fails(books, 5)
    books.go(1.5)
    assert isinstance(books.place(PLAIN, 1, lease="tries"), Booked)
    books.settle(other, lease="waits", verdict=0)
    assert isinstance(books.place(PLAIN, 1), Refused)
    books.settle(PLAIN, lease="tries", verdict=0)
    assert isinstance(books.place(PLAIN, 1), Booked)


def refused(books: Any, accounts: list[Account], within_s: float) -> tuple[str, float, str]:
    costs, speeds = [(1.0,)] * len(accounts), [0.0] * len(accounts)
    found = books.asks(Ask(accounts, costs, "asks", within_s, 1e6, speeds=speeds))
    assert isinstance(found, Refused)
    return found.why, found.wait_s, found.detail


def test_of_several_accounts_the_one_that_opens_first_says_how_long_and_why(
    books: Any, about: About
) -> None:
    other = Account("other", PLAIN.limits, "q")
    fails(books, 4)
    books.settle(PLAIN, verdict=-1, hold_s=50.0)
    books.aside(other, 3.0)
    assert refused(books, [PLAIN, other], 20) == ("aside", about(3), "it rains")
    assert refused(books, [PLAIN, other], 1) == ("aside", about(3), "it rains")
    books.aside(other, 0)
    books.place(other, 70_000)  # 1,000 a second, 500 at once
    assert refused(books, [PLAIN, other], 20) == ("closed", about(50), "")
    books.go(45)
    assert refused(books, [PLAIN, other], 20) == ("closed", about(5), "")
    books.go(15)
    books.aside(PLAIN, 60.0)
    assert refused(books, [PLAIN, other], 5) == ("late", about(9.5), "")


def test_who_is_held_says_so_and_is_taken_back_with_what_the_hold_took(
    books: Any, about: About
) -> None:
    booked = books.place(PLAIN, 1)
    assert isinstance(booked, Booked)
    for _ in range(2):
        books.settle(PLAIN, hit=booked.marks, hold_s=86_400.0, verdict=1)
    books.place(PLAIN, 2000)
    books.go(100)
    why, wait, _ = refused(books, [PLAIN], 60)
    # What asks comes after the 2,000, which come after the hold.
    assert (why, wait) == ("held", about(86_302))
    books.aside(PLAIN, 0)
    behind = books.place(PLAIN, 1)
    assert isinstance(behind, Booked)
    assert behind.wait_s == about(2)


@pytest.mark.parametrize(("between", "due"), [(100, 1.2), (0, 1.1)])
def test_what_was_undone_since_a_call_is_not_waited_through_after_its_429(
    books: Any, due_s: Due, between: int, due: float
) -> None:
    met = books.place(PLAIN, 500)
    if between:
        books.place(PLAIN, between)
    leaves = books.place(PLAIN, 50_000, lease="leaves")
    behind = books.place(PLAIN, 100)
    assert isinstance(met, Booked)
    assert isinstance(leaves, Booked)
    assert isinstance(behind, Booked)
    if not between:
        books.go(0.1)  # what is granted lies within its place by now
    books.settle(PLAIN, lease="leaves", give_back=(50_000.0,), undo=True, ends=leaves.ends)
    books.go(1)
    view = books.settle(PLAIN, hit=met.marks, hold_s=1.0, verdict=1)
    # As if the one that was refused came in a second: 100 or 200 behind it, at 1,000 a second.
    assert due_s(behind, view) == pytest.approx(due, abs=0.05)


def test_each_try_that_fails_closes_it_for_twice_as_long_up_to_a_minute(
    books: Any, about: About
) -> None:
    closed = [fails(books, 5)]
    assert fails(books, 20) <= closed[0], "what was sent before says nothing new"
    for _ in range(7):
        books.go(closed[-1] + 0.1)
        assert isinstance(books.place(PLAIN, 1), Booked)
        closed.append(fails(books))
    assert closed == [about(each) for each in (1, 2, 4, 8, 16, 32, 60, 60)]
    books.go(60.1)
    books.place(PLAIN, 1)
    books.settle(PLAIN, verdict=1)
    assert fails(books, 5) == about(1), "it has mended, and begins anew"


def test_what_the_provider_asks_to_wait_goes_before_that(books: Any, about: About) -> None:
    fails(books, 4)
    books.settle(PLAIN, verdict=-1, hold_s=20.0)
    assert books.state(PLAIN)["closed_s"] == about(20)
