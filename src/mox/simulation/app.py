"""The simulator behind both fronts: a request's bytes in, a reply with its times out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mox.errors import SpecError
from mox.simulation import faults, playing, vectors
from mox.simulation.accounts import Accounts, Attempts
from mox.simulation.caching import Found, PromptCache
from mox.simulation.config import Accounting, Simulation
from mox.simulation.core import script as scripted
from mox.simulation.core import warm as warm_evidence
from mox.simulation.draws import identity
from mox.simulation.faults import Fault, Who
from mox.simulation.limits import Cost, Gate, Production
from mox.simulation.reply import Piece, Reply
from mox.simulation.script import Asked, Wire
from mox.simulation.tokens import count_messages
from mox.simulation.wire import embeddings, errors, headers, listing, messages
from mox.simulation.wire.common import Call, Refused
from mox.types.providers import Message

SIMULATED = "x-mox-simulated"
FAULT = "x-mox-fault"
"""A test's request for a fault: `cut@3`."""
WIRES: dict[str, Wire] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
EMBEDDINGS = "/v1/embeddings"
COUNT = "/v1/messages/count_tokens"
MODELS = "/v1/models"


class LetIn(NamedTuple):
    """A request that no limit refused."""

    at_s: float
    gate: Gate | None
    fault: Fault | None
    standing: dict[str, str]
    """What its headers say of the limits."""


