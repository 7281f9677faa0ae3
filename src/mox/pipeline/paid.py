"""Stages that cost money: each request is booked before it is sent, and its cost noted."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from mox.embedding import embedders
from mox.types.providers import Usage

if TYPE_CHECKING:
    from mox.pipeline.context import Context
    from mox.pipeline.memo import VectorMemo
    from mox.pipeline.plan import Plan
    from mox.pipeline.stages import Stage
    from mox.pipeline.store import Store
    from mox.spec import Spec
    from mox.types import Floats, Ints, PaidEmbedder
    from mox.types.providers import Book, Call


def purse(plan: Plan) -> Mapping[str, Any]:
    """What one execution of a plan may spend, and what its calls are written down under: in the
    ledger a Run of ours is a sweep, and each time that it is run has a budget of its own."""
    run = f"{plan.run_id}.{uuid.uuid4().hex[:8]}"
    return {
        "sweep": plan.run_id,
        "run": run,
        "usd": plan.experiment.budget.usd,
        "trials": _trials(plan),
    }


def _trials(plan: Plan) -> Mapping[str, str]:
    """A stage's key → which trials it is for, as the ledger has it: a trial's id, or of several
    that share it the first one's and how many more."""
    found: dict[str, list[str]] = {}
    for trial in plan.trials:
        for key in {ref.key for ref in trial.roles.values()}:
            found.setdefault(key, []).append(trial.id)
    return {
        key: ids[0] if len(ids) == 1 else f"{ids[0]} +{len(ids) - 1}" for key, ids in found.items()
    }


def with_purse(stage: Stage, found: Mapping[str, Any]) -> Stage:
    """A stage that is handed the purse; one that costs nothing is handed none."""
    if not stage.runtime:
        return stage
    trials = {stage.key: found["trials"].get(stage.key)}
    return replace(stage, runtime={**stage.runtime, "purse": {**found, "trials": trials}})


def open_book(store: Store, found: Mapping[str, Any]) -> Book:
    """The ledger of a store as one purse's book; without a purse (a release that is asked) no
    budget bounds it."""
    from mox.providers.budget import Budget, RunBook
    from mox.providers.ledger import Ledger
    from mox.providers.prices import Prices

    usd = found.get("usd")
    return RunBook(
        Ledger(store.root),
        Prices.load(),
        run=found.get("run", ""),
        sweep=found.get("sweep"),
        budget=None if usd is None else Budget.of(usd),
    )


class Shopper:
    """Buys one stage's vectors, and knows what they came to."""

    def __init__(self, stage: Stage, spec: Spec, context: Context) -> None:
        call: Call = embedders.entry(spec.kind).traits["paid"](spec)
        own = stage.runtime.get("purse", {})
        self._call = replace(call, trial=own.get("trials", {}).get(stage.key))
        self._embedder = cast("PaidEmbedder", context.embedder(spec))
        self._book = open_book(context.store, own)
        self._paid = Usage()
        self._billed: dict[str, int] = {}

    def sent(self, texts: Sequence[str]) -> list[str]:
        """Texts as they are sent; see `PaidEmbedder.sent`."""
        return self._embedder.sent(texts)

    def buy(self, texts: Sequence[str]) -> Floats:
        """Vectors of the first texts; see `PaidEmbedder.buy`."""
        found = self._embedder.buy(texts, self._book, self._call)
        bought, billed = texts[: len(found.vectors)], found.usage.input_tokens
        booked = (found.booked or found.usage).input_tokens
        self._paid = Usage(input_tokens=self._paid.input_tokens + booked)
        shares = _shared(billed, self._embedder.tokens(bought))
        self._billed |= dict(zip(bought, shares.tolist(), strict=True))
        return found.vectors

    def billed(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens that each was billed: texts that were bought just now."""
        import numpy as np

        return np.array([self._billed[text] for text in texts], dtype=np.int32)

    def facts(self, texts: Sequence[str], memo: VectorMemo) -> dict[str, Any]:
        """What all of a stage's texts cost, whoever paid for them, and what was paid now: of what
        the provider doesn't count, the one by the count of here, the other as the ledger has it.

        Args:
            texts: as they are sent.
            memo: knows what they were billed; those of an older one are counted here. All at the
                price of now.
        """
        billed = memo.billed(texts)
        rest = [text for text in dict.fromkeys(texts) if text not in billed]
        tokens = sum(billed.values())
        tokens += int(self._embedder.tokens(rest).sum()) if rest else 0
        return {
            "tokens": tokens,
            "usd": float(self._price(Usage(input_tokens=tokens))),
            "paid_usd": float(self._price(self._paid)),
            "simulated": self._call.simulated,
        }

    def _price(self, usage: Usage) -> Decimal:
        return price_of(self._call, usage)


def _shared(total: int, counts: Ints) -> Ints:
    """(texts,) whole parts of a request's tokens that add up to it: a provider counts a request,
    and each text's part is taken to be as its count here."""
    import numpy as np

    ends = np.cumsum(counts, dtype=np.int64)
    if not len(ends) or ends[-1] == 0:
        return np.zeros(len(ends), dtype=np.int32)
    shares: Ints = np.diff(np.rint(ends * (total / ends[-1])), prepend=0).astype(np.int32)
    return shares


def price_of(call: Call, usage: Usage) -> Decimal:
    """USD of some tokens, at the price of now.

    Raises:
        PriceError: not known; the mend is what to write.
    """
    from mox.providers.prices import Prices

    found = Prices.load().price(call.provider, call.model, usage, when=dt.datetime.now(dt.UTC))
    return found.total or Decimal(0)
