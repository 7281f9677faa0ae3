"""What asking a release may cost: its corpus embedded anew, where the store lacks it, and no more
than was allowed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mox.errors import BudgetError
from mox.pipeline.dollars import costs, in_all, no_less
from mox.pipeline.plan import Plan
from mox.providers.budget import Budget

ROOM_TOKENS = 4_000
"""What a limit needs beyond the estimate: the last text and the question are held at the most that
they may cost, a token a byte where the provider's count isn't known. Usual ones have fewer."""


def purse(usd: float | None) -> Mapping[str, Any]:
    """What one opening of a release may spend, as stages are handed it; without a limit no budget
    bounds it.

    Raises:
        SpecError: a limit that can't be meant.
    """
    if usd is None:
        return {}
    return {"run": f"ask.{uuid.uuid4().hex[:8]}", "usd": Budget.of(usd).usd}


def afford(lacking: Plan, usd: float | None) -> None:
    """Refuse to embed a corpus for money that nobody allowed.

    Args:
        lacking: the stages that would be done, their chunks stored: what they cost is counted.

    Raises:
        BudgetError: it costs something and no limit was given, or more than the limit; nothing was
            asked.
        PriceError: its price isn't known.
    """
    paid = costs(lacking)
    real, _ = in_all(paid)
    limit = None if usd is None else Budget.of(usd).usd
    if real == 0 or (limit is not None and real <= limit):
        return
    texts = sum(cost.texts for cost in paid if not cost.simulated)
    tokens = sum(cost.tokens for cost in paid if not cost.simulated)
    enough = no_less(real * (tokens + ROOM_TOKENS) / tokens)
    may = "" if limit is None else f", and may cost $ {limit:f} at most"
    raise BudgetError(
        f"to answer, this release embeds its corpus first, which this store lacks: {texts:,} texts,"
        f" about $ {no_less(real)}{may}. Nothing was asked.",
        mend=f"allow it, and the question, by a limit: mox.ask(…, usd={enough}) or"
        f" `mox ask --usd {enough}`; or ask on the state folder that it was run in, which has the"
        " vectors.",
    )
