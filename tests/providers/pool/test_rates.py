"""How loads grow and are slowed, in the books' own time: in Python and in Redis alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mox.providers.pool import Account, Limits
from mox.providers.pool.forms import Booked

About = Callable[[float], Any]
PLAIN = Account("plain", Limits(requests_per_min=60_000, safety=1.0), "p")
"""1000 requests a second, 500 at once."""
SLOW = Account("slow", Limits(requests_per_min=6000, safety=1.0, ramp_per_min=0.5))
"""100 a second, that are reached in four minutes."""


def rate(books: Any, account: Account) -> float:
    return books.state(account)["rates"][0]


def grown(books: Any) -> None:
    """Until the whole rate of `SLOW` is used."""
    for _ in range(10):
        books.place(SLOW, 1)
        books.go(30)
    assert rate(books, SLOW) == 100


def test_a_load_that_its_provider_holds_back_grows_no_anew(books: Any, about: About) -> None:
    grown(books)
    booked = books.place(SLOW, 1)
    assert isinstance(booked, Booked)
    books.settle(SLOW, hit=booked.marks, hold_s=600.0, verdict=1)
    for _ in range(60):
        books.go(10)
        books.state(SLOW)
    after = books.place(SLOW, 1)
    assert isinstance(after, Booked)
    assert after.wait_s == about(0)  # it is over after the 600 s that were asked for
    assert rate(books, SLOW) == 100


def test_a_queue_of_more_than_a_minute_is_no_idleness(books: Any, about: About) -> None:
    grown(books)
    books.place(SLOW, 14_000)
    waits = books.place(SLOW, 1)
    assert isinstance(waits, Booked)
    assert waits.wait_s == about(139.5)  # by hand: 50 are free, at 100 a second
    for _ in range(14):
        books.go(10)
        books.state(SLOW)
    after = books.place(SLOW, 1)
    assert isinstance(after, Booked)
    assert (after.wait_s, rate(books, SLOW)) == (about(0), 100)
    books.go(61)
    assert rate(books, SLOW) == pytest.approx(20, rel=0.02), "idle for a minute, it begins anew"


def test_a_load_begins_at_a_fifth_and_grows_by_its_share_each_minute(books: Any) -> None:
    slow = SLOW
    begins = books.place(slow, 1)
    assert isinstance(begins, Booked)
    assert begins.view.rates == (pytest.approx(20, rel=0.02),)  # of 100 a second
    found = []
    for _ in range(6):
        for _ in range(2):
            books.go(30)
            books.place(slow, 1)
        found.append(rate(books, slow))
    expected = [30, 45, 67.5, 100, 100, 100]  # 20 × 1.5 each minute, and never above the limit
    assert found == [pytest.approx(each, rel=0.02) for each in expected]
    books.go(61)
    assert rate(books, slow) == pytest.approx(20, rel=0.02), "idle for a minute, it begins anew"


def test_a_limit_on_acceleration_halves_the_load_which_grows_again_by_half_a_minute(
    books: Any,
) -> None:
    assert rate(books, PLAIN) == 1000
    books.settle(PLAIN, slower=True, hold_s=0.05)
    assert rate(books, PLAIN) == pytest.approx(500, rel=0.02)
    books.go(60)
    assert rate(books, PLAIN) == pytest.approx(750, rel=0.02)
    for _ in range(20):
        books.settle(PLAIN, slower=True, hold_s=0.05)
    assert rate(books, PLAIN) == pytest.approx(50, rel=0.02), "a twentieth is always left"


def test_a_limit_that_headers_lowered_is_followed_at_once_and_rises_again_slowly(
    books: Any,
) -> None:
    books.settle(PLAIN, share=(0.5,))
    assert rate(books, PLAIN) == pytest.approx(500, rel=0.02)
    books.go(30)
    assert rate(books, PLAIN) == pytest.approx(500, rel=0.02), "they say so still"
    books.settle(PLAIN, share=(3.0,))  # more than was stated isn't believed
    assert rate(books, PLAIN) == pytest.approx(500, rel=0.03)
    books.go(20)  # a hundredth of the stated limit a second
    assert rate(books, PLAIN) == pytest.approx(700, rel=0.02)
    books.go(100)
    assert rate(books, PLAIN) == 1000
