"""Who asks and how often: keys, limits, counts, and which attempt a request is."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from mox.simulation.config import Simulation
from mox.simulation.limits import Gate, Production
from mox.simulation.wire.common import Refused

REMEMBERED = 100_000
"""How many different requests are remembered, to tell a second attempt from a first."""


@dataclass(slots=True)
class Counts:
    """What an account did with one class of models."""

    answered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first_s: float | None = None
    last_s: float = 0.0

    def seen(self, now_s: float) -> None:
        """A request came."""
        self.first_s = now_s if self.first_s is None else self.first_s
        self.last_s = now_s


class Attempts:
    """How often each request came before. The oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def before(self, identity: bytes) -> int:
        """How often it came before this time, which is counted."""
        found = self._seen.pop(identity, 0)
        self._seen[identity] = found + 1
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return found


class Accounts:
    """The accounts of one simulation, and what they have used of it.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, simulation: Simulation, clock: Callable[[], float]) -> None:
        self._simulation = simulation
        self._clock = clock
        self._gates: dict[tuple[str, str], Gate] = {}
        self._counts: dict[tuple[str, str], Counts] = {}
        self._running: Counter[str] = Counter()
        self._keys = {
            key: name
            for name, account in simulation.accounts.items()
            for key in (name, *account.keys)
        }

    def named(self, headers: Mapping[str, str]) -> str:
        """The account that a request's key belongs to.

        By name, where it has one: a key that is none of ours may be a real one, and is never
        repeated.

        Raises:
            Refused: there is no key, or it belongs to no account.
        """
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        if not key:
            raise Refused("auth", "You didn't provide an API key: use a Bearer token or x-api-key.")
        if not self._keys:
            return f"key-{blake2b(key.encode(), digest_size=4).hexdigest()}"
        if key not in self._keys:
            raise Refused(
                "auth", "Incorrect API key provided: it is no account of this simulation."
            )
        return self._keys[key]

    def gate(self, account: str, model: str, now_s: float) -> tuple[Gate | None, Counts]:
        """An account's limits for a model, if it has any, and its counts."""
        key = (account, self._simulation.class_of(model))
        limits = self._simulation.limits(account, model)
        if limits is not None and key not in self._gates:
            self._gates[key] = Gate(limits, now_s)
        return self._gates.get(key), self._counts.setdefault(key, Counts())

    @property
    def busy(self) -> bool:
        """Whether any answer runs."""
        return any(self._running.values())

    def running(self, model: str) -> int:
        """Answers of a model that run now, of all accounts."""
        return self._running[model]

    def run(self, model: str, gate: Gate | None, production: Production) -> Callable[[bool], None]:
        """Count an answer as running.

        Returns:
            What ends it, told whether all of it was sent; called again, it does nothing.
        """
        self._running[model] += 1
        if gate is not None:
            gate.produce(production)
        over = False

        def ended(played: bool) -> None:
            nonlocal over
            if not over:
                over = True
                self._running[model] -= 1
                # What was sent is charged to its last token: pieces leave a moment before theirs
                # are due, and what is due by now would be less than what the client has.
                if gate is not None and not played:
                    gate.stop(production, self._clock())

        return ended

    def stats(self) -> dict[str, Any]:
        """What each account did, by class of models; `seconds` between its first request and its
        last. And by which `time_scale` latencies are played."""
        now_s = self._clock()
        rows = []
        for (account, name), counts in self._counts.items():
            gate = self._gates.get((account, name))
            if gate is not None:
                gate.bring_to(now_s)
            first_s = counts.last_s if counts.first_s is None else counts.first_s
            rows.append(
                {
                    "account": account,
                    "class": name,
                    "admitted": gate.admitted if gate else counts.answered,
                    "answered": counts.answered,
                    "rate_limited": dict(gate.denied) if gate else {},
                    "faults": dict(counts.faults),
                    "charged": {of: one.charged for of, one in gate.buckets.items()}
                    if gate
                    else {},
                    "seconds": counts.last_s - first_s,
                }
            )
        return {
            "schema": 1,
            "simulated": True,
            "time_scale": self._simulation.time_scale,
            "running": self._running.total(),
            "accounts": rows,
        }
