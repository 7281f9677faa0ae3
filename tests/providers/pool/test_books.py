"""What takes minutes, in the books' own time: in Python and in Redis alike."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from mox.providers.pool import Account, Limits
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked, Closing, Refused, View
from mox.providers.pool.redis import _Shared

PLAIN = Account("plain", Limits(requests_per_min=60_000, safety=1.0), "p")
"""1000 requests a second, 500 at once."""
NUMBERS = itertools.count()


class Timed(Protocol):
    """Books whose time passes when it is told to."""

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused: ...
    def asks(self, ask: Ask) -> Booked | Refused: ...
    def aside(self, account: Account, for_s: float) -> None: ...
    def settle(self, account: Account, **changes: Any) -> View: ...
    def progress(self, account: Account, lease: str, flow: float) -> View: ...
    def state(self, account: Account) -> dict[str, Any]: ...
    def go(self, seconds: float) -> None: ...


def ask(account: Account, cost: float, speed: float, lease: str) -> Ask:
    lease, size = lease or f"l{next(NUMBERS)}", len(account.limits.resources)
    return Ask([account], [(cost,) * size], lease, 1e6, 1e6, speeds=[speed])


def closing(account: Account, changes: dict[str, Any]) -> Closing:
    none = {"lease": "none", "give_back": (0.0,) * len(account.limits.resources)}
    return Closing(**{**none, **changes})


class InPython:
    def __init__(self) -> None:
        self.books, self.now = Books(lambda *_: None), 1000.0

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused:
        return self.asks(ask(account, cost, speed, lease))

    def asks(self, ask: Ask) -> Booked | Refused:
        return self.books.place(ask, self.now)

    def aside(self, account: Account, for_s: float) -> None:
        self.books.aside(account, "it rains", for_s, self.now)

    def settle(self, account: Account, **changes: Any) -> View:
        return self.books.settle(account, closing(account, changes), self.now)

    def progress(self, account: Account, lease: str, flow: float) -> View:
        return self.books.progress(account, lease, flow, 0.0, self.now)

    def state(self, account: Account) -> dict[str, Any]:
        return self.books.state([account], self.now)[0]

    def go(self, seconds: float) -> None:
        self.now += seconds


class InRedis:
    """A second there is a second here, and what the machine takes besides."""

    def __init__(self, url: str, run: Callable[..., Any], let_pass: Callable[..., Any]) -> None:
        self.shared, self.run, self.let_pass = _Shared(url, uuid.uuid4().hex), run, let_pass

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused:
        return self.asks(ask(account, cost, speed, lease))

    def asks(self, ask: Ask) -> Booked | Refused:
        return self.run(self.shared.place(ask))

    def aside(self, account: Account, for_s: float) -> None:
        self.run(self.shared.aside(account, "it rains", for_s))

    def settle(self, account: Account, **changes: Any) -> View:
        view = self.run(self.shared.settle(account, closing(account, changes), 0))
        assert view is not None
        return view

    def progress(self, account: Account, lease: str, flow: float) -> View:
        view = self.run(self.shared.progress(account, lease, flow, 0.0, 0))
        assert view is not None
        return view

    def state(self, account: Account) -> dict[str, Any]:
        return self.run(self.shared.state([account]))[0]

    def go(self, seconds: float) -> None:
        self.run(self.let_pass(self.shared, seconds))


@pytest.fixture(params=["python", "redis"])
def books(request: pytest.FixtureRequest, let_pass: Callable[..., Any]) -> Iterator[Timed]:
    if request.param == "python":
        yield InPython()
        return
    with asyncio.Runner() as runner:
        made = InRedis(request.getfixturevalue("valkey").url, runner.run, let_pass)
        yield made
        runner.run(made.shared.aclose())


def about(seconds: float) -> Any:
    """On a busy machine."""
    return pytest.approx(seconds, abs=0.5)


def fails(books: Timed, times: int = 1) -> float:
    """For how long the provider is closed after so many failures."""
    for _ in range(times):
        books.settle(PLAIN, verdict=-1)
    return books.state(PLAIN)["closed_s"]


def test_a_success_halves_the_failures_before_it(books: Timed) -> None:
    assert fails(books, 4) == 0
    books.settle(PLAIN, verdict=1)  # 2
    assert fails(books, 2) == 0
    assert fails(books) == about(1)


def test_a_closed_provider_is_tried_by_one_call_and_by_the_next_when_that_is_lost(
    books: Timed,
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


def test_a_try_that_was_cancelled_frees_its_place_and_no_other_call_does(books: Timed) -> None:
    other = Account("other", PLAIN.limits, "p")
    books.place(other, 1, lease="waits")
    fails(books, 5)
    books.go(1.5)
    assert isinstance(books.place(PLAIN, 1, lease="tries"), Booked)
    books.settle(other, lease="waits", verdict=0)
    assert isinstance(books.place(PLAIN, 1), Refused)
    books.settle(PLAIN, lease="tries", verdict=0)
    assert isinstance(books.place(PLAIN, 1), Booked)


def refused(books: Timed, accounts: list[Account], within_s: float) -> tuple[str, float, str]:
    costs, speeds = [(1.0,)] * len(accounts), [0.0] * len(accounts)
    found = books.asks(Ask(accounts, costs, "asks", within_s, 1e6, speeds=speeds))
    assert isinstance(found, Refused)
    return found.why, found.wait_s, found.detail


def test_of_several_accounts_the_one_that_opens_first_says_how_long_and_why(books: Timed) -> None:
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


def test_who_is_held_says_so_and_is_taken_back_with_what_the_hold_took(books: Timed) -> None:
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
    books: Timed, between: int, due: float
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


def test_each_try_that_fails_closes_it_for_twice_as_long_up_to_a_minute(books: Timed) -> None:
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


def test_what_the_provider_asks_to_wait_goes_before_that(books: Timed) -> None:
    fails(books, 4)
    books.settle(PLAIN, verdict=-1, hold_s=20.0)
    assert books.state(PLAIN)["closed_s"] == about(20)


def rate(books: Timed, account: Account) -> float:
    return books.state(account)["rates"][0]


SLOW = Account("slow", Limits(requests_per_min=6000, safety=1.0, ramp_per_min=0.5))
"""100 a second, that are reached in four minutes."""


def grown(books: Timed) -> None:
    """Until the whole rate of `SLOW` is used."""
    for _ in range(10):
        books.place(SLOW, 1)
        books.go(30)
    assert rate(books, SLOW) == 100


def test_a_load_that_its_provider_holds_back_grows_no_anew(books: Timed) -> None:
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


def test_a_queue_of_more_than_a_minute_is_no_idleness(books: Timed) -> None:
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


def test_a_load_begins_at_a_fifth_and_grows_by_its_share_each_minute(books: Timed) -> None:
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
    books: Timed,
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
    books: Timed,
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


OUT = Account("out", Limits(output_per_min=6000, safety=1.0), "o")
"""100 tokens a second; the pool uses 50 at once, the provider has 100."""


def due_s(booked: Booked, view: View) -> float:
    """When a booking's turn comes, as whoever waits for it works it out."""
    [mark] = booked.marks
    return (mark - view.skipped(0, mark) - view.granted[0]) / view.rates[0]


def test_who_waits_hears_that_running_answers_made_what_nobody_had_set_aside(
    books: Timed,
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


def test_who_waits_behind_one_that_left_begins_on_no_output_that_isnt_there(books: Timed) -> None:
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


def test_what_people_see_of_an_account_changes_nothing_of_it(books: Timed) -> None:
    for _ in range(3):
        books.place(OUT, 50, speed=50.0)
    books.go(0.7)
    # Two run from the beginning; the third begins at 100, which 50 and 0.7 s of the rate reach.
    looked = books.state(OUT)
    assert (looked["running"], looked["waiting"]) == (3, 0)
    books.go(0.4)
    # Three make 150 tokens a second, and 100 come back.
    assert looked["flow"] - books.state(OUT)["flow"] == pytest.approx(20, abs=8)


def test_what_headers_say_is_left_of_output_holds_the_next_answer_back(books: Timed) -> None:
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
