"""Answers that were paid once: the same request is answered from what is remembered, for nothing.

What is asked is told by the whole request, the kind of provider, its URL and what else its answers
follow from; not by the account that pays. A request that is meant to be asked anew (a second
sample at a temperature, say) has to differ: by a `seed` in `extra`, for example.

An answer lies in the state folder, and with MOX_REDIS_URL or `mox up redis` also where others
find it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mox.errors import ProviderError, SpecError
from mox.locks import Locks
from mox.providers.answers import LocalAnswers, read_row, row_of
from mox.providers.shared import SharedAnswers
from mox.providers.spec import ProviderSpec
from mox.services import valkey
from mox.settings import DISTRIBUTION, settings
from mox.spec import canonical
from mox.types.providers import Answer, Delta, Event, Provider, Request, Timings

POLL_S = 0.02
"""How often to look whether another process has its answer: the kernel tells nobody."""
ACCOUNT = ("key_env", "key_file", "account", "organisation", "project")
"""Fields of Specs that say who pays."""
ADDRESS = ("base_url", "url")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose answers they are, beyond the request."""

    kind: str
    """The kind of the provider's Spec."""
    base_url: str | None = None
    """Where it was asked; None for the provider's own."""
    simulated: bool = False
    """A simulated answer is never given for a real one, nor the other way round."""
    depends: Mapping[str, str] = field(default_factory=dict)
    """What else its answers follow from: a simulator's version and seed, an interface."""

    @classmethod
    def of(cls, spec: ProviderSpec) -> Origin:
        """The origin of a Spec's answers: all of it but whose account it is."""
        from importlib.metadata import version

        fields = spec.model_dump(mode="json", exclude={"kind", "model", *ACCOUNT, *ADDRESS})
        simulated = spec.kind == "simulated"
        depends = {"settings": canonical(fields)}
        if simulated:
            depends["mox"] = version(DISTRIBUTION)
        url = next((one for name in ADDRESS if (one := getattr(spec, name, None))), None)
        return cls(spec.kind, url, simulated, depends)


