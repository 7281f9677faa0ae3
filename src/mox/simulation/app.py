"""The simulator behind both fronts: a request's bytes in, a reply with its times out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from mox.simulation import faults
from mox.simulation.config import Simulation
from mox.simulation.core import script as scripted
from mox.simulation.faults import Fault, Who
from mox.simulation.limits import Cost, Gate, Production
from mox.simulation.reply import Piece, Reply
from mox.simulation.script import Asked, Script, Wire
from mox.simulation.tokens import count_messages
from mox.simulation.wire import chat, errors, headers, messages
from mox.simulation.wire.common import Answered, Call, Refused
from mox.types.providers import Message

SIMULATED = "x-mox-simulated"
FAULT = "x-mox-fault"
REQUEST_ID = {"messages": "request-id"}
"""Of wires whose provider doesn't call it `x-request-id`."""
REMEMBERED = 100_000
"""How many different requests are remembered, to tell a second attempt from a first."""
WIRES: dict[str, Wire] = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "messages",
}


@dataclass(slots=True)
class Counts:
    """What an account did with one class of models."""

    faults: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    first_s: float | None = None
    last_s: float = 0.0


class Simulator:
    """Answers requests. It keeps no clock of its own and plays nothing: that is a front's part.

    Args:
        simulation: what is simulated.
        clock: seconds, never going back; `time.monotonic` else.
    """

    def __init__(
        self, simulation: Simulation, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.simulation = simulation
        self.clock = clock
        self._keys = {
            key: name
            for name, account in simulation.accounts.items()
            for key in (name, *account.keys)
        }
        self._boot = f"{time.time_ns() & 0xFFFFFFFF:08x}"
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Full buckets, no counts, no memory of earlier requests; storms start anew."""
        self._began_s = self.clock()
        self._gates: dict[tuple[str, str], Gate] = {}
        self._counts: dict[tuple[str, str], Counts] = {}
        self._load: Counter[str] = Counter()
        self._tries: dict[bytes, int] = {}
        self._answers: dict[bytes, int] = {}

    def warm(self) -> None:
        """Load what a first answer needs, so that no client waits for it."""
        for name, model in self.simulation.models.items():
            asked = Asked("chat", "", name, (Message("user", "warm"),), max_output_tokens=8)
            scripted(asked, model, seed=self.simulation.seed)

    def reply(self, method: str, target: str, given: Mapping[str, str], body: bytes) -> Reply:
        """The reply to one request; what is wrong with it becomes a reply too.

        Args:
            target: path and query.
            given: headers, their names in lower case.
        """
        path = target.partition("?")[0]
        wire = WIRES.get(path) or ("messages" if "anthropic-version" in given else "chat")
        self._number += 1
        request_id = f"req_{self._boot}{self._number:08x}"
        try:
            made = self._routed(method, path, wire, given, body)
        except Refused as refused:
            status, told = errors.body(refused, wire, request_id)
            found = {"content-type": "application/json", **refused.headers}
            made = Reply(status, found, (Piece(0.0, told),), request_id)
        made.request_id = request_id
        made.wire = wire
        made.headers[SIMULATED] = "1"
        made.headers[REQUEST_ID.get(wire, "x-request-id")] = request_id
        return made

    def _routed(
        self, method: str, path: str, wire: Wire, given: Mapping[str, str], body: bytes
    ) -> Reply:
        account = self._account(given)
        if path not in WIRES:
            raise Refused("not_found", f"Unknown request URL: {method} {path}.")
        if method != "POST":
            raise Refused("bad_request", f"{path} is asked by POST, not {method}.")
        told = _parsed(body)
        call = _READ[wire](told, account=account)
        return self._answered(call, _fault_asked(given))

    def _account(self, given: Mapping[str, str]) -> str:
        """By name: a key that isn't one of ours may be a real one, and is never repeated."""
        scheme, _, bearer = given.get("authorization", "").partition(" ")
        key = given.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        if not key:
            raise Refused("auth", "You didn't provide an API key: use a Bearer token or x-api-key.")
        if not self.simulation.accounts:
            return f"key-{blake2b(key.encode(), digest_size=4).hexdigest()}"
        if key not in self._keys:
            raise Refused("auth", "Incorrect API key provided: no account of this simulation.")
        return self._keys[key]

    def _answered(self, call: Call, forced: Fault | None) -> Reply:
        asked = call.asked
        model = self.simulation.models.get(asked.model)
        if model is None:
            raise Refused("model_not_found", f"The model `{asked.model}` does not exist.")
        now = self.clock()
        gate, counts = self._gate(asked.account, asked.model, now)
        input_tokens = count_messages(asked.messages)
        cost = Cost(estimate(asked), input_tokens, asked.max_output_tokens)
        counts.first_s = now if counts.first_s is None else counts.first_s
        counts.last_s = now
        denied = gate.ask(cost, now) if gate else None
        if denied is not None and gate is not None:
            said = errors.limited(denied, asked.wire, model=asked.model, account=asked.account)
            said.headers = headers.standing(gate, asked.wire, datetime.now(UTC))
            said.headers |= headers.retry(denied, asked.wire)
            raise said
        fault = forced or self._drawn(asked, now)
        if fault is not None:
            counts.faults[fault.kind] += 1
        refused = fault is not None and fault.kind in faults.REFUSALS
        if gate and (not refused or gate.limits.accounting == "openai"):
            gate.charge(cost, now)
        standing = headers.standing(gate, asked.wire, datetime.now(UTC)) if gate else {}
        if fault is not None and refused:
            return _failure(fault, asked.wire, standing)
        counts.answered += 1
        asked = replace(asked, attempt=_count(self._answers, _digest(asked)))
        script = scripted(
            asked, model, seed=self.simulation.seed, load=self._load[asked.model], cached_tokens=0
        )
        reply = self._played(replace(call, asked=asked), script, fault)
        reply.headers |= standing
        reply.ended = self._running(asked, script, gate, now)
        return reply

    def _running(
        self, asked: Asked, script: Script, gate: Gate | None, now: float
    ) -> Callable[[], None]:
        """Count an answer as running; what ends it."""
        scale = self.simulation.time_scale
        production = Production(
            [now + token.due_s * scale for token in script.tokens],
            [token.tokens for token in script.tokens],
        )
        if gate is not None:
            gate.produce(production)
        load = self._load
        load[asked.model] += 1
        over = False

        def ended() -> None:
            nonlocal over
            if not over:
                over = True
                load[asked.model] -= 1
                if gate is not None:
                    gate.stop(production, self.clock())

        return ended

    def _gate(self, account: str, model: str, now: float) -> tuple[Gate | None, Counts]:
        key = (account, self.simulation.class_of(model))
        limits = self.simulation.limits(account, model)
        if limits is not None and key not in self._gates:
            self._gates[key] = Gate(limits, now)
        return self._gates.get(key), self._counts.setdefault(key, Counts())

    def _drawn(self, asked: Asked, now: float) -> Fault | None:
        if not self.simulation.faults:
            return None
        digest = _digest(asked)
        who = Who(asked.account, asked.model, digest, _count(self._tries, digest))
        return faults.drawn(
            self.simulation.faults, who, seed=self.simulation.seed, at_s=now - self._began_s
        )

    def _played(self, call: Call, script: Script, fault: Fault | None) -> Reply:
        asked = call.asked
        answer = Answered(
            script, asked.model, _digest(asked, asked.attempt).hex(), int(time.time()),
            self.simulation.time_scale,
        )  # fmt: skip
        with_usage = fault is None or fault.kind != "no_usage"
        wire = _WIRE[asked.wire]
        if call.streamed:
            if asked.wire == "chat":
                pieces = chat.pieces(answer, include_usage=call.include_usage and with_usage)
            else:
                pieces = messages.pieces(answer, with_usage=with_usage)
        else:
            pieces = wire.whole(answer, with_usage=with_usage)
        kind = "text/event-stream; charset=utf-8" if call.streamed else "application/json"
        reply = Reply(
            200, {"content-type": kind}, pieces, "", streamed=call.streamed,
            account=asked.account, model=asked.model,
        )  # fmt: skip
        if fault is not None:
            reply.pieces, reply.ending = faults.struck(
                pieces, fault, name=wire.DELTA, error_event=wire.error_event()
            )
        return reply

    def stats(self) -> dict[str, Any]:
        """What each account did, by class of models."""
        now = self.clock()
        rows = []
        for (account, name), counts in self._counts.items():
            gate = self._gates.get((account, name))
            if gate is not None:
                gate.bring_to(now)
            first = now if counts.first_s is None else counts.first_s
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
                    "seconds": counts.last_s - first,
                }
            )
        return {"schema": 1, "simulated": True, "running": self._load.total(), "accounts": rows}