class Simulator:
    """Answers requests. It plays nothing: that is a front's part.

    Args:
        simulation: what is simulated.
        clock: seconds, never going back. Limits are reckoned by it.
    """

    def __init__(
        self, simulation: Simulation, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.simulation = simulation
        self.clock = clock
        # Ids of requests are never the same twice, not even after a restart.
        self._boot = f"{time.time_ns() & 0xFFFFFFFF:08x}"
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Full buckets, no counts, no memory of earlier requests; storms start anew."""
        self._began_s = self.clock()
        self._accounts = Accounts(self.simulation, self.clock)
        self._tries, self._attempts = Attempts(), Attempts()
        scale = self.simulation.time_scale
        accountings: tuple[Accounting, ...] = ("openai", "anthropic")
        self._caches = {
            # How long a prompt is kept is a time of the provider's own, and runs with its others.
            accounting: PromptCache(accounting, clock=lambda: self.clock() / scale)
            for accounting in accountings
        }

    def warm(self, *, vectors: bool = True) -> None:
        """Load what a first answer needs, so that no client waits for it.

        Args:
            vectors: what embeddings and answers from a context need, too; some 0.5 s of CPU.
        """
        if vectors:
            warm_evidence()
        for name, model in self.simulation.models.items():
            asked = Asked("chat", "", name, (Message("user", "warm"),), max_output_tokens=8)
            scripted(asked, model, seed=self.simulation.seed)
        for embedding in self.simulation.embedding_models.values() if vectors else ():
            embeddings.warm(embedding)

    @property
    def busy(self) -> bool:
        """Whether any answer runs."""
        return self._accounts.busy

    def stats(self) -> dict[str, Any]:
        """The time scale, and what each account did, by class of models."""
        return self._accounts.stats()

    def reply(self, method: str, target: str, given: Mapping[str, str], body: bytes) -> Reply:
        """The reply to one request; what is wrong with it becomes a reply too.

        Args:
            target: path and query.
            given: headers, their names in lower case.
        """
        path = target.partition("?")[0]
        wire = _wire(path, given)
        self._number += 1
        request_id = f"req_{self._boot}{self._number:08x}"
        try:
            made = self._routed(method, path, given, body)
        except Refused as refused:
            status, told = errors.body(refused, wire, request_id)
            kind = "text/html" if refused.kind == "html" else "application/json"
            found = {"content-type": kind, **refused.headers}
            made = Reply(status, found, (Piece(0.0, told),))
            made.account, made.model, made.fault = refused.account, refused.model, refused.fault
        made.request_id = request_id
        made.wire = "embeddings" if path == EMBEDDINGS else wire
        made.headers[SIMULATED] = "1"
        made.headers["request-id" if wire == "messages" else "x-request-id"] = request_id
        return made

    def _routed(self, method: str, path: str, given: Mapping[str, str], body: bytes) -> Reply:
        account = self._accounts.named(given)
        if path == MODELS or path.startswith(MODELS + "/"):
            asked_for = path.removeprefix(MODELS).lstrip("/") or None
            return listing.reply(self.simulation, _wire(path, given), asked_for)
        if path not in (*WIRES, EMBEDDINGS, COUNT):
            raise Refused("not_found", f"Unknown request URL: {method} {path}.")
        if method != "POST":
            raise Refused("bad_request", f"{path} is asked by POST, not {method}.")
        told = _parsed(body)
        if path == COUNT:
            asked = messages.read(told, account=account, counts=True).asked
            self._known(asked.model)
            return listing.counted(count_messages(asked.messages))
        forced = _fault_asked(given)
        if path == EMBEDDINGS:
            return self._embedded(embeddings.read(told, account=account), forced)
        if WIRES[path] == "messages" and "anthropic-version" not in given:
            raise Refused("bad_request", "anthropic-version: header is required")
        return self._answered(playing.WIRES[WIRES[path]].read(told, account=account), forced)

    def _known(self, model: str) -> None:
        if model not in self.simulation.models:
            raise Refused("model_not_found", f"The model `{model}` does not exist.", param="model")

    def _answered(self, call: Call, forced: Fault | None) -> Reply:
        asked = call.asked
        self._known(asked.model)
        tokens = count_messages(asked.messages)
        if tokens + asked.max_output_tokens > self.simulation.context_tokens:
            raise errors.too_long(asked, tokens, self.simulation.context_tokens)
        cache = self._caches["anthropic" if asked.wire == "messages" else "openai"]
        limits = self.simulation.limits(asked.account, asked.model)
        by_fresh = limits is not None and limits.accounting == "anthropic"
        # What a cache has is no input there: it has to be known before the request is let in.
        fresh = tokens - (cache.look(asked, keep=False).read_tokens if by_fresh else 0)
        characters = sum(len(message.text) for message in asked.messages)
        cost = Cost(max(1, characters // 4), fresh, asked.max_output_tokens)
        let_in = self._admitted(asked, cost, forced, streamed=call.streamed)
        attempt = self._attempts.before(identity(self.simulation.seed, asked))
        asked = replace(asked, attempt=attempt)
        found: Found = cache.look(asked)
        try:
            script = scripted(
                asked,
                self.simulation.models[asked.model],
                seed=self.simulation.seed,
                load=self._accounts.running(asked.model),
                cached_tokens=found.read_tokens,
            )
        except SpecError as error:  # of a JSON schema that nothing can be made of
            raise Refused("bad_request", error.message, param="response_format") from None
        script = found.on(script)
        scale = self.simulation.time_scale
        reply = playing.made(
            replace(call, asked=asked), script, let_in.fault,
            name=identity(self.simulation.seed, asked)[:12].hex(), time_scale=scale,
        )  # fmt: skip
        reply.headers |= let_in.standing
        # What a fault keeps from being sent is not produced either.
        until_s = reply.pieces[-1].due_s if reply.pieces else 0.0
        produced = [token for token in script.tokens if token.due_s * scale <= until_s]
        production = Production(
            [let_in.at_s + token.due_s * scale for token in produced],
            [token.tokens for token in produced],
        )
        reply.ended = self._accounts.run(asked.model, let_in.gate, production)
        return reply

    def _embedded(self, wanted: embeddings.Wanted, forced: Fault | None) -> Reply:
        model = self.simulation.embedding_models.get(wanted.asked.model)
        if model is None:
            said = f"The model `{wanted.asked.model}` does not exist."
            raise Refused("model_not_found", said, param="model")
        made = embeddings.answered(wanted, model)  # refuses what it can't do before it is charged
        characters = sum(map(len, wanted.texts))
        cost = Cost(max(1, characters // 4), made.usage.input_tokens, 0)
        let_in = self._admitted(wanted.asked, cost, forced, streamed=False)
        told = embeddings.told(wanted, made, with_usage=playing.says_usage(let_in.fault))
        due_s = vectors.latency_s(model, made.usage) * self.simulation.time_scale
        reply = playing.whole(wanted.asked, Piece(due_s, told, "text"), let_in.fault)
        reply.headers |= let_in.standing
        return reply

    def _admitted(self, asked: Asked, cost: Cost, forced: Fault | None, *, streamed: bool) -> LetIn:
        """Charge a request, and draw what goes wrong with it.

        Raises:
            Refused: by a limit, or by a fault that takes an answer's place.
        """
        now_s = self.clock()
        gate, counts = self._accounts.gate(asked.account, asked.model, now_s)
        counts.seen(now_s)
        denied = gate.ask(cost, now_s) if gate else None
        if denied is not None and gate is not None:
            refused = errors.limited(denied, asked)
            refused.headers = headers.standing(gate, asked.wire, datetime.now(UTC))
            refused.headers |= headers.retry(denied, asked.wire)
            raise refused
        fault = forced or self._drawn(asked, now_s)
        takes_the_place = fault is not None and faults.refuses(fault, streamed=streamed)
        # OpenAI counts what failed; at Anthropic's a failure of the provider's costs nothing.
        if gate is not None and not (takes_the_place and gate.limits.accounting == "anthropic"):
            gate.charge(cost, now_s)
        standing = headers.standing(gate, asked.wire, datetime.now(UTC)) if gate else {}
        if fault is not None:
            counts.faults[fault.kind] += 1
        if fault is not None and takes_the_place:
            refused = errors.failed(fault.kind, asked)
            refused.headers |= standing
            raise refused
        counts.answered += 1
        return LetIn(now_s, gate, fault, standing)

    def _drawn(self, asked: Asked, now_s: float) -> Fault | None:
        if not self.simulation.faults:
            return None
        seed = self.simulation.seed
        who = identity(seed, asked)
        return faults.drawn(
            self.simulation.faults,
            Who(asked.account, asked.model, who, self._tries.before(who)),
            at_s=now_s - self._began_s,
        )


def _wire(path: str, given: Mapping[str, str]) -> Wire:
    """In whose shape a path is answered."""
    if path in WIRES:
        return WIRES[path]
    if path == EMBEDDINGS:  # OpenAI's alone
        return "chat"
    return "messages" if path == COUNT or "anthropic-version" in given else "chat"


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
        if b"\\u" in body:  # half of a pair is no text, and only an escape can write it
            json.dumps(told, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
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
