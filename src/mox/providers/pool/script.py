"""The books' script in Redis: how it is called, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from importlib import resources
from typing import Any
from urllib.parse import quote, unquote

from mox.providers.pool.forms import Ask, Booked, Closing, Refused, View
from mox.providers.pool.holes import Hole
from mox.providers.pool.limits import Account
from mox.providers.pool.link import number, words

PARTS = ("room", "holes", "book", "placing", "settling", "asked")
"""Of the script, in the order in which they need each other."""


@lru_cache(maxsize=1)
def script() -> tuple[bytes, bytes]:
    """The books in Lua, and the name that Redis gives them."""
    folder = resources.files("mox.providers.pool") / "lua"
    text = b"\n".join((folder / f"{name}.lua").read_bytes() for name in PARTS)
    return text, sha1(text).hexdigest().encode()  # noqa: S324  Redis' own way of naming


class Heads:
    """The part of a command that is the same for the same accounts.

    Args:
        name: of the pool; its keys lie on one node of a cluster.
    """

    def __init__(self, name: str) -> None:
        self._room = f"{{{name}}}:"
        self._heads: dict[tuple[Any, ...], tuple[bytes, int, tuple[Account, ...]]] = {}

    @property
    def news(self) -> str:
        """The channel on which the script tells what all have to know."""
        return f"{self._room}room:news"

    def account(self, key: str) -> str:
        """Whose book a key is."""
        return unquote(key.removeprefix(f"{self._room}account:"))

    def of(self, op: str, accounts: Sequence[Account]) -> tuple[bytes, int]:
        """The head of an operation on accounts, and how many words it has."""
        key = (op, *map(id, accounts))
        found = self._heads.get(key)
        if found is None:
            room = self._room.encode()
            parts = [b"EVALSHA", script()[1], b"%d" % (1 + len(accounts)), room + b"room"]
            parts += [room + b"account:" + quote(account.name).encode() for account in accounts]
            parts += [op.encode(), b"%d" % len(accounts)]
            for account in accounts:
                parts += _stated(account)
            # With the accounts, so that none of these numbers becomes another one's.
            found = self._heads[key] = (words(parts), len(parts), tuple(accounts))
        return found[:2]


def _stated(account: Account) -> list[bytes]:
    limits = account.limits
    out = 0 if limits.output is None else limits.output + 1
    said = [quote(account.fails_with).encode(), " ".join(limits.resources).encode()]
    said += [number(limits.ramp_per_min or 0.0)]
    said += [b"%d" % len(limits.resources), b"%d" % out]
    for rate, cap in zip(limits.rates, limits.caps, strict=True):
        said += [number(rate), number(cap)]
    return said


def placing(ask: Ask) -> list[bytes]:
    """What follows the head of a question."""
    tail = [
        ask.lease.encode(), number(ask.max_wait_s), number(ask.ahead_s), ask.tenant.encode(),
        number(ask.weight),
    ]  # fmt: skip
    for speed, costs in zip(ask.speeds, ask.costs, strict=True):
        tail.append(number(speed))
        tail.extend(number(cost) for cost in costs)
    return tail


def closing_of(closing: Closing, size: int) -> list[bytes]:
    """What follows the head of a settlement, on an account of so many resources."""
    blank = (float("nan"),) * size
    tail = [
        closing.lease.encode(), number(closing.undo), number(closing.hold_s),
        number(closing.slower), number(closing.verdict), number(closing.aside_s),
        closing.why.encode(), number(closing.flow),
    ]  # fmt: skip
    columns = (closing.give_back, closing.ends, closing.hit, closing.left, closing.share)
    for row in zip(*(column or blank for column in columns), strict=True):
        tail.extend(b"-" if value != value else number(value) for value in row)
    return tail


def said_at(said: bytes) -> float:
    """What time the books have, in seconds."""
    return float(said.split(b" ", 2)[1])


def read_placed(said: bytes, ask: Ask) -> Booked | Refused:
    """The answer to a question."""
    if said[:1] == b"-":
        _, _, wait, why, detail = said.split(b" ", 4)
        return Refused(why.decode(), float(wait), detail.decode())
    numbers = list(map(float, said[2:].split(b" ")))
    index, wait_s, speed = int(numbers[1]), numbers[2], numbers[3]
    middle = 4 + 2 * len(ask.costs[index])
    marks, ends = tuple(numbers[4:middle:2]), tuple(numbers[5:middle:2])
    return Booked(index, wait_s, marks, ends, view_of(numbers[middle:]), speed)


def read_view(said: bytes) -> View:
    """What a book says after a change."""
    return view_of(list(map(float, said[2:].split(b" ")))[1:])


def read_state(said: bytes) -> list[dict[str, Any]]:
    """What people want to see of each account."""
    found: list[dict[str, Any]] = json.loads(said.split(b" ", 2)[2])
    return found


def view_of(numbers: Sequence[float]) -> View:
    """A view from its numbers: for how long nothing may start, how many resources there are, three
    of each, and three of each hole."""
    end = 2 + 3 * int(numbers[1])
    holes: list[list[Hole]] = [[] for _ in range(int(numbers[1]))]
    for at in range(end, len(numbers), 3):
        holes[int(numbers[at])].append((numbers[at + 1], numbers[at + 2]))
    return View(
        tuple(numbers[2:end:3]), tuple(numbers[3:end:3]), tuple(numbers[4:end:3]),
        held_s=numbers[0], holes=tuple(map(tuple, holes)),
    )  # fmt: skip
