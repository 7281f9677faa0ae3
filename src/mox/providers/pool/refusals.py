"""What a caller is told whom the books refuse."""

from __future__ import annotations

from mox.errors import PoolError
from mox.providers.pool.forms import INF, Ask, Refused

_BECAUSE = {
    "closed": ", since its provider keeps failing",
    "tried": " at the latest: its provider failed, and one call tries it again",
    "turn": ", others being first",
    "held": ", as its provider asked",
}


def names(ask: Ask) -> str:
    """The accounts that were asked for, for people."""
    return ", ".join(each.name for each in ask.accounts)


def refusal(refused: Refused, ask: Ask) -> PoolError:
    """Of what can't be had in time."""
    wait, left = refused.wait_s, ask.max_wait_s
    if refused.why == "aside":
        return PoolError(
            f"no account is free in time ({names(ask)}: {refused.detail}).",
            mend="mend that and take it back (`model.take_back()`), or add another account.",
            would_wait_s=None if wait == INF else wait,
            why=refused.why,
        )
    mend = "allow a longer deadline, ask for less output, or add an account."
    if refused.why == "held":
        mend = "allow a longer deadline or add an account; where so long can't be meant, take it"
        mend += " back (`model.take_back()`)."
    deadline = f"is {left:.2f} s away" if left >= 0.005 else "has come"
    return PoolError(
        f"{names(ask)} would be free in {wait:.2f} s{_BECAUSE.get(refused.why, '')}, and the"
        f" deadline {deadline}.",
        mend=mend,
        would_wait_s=wait,
        why=refused.why,
    )
