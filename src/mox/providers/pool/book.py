"""One account's book, in Python.

Of each resource a book keeps two counters that only make sense together:

- `booked`: all that was ever set aside; a booking's `mark` is where it begins.
- `granted`: how far bookings may have started by now. It grows with the rate, with what calls
  turned out not to need, and falls by what they used beyond. A booking starts once `granted`
  has reached its mark; so all who wait move up or back together, in the order in which they
  came, and whoever hears a new `granted` knows when its own turn is without asking.

`granted - booked` is the level of a bucket, negative while somebody waits; less what was undone
among those who wait (`holes`).

Output that is charged as it is made needs one thing more. Bookings pace how many answers begin;
how much they make meanwhile is noise, and where the provider's bucket runs over or empty by it
the pool's doesn't. So a book keeps `flow` too, the provider's bucket as it should be now: it
refills, and falls by what the running answers make (each by its own speed, put right whenever one
reports). The next answer begins only where `flow` covers what is yet to come above the rate from
it and those that run: with long answers that is Little's law, their number times their speed
within the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import gt

from mox.providers.pool.forms import Closing
from mox.providers.pool.holes import NEAR, Hole, before, dig, fill, jump, since
from mox.providers.pool.limits import Limits
from mox.types.providers import Resource

GRACE_S = 10.0
"""How long after its expected end an answer that nobody reports of still counts."""
RAMP_START, RAMP_IDLE_S, RAMP_AFTER = 0.2, 60.0, 0.5
"""Of the rate, where a load begins that may not grow at once; how long idle until it begins anew;
and how fast it grows after a limit on acceleration was met that none had been stated of."""
RISE = 0.01
"""How fast a limit that had been lowered rises again: of the stated limit, a second."""
WEIGHT = 0.2
"""Of the newest in a mean."""
SAFE = 0.5
"""Of the cap: how much more than the pool's level the provider's should be."""


@dataclass(slots=True)
class Coming:
    """An answer that waits or runs, where output is limited."""

    marks: tuple[float, ...]
    speed: float
    """In tokens a second."""
    length: float
    """In tokens, as is set aside."""
    until: float = 0.0
    """When it counts no more if nobody reports of it."""


@dataclass(slots=True)
class Book:
    """Of one account. All times are the books' own."""

    at: float
    granted: list[float]
    booked: list[float]
    corrected: list[float]
    share: list[float]
    """Of the stated limits, what is used."""
    target: list[float]
    """Where `share` rises to."""
    holes: list[list[Hole]]
    """Of each resource, what was undone among those who wait, in order."""
    filled: list[list[Hole]]
    """Those that were jumped of late."""
    ramp: float
    used: float
    """When somebody last booked; where the load may not grow at once, or waited."""
    held: float = 0.0
    aside: float = 0.0
    why: str = ""
    flow: float = 0.0
    """Of a limit of output, the provider's own level."""
    free: float = 0.0
    """Of `flow`, what the next answer may count on; it doesn't begin where that is negative."""
    begins: float = 0.0
    """The mark of that answer."""
    speed: float = 0.0
    """Of one answer, in the mean."""
    length: float = 0.0
    waiting: dict[str, Coming] = field(default_factory=dict)
    """By lease, in order: who hasn't begun."""
    running: dict[str, Coming] = field(default_factory=dict)
    owed: list[float] = field(default_factory=list)
    """Of each resource, what the present hold took off `granted`."""
    what: tuple[Resource, ...] = ()
    """The resources, as its limits state them."""


def opened(limits: Limits, now: float) -> Book:
    """A book whose account nobody has used."""
    size = len(limits.resources)
    start = RAMP_START if limits.ramp_per_min else 1.0
    book = Book(
        now, list(limits.caps), [0.0] * size, [0.0] * size, [1.0] * size, [1.0] * size,
        [[] for _ in range(size)], [[] for _ in range(size)], start, now, owed=[0.0] * size,
        what=limits.resources,
    )  # fmt: skip
    if limits.output is not None:
        book.flow = 2 * limits.caps[limits.output]
    return book


def advance(book: Book, limits: Limits, now: float) -> None:
    """Bring a book up to now."""
    passed = max(0.0, now - book.at)
    for j, (rate, cap) in enumerate(zip(limits.rates, limits.caps, strict=True)):
        granted = book.granted[j] + rate * book.share[j] * book.ramp * passed
        granted = jump(book.holes[j], book.filled[j], granted)
        book.granted[j] = min(granted, book.booked[j] + cap * book.share[j])
    if limits.output is not None:
        _follow(book, limits, limits.output, passed, now)
    for j in range(len(limits.resources)):
        book.share[j] = min(book.target[j], book.share[j] + RISE * passed)
    if limits.ramp_per_min and any(level(book, j) < 0 for j in range(len(limits.resources))):
        book.used = now  # somebody waits
    if limits.ramp_per_min and now - max(book.used, book.held) > RAMP_IDLE_S:
        book.ramp = RAMP_START
    elif book.ramp < 1:
        by = limits.ramp_per_min or RAMP_AFTER
        book.ramp = min(1.0, book.ramp * (1 + by) ** (passed / 60))
    book.at = now