_WIRE = {"chat": chat, "messages": messages}
_READ: dict[str, Callable[..., Call]] = {"chat": chat.read, "messages": messages.read}


def _failure(fault: Fault, wire: Wire, standing: dict[str, str]) -> Reply:
    """What stands in an answer's place: a page where a gateway fails, else an error."""
    if fault.kind == "html":
        return Reply(502, {"content-type": "text/html"}, (Piece(0.0, errors.HTML),), "")
    if fault.kind == "spend_cap":
        refused = errors.capped(wire)
    elif fault.kind == "overloaded":
        refused = Refused("overloaded", "Overloaded (simulated)")
    else:
        refused = Refused("server", "Internal server error (simulated)")
    refused.headers = standing
    raise refused


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        raise Refused("bad_request", "We could not parse the JSON body of your request.") from None
    if not isinstance(told, dict):
        raise Refused("bad_request", "The body of a request is one JSON object.")
    return told


def _fault_asked(given: Mapping[str, str]) -> Fault | None:
    if FAULT not in given:
        return None
    try:
        return faults.asked(given[FAULT])
    except ValueError as error:
        raise Refused("bad_request", f"{FAULT}: {error}", param=FAULT) from None


def estimate(asked: Asked) -> int:
    """Input tokens as OpenAI's limiter guesses them: a quarter of the characters."""
    return max(1, sum(len(message.text) for message in asked.messages) // 4)


def _digest(asked: Asked, attempt: int = 0) -> bytes:
    told = repr(replace(asked, attempt=attempt)).encode()
    return blake2b(told, digest_size=12).digest()


def _count(seen: dict[bytes, int], digest: bytes) -> int:
    """How often it was counted before."""
    before = seen.pop(digest, 0)
    seen[digest] = before + 1
    if len(seen) > REMEMBERED:
        del seen[next(iter(seen))]
    return before