def digest_of(request: Request, origin: Origin) -> str:
    """SHA-256 in hexadecimal of all that an answer depends on.

    Raises:
        SpecError: `extra` or the schema is no JSON.
    """
    asked = {
        "origin": {**asdict(origin), "base_url": (origin.base_url or "").rstrip("/")},
        "request": {
            "model": request.model,
            "messages": [[message.role, message.text] for message in request.messages],
            "max_output_tokens": request.max_output_tokens,
            "temperature": None if request.temperature is None else float(request.temperature),
            "json_schema": request.json_schema,
            "cached_messages": request.cached_messages,
            "extra": request.extra,
        },
    }
    try:
        text = json.dumps(
            asked, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
        )
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"a request of {request.model} is no JSON: {error}.",
            mend="give `extra` and `json_schema` only what JSON has, with text as keys.",
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class Remembered:
    """A Provider that asks each request once.

    Two tasks, or two processes on one machine, that ask the same at once make one call: the later
    one waits for the earlier one's answer, and asks itself where that fails. Only whole answers
    are kept; errors never are. `usage` of a remembered answer is what it once took, its `timings`
    are the moment at which it was remembered.

    Args:
        provider: who is asked; with pool and ledger, so that a remembered answer costs nothing.
        origin: whose answers they are.
        root: the state folder; that of the settings where None.
        shared: what others share; that of MOX_REDIS_URL or `mox up redis` where None, if there is
            one, with the bounds of MOX_ANSWERS_DAYS and MOX_ANSWERS_MB.
    """

    def __init__(
        self,
        provider: Provider,
        origin: Origin,
        *,
        root: Path | None = None,
        shared: SharedAnswers | None = None,
    ) -> None:
        now = settings()
        self.hits = 0
        """Answers that were not asked for: remembered ones, and those that another task got."""
        self.misses = 0
        self._provider = provider
        self._origin = origin
        root = root or now.root
        self._local = LocalAnswers(root / "memo" / "answers")
        self._locks = Locks(root / "locks" / "answers")
        if shared is None and (redis := valkey.url(now)):
            shared = SharedAnswers(
                redis,
                ttl_s=now.answers_days * 24 * 3600,
                total_bytes=int(now.answers_mb * 1e6),
            )
        self._shared = shared
        self._flights: dict[str, asyncio.Future[Answer | None]] = {}

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        """The whole answer, remembered or asked for.

        Raises:
            ProviderError: as the provider has it; `timeout_total` too where another's answer was
                waited for.
            SpecError: the request is no JSON.
        """
        until = time.monotonic() + timeout_s
        async with self._turn(digest_of(request, self._origin), until) as turn:
            if turn.answer is None:
                answer = await self._provider.complete(request, timeout_s=_left(until))
                await self._keep(turn, answer)
                return answer
        return _again(turn.answer)

    async def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        """As `complete`; a remembered answer comes in one piece.

        Raises:
            ProviderError, SpecError: as in `complete`.
        """
        until = time.monotonic() + timeout_s
        async with self._turn(digest_of(request, self._origin), until) as turn:
            if turn.answer is None:
                events = self._provider.stream(request, timeout_s=_left(until))
                try:
                    async for event in events:
                        if isinstance(event, Answer):
                            await self._keep(turn, event)
                        yield event
                finally:
                    if isinstance(events, AsyncGenerator):  # who stops early must close it
                        await events.aclose()
                return
        answer = _again(turn.answer)
        if answer.reasoning:
            yield Delta(answer.reasoning, "reasoning", answer.timings.sent)
        if answer.text:
            yield Delta(answer.text, "text", answer.timings.sent)
        yield answer

    async def aclose(self) -> None:
        """Close the provider, and the way to what is shared."""
        await self._provider.aclose()
        if self._shared is not None:
            await asyncio.to_thread(self._shared.close)

    @asynccontextmanager
    async def _turn(self, key: str, until: float) -> AsyncIterator[_Turn]:
        """A request's turn: with its answer where there is one, else to ask for it."""
        while (flight := self._flight(key)) is not None:
            answer = await _waited(flight, until)
            if answer is not None:
                self.hits += 1
                yield _Turn(key, answer)
                return
        turn = _Turn(key)
        flight = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            async with self._alone(key, until):
                turn.answer = await self._known(key)
                if turn.answer is None:
                    self.misses += 1
                else:
                    self.hits += 1
                yield turn
        finally:
            del self._flights[key]
            flight.set_result(turn.answer)

    def _flight(self, key: str) -> asyncio.Future[Answer | None] | None:
        """Who asks for it now, in this loop."""
        flight = self._flights.get(key)
        here = flight is not None and flight.get_loop() is asyncio.get_running_loop()
        return flight if here else None

    @asynccontextmanager
    async def _alone(self, key: str, until: float) -> AsyncIterator[None]:
        """Wait until no other process of this machine asks; the kernel frees what the dead held."""
        while True:
            with self._locks.claim([key]) as mine:
                if mine:
                    yield
                    return
            if time.monotonic() > until:
                raise _late()
            await asyncio.sleep(POLL_S)

    async def _known(self, key: str) -> Answer | None:
        """What is remembered here or by all; what is unreadable counts for nothing."""
        raw = self._local.get(key)
        found = None if raw is None else read_row(raw)
        if found is None and self._shared is not None:
            raw = await asyncio.to_thread(self._shared.get, key)
            found = None if raw is None else read_row(raw)
            if found is not None and raw is not None:
                self._local.put(key, raw)
        return found if found is not None and found.simulated == self._origin.simulated else None

    async def _keep(self, turn: _Turn, answer: Answer) -> None:
        turn.answer = answer
        if answer.simulated == self._origin.simulated:
            raw = row_of(answer)
            self._local.put(turn.key, raw)
            if self._shared is not None:
                await asyncio.to_thread(self._shared.put, turn.key, raw)


@dataclass(slots=True)
class _Turn:
    key: str
    answer: Answer | None = None
    """What was found, or what has come since."""


async def _waited(flight: asyncio.Future[Answer | None], until: float) -> Answer | None:
    """Another task's answer; None where it got none."""
    try:
        async with asyncio.timeout(_left(until)):
            return await asyncio.shield(flight)
    except TimeoutError:
        raise _late() from None


def _late() -> ProviderError:
    return ProviderError(
        "the same request is being asked already, and its answer did not come in time.",
        mend="give it more time, or find out why the provider is slow.",
        kind="timeout_total",
    )


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _again(answer: Answer) -> Answer:
    """An answer as it is remembered now: nothing was sent, and no account's standing is known."""
    now = time.perf_counter_ns()
    return replace(answer, timings=Timings(sent=now, done=now), standing=None)
