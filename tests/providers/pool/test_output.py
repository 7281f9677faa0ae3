"""Output as answers make it, in the books' own time: in Python and in Redis alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mox.providers.pool import Account, Limits
from mox.providers.pool.forms import Booked, View

About = Callable[[float], Any]
Due = Callable[[Booked, View], float]
OUT = Account("out", Limits(output_per_min=6000, safety=1.0), "o")
"""100 tokens a second; the pool uses 50 at once, the provider has 100."""


def test_who_waits_hears_that_running_answers_made_what_nobody_had_set_aside(
    books: Any, about: About, due_s: Due
) -> None:
    first = books.place(OUT, 10)
    assert isinstance(first, Booked)
    assert due_s(first, first.view) <= 0
    books.progress(OUT, "none", 300)
    second = books.place(OUT, 10)
    assert isinstance(second, Booked)
    # The provider's 100 less 300, and the next one begins only where 50 are left: 250 short.
    assert due_s(second, second.view) == about(2.5)
    books.go(3)
    assert due_s(second, books.settle(OUT)) <= 0
    assert books.state(OUT)["waiting"] == 0


def test_who_waits_behind_one_that_left_begins_on_no_output_that_isnt_there(
    books: Any, about: About, due_s: Due
) -> None:
    books.place(OUT, 10)
    books.place(OUT, 100)
    leaves = books.place(OUT, 900, lease="leaves")
    behind = books.place(OUT, 10)
    assert isinstance(leaves, Booked)
    assert isinstance(behind, Booked)
    books.settle(OUT, lease="leaves", give_back=(900.0,), undo=True, ends=leaves.ends)
    books.go(0.3)
    # The provider's 100 less 500, and the next one begins only where 50 are left: 450 short.
    assert due_s(behind, books.progress(OUT, "none", 500)) == about(4.5)


def test_what_people_see_of_an_account_changes_nothing_of_it(books: Any) -> None:
    for _ in range(3):
        books.place(OUT, 50, speed=50.0)
    books.go(0.7)
    # Two run from the beginning; the third begins at 100, which 50 and 0.7 s of the rate reach.
    looked = books.state(OUT)
    assert (looked["running"], looked["waiting"]) == (3, 0)
    books.go(0.4)
    # Three make 150 tokens a second, and 100 come back.
    assert looked["flow"] - books.state(OUT)["flow"] == pytest.approx(20, abs=8)


def test_what_headers_say_is_left_of_output_holds_the_next_answer_back(
    books: Any, about: About, due_s: Due
) -> None:
    """Somebody else uses the account: 400 less are left than the pool took to be."""
    before = books.state(OUT)["flow"]
    books.settle(OUT, left=(400.0,))
    # 400, and half a cap that the provider should have beside the pool's.
    assert before - books.state(OUT)["flow"] == pytest.approx(425, abs=60)
    booked = books.place(OUT, 10)
    assert isinstance(booked, Booked)
    assert due_s(booked, booked.view) == about(3.75)  # the provider's 100 less 425 and less 50
    books.settle(OUT, left=(400.0,))
    assert before - books.state(OUT)["flow"] <= 425, "the same news again changes nothing"
