"""One door to a model: its accounts paced, its price kept, what it said remembered.

    model = mox.model("simulated/sim-swift")
    model.ask("Why is the sky blue?")
    model.ask_many(questions)

Asynchronously it is a `mox.types.providers.Provider`:

    async with mox.model("openai/gpt-5.4-mini", limits={"requests_per_min": 500,
                         "tokens_per_min": 200_000}, budget_usd=1) as model:
        answer = await model.complete(request)
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mox.errors import MoxError, SpecError
from mox.providers.counting import Counting
from mox.providers.questions import Question, request_of, text_of
from mox.providers.reply import Replies, Reply
from mox.types.providers import Answer, Event, Request

if TYPE_CHECKING:
    from mox.providers.loop import OwnLoop
    from mox.providers.opened import Opened
    from mox.providers.spec import ProviderSpec

T = TypeVar("T")
TIMEOUT_S = 120.0
AT_ONCE = 16
"""Questions under way: what limits allow is the pool's matter, this is the machine's."""


class Model:
    """One model, asked through all of its accounts. A Provider; and `ask` for who isn't
    asynchronous. It belongs to whoever uses it first: to a running loop, or to `ask`.

    In one process, open a model once: two that are open count their own calls only, unless they
    are `shared` or MOX_REDIS_URL is set.
    """

    def __init__(self, name: str, opened: Opened) -> None:
        self.name = name
        self._opened = opened
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: OwnLoop | None = None
        self._closed = False

    @property
    def spec(self) -> ProviderSpec:
        """Who is asked; of several accounts the first one's."""
        return self._opened.spec

    async def complete(self, request: Request, *, timeout_s: float = TIMEOUT_S) -> Answer:
        """The whole answer: remembered, or of the account that is free first.

        Args:
            timeout_s: of the whole, waiting for a turn and further attempts included.

        Raises:
            ProviderError: of the last attempt.
            PoolError: no account is free in time.
            BudgetError: it would cost more than is left.
        """
        self._here()
        asked = request_of(request, model=self.spec.model)
        return await self._opened.provider.complete(asked, timeout_s=timeout_s)

    async def stream(
        self, request: Request, *, timeout_s: float = TIMEOUT_S
    ) -> AsyncIterator[Event]:
        """Deltas as they arrive, and the Answer last; otherwise as `complete`."""
        self._here()
        asked = request_of(request, model=self.spec.model)
        events = self._opened.provider.stream(asked, timeout_s=timeout_s)
        assert isinstance(events, AsyncGenerator)  # noqa: S101  who stops early must close it
        async with aclosing(events):
            async for event in events:
                yield event

    async def reply(
        self,
        question: Question,
        *,
        system: str | None = None,
        max_output_tokens: int = 1024,
        temperature: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """As `ask`, for who is asynchronous."""
        from mox.providers.opened import TRIP
        from mox.providers.pooled import Trip

        self._here()
        request = request_of(
            question, model=self.spec.model, system=system,
            max_output_tokens=max_output_tokens, temperature=temperature,
        )  # fmt: skip
        trip, began, now = Trip(), time.perf_counter(), dt.datetime.now(dt.UTC)
        token = TRIP.set(trip)
        try:
            answer = await self._opened.provider.complete(request, timeout_s=timeout_s)
        finally:
            TRIP.reset(token)
        took = time.perf_counter() - began
        usd = self._opened.cost(request, answer, now, asked=trip.attempts > 0)
        return Reply(
            text_of(request), answer, usd, took, trip.waited_s, trip.attempts, trip.account
        )

    def ask(
        self,
        question: Question,
        *,
        system: str | None = None,
        max_output_tokens: int = 1024,
        temperature: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """Ask one question, and wait for its answer: from a script, and from a notebook's cell.

        Args:
            question: a text, messages (`[{"role": "user", "text": "…"}]`), or a whole Request,
                which further arguments don't change.
            system: said before it.
            max_output_tokens: reasoning included.
            timeout_s: see `complete`.

        Raises:
            MoxError: as `complete`; it is no question.
        """
        return self._run(
            lambda: self.reply(
                question, system=system, max_output_tokens=max_output_tokens,
                temperature=temperature, timeout_s=timeout_s,
            )
        )  # fmt: skip

    def ask_many(
        self,
        questions: Sequence[Question],
        *,
        system: str | None = None,
        max_output_tokens: int = 1024,
        at_once: int = AT_ONCE,
        timeout_s: float = TIMEOUT_S,
        quiet: bool = False,
    ) -> Replies:
        """Ask several questions at once; what fails is kept in its place, and stops no other one.

        Interrupted, it keeps what was remembered: the same call goes on from there.

        Args:
            questions: each as in `ask`.
            at_once: how many are under way, at most.
            timeout_s: of each, from when it is under way.
            quiet: show no progress.
        """
        if isinstance(questions, str):
            raise SpecError("one text is one question.", mend="use `ask`, or give a list.")
        counting = Counting(len(questions), quiet=quiet)

        async def one(question: Question, gate: asyncio.Semaphore) -> Reply | MoxError:
            async with gate:
                try:
                    return await self.reply(
                        question, system=system, max_output_tokens=max_output_tokens,
                        timeout_s=timeout_s,
                    )  # fmt: skip
                except MoxError as error:
                    counting.failed += 1
                    return error
                finally:
                    counting.done += 1

        async def every() -> list[Reply | MoxError]:
            gate = asyncio.Semaphore(max(1, at_once))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(question, gate)) for question in questions]
            return [task.result() for task in tasks]

        try:
            found = self._run(every, tick=counting.show)
        finally:
            counting.end()
        return Replies([text_of(question) for question in questions], found)

    def take_back(self) -> None:
        """Use its accounts again, all of them: what had put one aside is mended (a quota raised, a
        bill paid), or it can't be meant that its provider asked to wait for so long. Where they
        are shared, for all who share them."""
        self._run(self._opened.take_back)

    async def atake_back(self) -> None:
        """As `take_back`, for who is asynchronous."""
        self._here()
        await self._opened.take_back()

    async def aclose(self) -> None:
        """Close all that it holds open."""
        if self._own is not None:
            await asyncio.to_thread(self.close)
        elif not self._closed:
            self._closed = True
            await self._opened.aclose()

    def close(self) -> None:
        """As `aclose`, for who isn't asynchronous."""
        if self._closed:
            return
        if self._own is None and self._loop is not None:
            raise self._elsewhere("`await model.aclose()`")
        self._closed = True
        self._in_own()
        self._end()

    async def __aenter__(self) -> Self:
        self._here()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self._opened.ways)
        return f"<mox.model {self.name}: {names}>"

    def _here(self) -> None:
        """Take this loop for its own, or refuse another one."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise self._shut()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise self._elsewhere("`model.ask`" if self._own else "`await model.reply(…)` there")

    def _run(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, tick: Callable[[], None] | None = None
    ) -> T:
        if self._closed:
            raise self._shut()
        return self._in_own().run(work(), tick=tick)

    def _in_own(self) -> OwnLoop:
        """The loop of a thread of its own, for who isn't asynchronous."""
        from mox.providers.loop import OwnLoop

        if self._own is None:
            if self._loop is not None:
                raise self._elsewhere("`await model.reply(…)`")
            self._own = OwnLoop()
            # Who forgets to close it leaves no connection behind.
            self._end = weakref.finalize(self, _close, self._own, self._opened)
        return self._own

    def _shut(self) -> SpecError:
        return SpecError(f"{self.name} is closed.", mend="open it again: `mox.model(…)`.")

    def _elsewhere(self, instead: str) -> SpecError:
        return SpecError(
            f"{self.name} was opened in another event loop.",
            mend=f"use {instead}, or open another one with `mox.model(…)`.",
        )


def _close(own: OwnLoop, opened: Opened) -> None:
    own.close(opened.aclose())