def _follow(book: Book, limits: Limits, out: int, passed: float, now: float) -> None:
    """Follow the provider's own bucket of output, and let nobody begin on what isn't there."""
    rate = limits.rates[out] * book.share[out]
    cap = limits.caps[out] * book.share[out]
    for name in [name for name, one in book.running.items() if one.until < now]:
        del book.running[name]
    speed = sum(one.speed for one in book.running.values())
    length = sum(one.length for one in book.running.values())
    book.flow = min(2 * cap, book.flow + (rate - speed) * passed)
    while True:
        name, one = next(iter(book.waiting.items()), ("", None))
        speed += book.speed if one is None else one.speed
        length += book.length if one is None else one.length
        book.free = book.flow - cap - _to_come(speed, length, rate)
        book.begins = book.booked[out] if one is None else one.marks[out]
        if one is None or book.free < 0 or any(map(gt, one.marks, book.granted)):
            break
        del book.waiting[name]
        lasts = one.length / one.speed if one.speed > 0 else 0.0
        one.until = now + lasts + GRACE_S
        book.running[name] = one
    book.granted[out] = min(book.granted[out], book.begins + max(0.0, book.free))


def _to_come(speed: float, length: float, rate: float) -> float:
    """What answers of so much speed and length together will make above the rate: half of each is
    left."""
    return max(0.0, 1 - rate / speed) * length / 2 if speed > 0 else 0.0


def level(book: Book, j: int) -> float:
    """Of a resource, what is left when all who wait have begun."""
    return book.granted[j] - book.booked[j] + before(book.holes[j], book.booked[j])


def heard_of(book: Book, lease: str, now: float) -> None:
    """An answer runs, and counts a while longer if nobody reports of it again."""
    if lease in book.running:
        book.running[lease].until = max(book.running[lease].until, now + GRACE_S)


def settle(book: Book, limits: Limits, closing: Closing, now: float) -> None:
    """End a booking."""
    book.waiting.pop(closing.lease, None)
    book.running.pop(closing.lease, None)
    book.flow -= closing.flow
    for j, back in enumerate(closing.give_back):
        if closing.undo:
            _undo(book, limits, j, (closing.ends[j] - back, closing.ends[j]))
        else:
            book.granted[j] += back
    _correct(book, limits, closing)
    if closing.hold_s > 0:
        _hold(book, limits, closing, now)
    if closing.slower:
        book.ramp = max(RAMP_START / 4, book.ramp / 2)
    if closing.aside_s > 0:
        book.aside, book.why = now + closing.aside_s, closing.why


def _hold(book: Book, limits: Limits, closing: Closing, now: float) -> None:
    """Let nothing start for a while, and those of a limit that was met as if its call came then."""
    if book.held <= now:
        book.owed = [0.0] * len(book.owed)
    book.held = max(book.held, now + closing.hold_s)
    for j, mark in enumerate(closing.hit):
        rate = limits.rates[j] * book.share[j] * book.ramp
        if mark == mark:  # a number
            mark += since(book.filled[j], mark)
            held = min(book.granted[j], mark - rate * closing.hold_s)
            book.owed[j] += book.granted[j] - held
            book.granted[j] = held


def let_go(book: Book, limits: Limits, now: float) -> None:
    """End a hold, with what it took and time hasn't given back."""
    left = max(0.0, book.held - now)
    for j, owed in enumerate(book.owed):
        rate = limits.rates[j] * book.share[j] * book.ramp
        book.granted[j] += min(owed, rate * left)
    book.held, book.owed = 0.0, [0.0] * len(book.owed)


def _undo(book: Book, limits: Limits, j: int, place: Hole) -> None:
    """Free a place in the queue: cut it off at the end, or leave a hole among those who wait.

    Where what is granted has come to it, those behind get no more than a full bucket of it, and
    none where it has passed: meanwhile the provider's own may have run over.
    """
    holes, granted, begin, end = book.holes[j], book.granted[j], *place
    if end >= book.booked[j] - NEAR:
        book.booked[j] = begin
    elif begin <= granted < end:
        full = end + limits.caps[j] * book.share[j]
        book.granted[j] = min(granted + end - begin, full)
        fill(book.filled[j], place)
    elif granted < begin < end:
        dig(holes, place)
    if holes and holes[-1][1] >= book.booked[j] - NEAR:
        book.booked[j] = holes.pop()[0]


def _correct(book: Book, limits: Limits, closing: Closing) -> None:
    """Follow what the headers said."""
    for j, share in enumerate(closing.share):
        if share == share:
            book.target[j] = min(1.0, share)
            book.share[j] = min(book.share[j], book.target[j])
    for j, left in enumerate(closing.left):
        short = left - book.corrected[j] + SAFE * limits.caps[j] * book.share[j]
        if short > 0:  # not where it is no number
            book.granted[j] -= short
            book.corrected[j] += short
            if j == limits.output:
                book.flow -= short


def mean(old: float, new: float) -> float:
    return new if old == 0 else old + WEIGHT * (new - old)
