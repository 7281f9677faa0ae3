"""One attempt through an SDK: sent once, timed where the bytes pass, whole or an error by name.

Imported only by what opens an SDK's client: it needs httpx2.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx2

from mox.errors import ProviderError
from mox.providers.classify import Place, Said, broken, failed, refused, reported, said_in
from mox.providers.stamping import Patience, Stamps, noting
from mox.providers.standing import standing
from mox.providers.wire import End, Plain, Whole, Wire
from mox.types.providers import Answer, Delta, Event, Request, Timings

SIMULATED = "x-mox-simulated"
"""The header by which Mox' simulator says that it is one."""
_SHAPE = (ValueError, TypeError, AttributeError, LookupError)
"""How an SDK, or who reads its objects, fails at an answer of another shape."""
UNSENT = (
    httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError,
)  # fmt: skip
"""How the transport fails where there never was a connection, or nothing that could be sent."""
_ANSWERS = ("choices", "output", "content")
"""What an answer at once has, by wire."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account's way to a model, through an SDK's client. A `mox.types.providers.Provider`."""

    name: str
    """For messages: the kind of its Spec, and where it is not the provider's own, the URL."""
    sdk: ModuleType
    """`openai` or `anthropic`: both name their exceptions alike."""
    client: Any
    wire: Wire
    patience: Patience
    simulated: bool = False

    async def stream(
        self, request: Request, *, timeout_s: float = 120.0
    ) -> AsyncGenerator[Event, None]:
        """As `Provider.stream`. Who stops before the end closes it (`contextlib.aclosing`)."""
        stamps = Stamps(self.patience)
        deadline = asyncio.get_running_loop().time() + timeout_s
        flow = self._events(request, stamps)
        try:
            while True:
                event, error = await self._step(anext(flow, None), request, stamps, deadline)
                if error is not None:
                    raise error
                if event is None:
                    return
                yield event
        finally:
            await flow.aclose()

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        """As `Provider.complete`, unstreamed: its text is all there when its last byte is."""
        stamps = Stamps(self.patience)
        deadline = asyncio.get_running_loop().time() + timeout_s
        answer, error = await self._step(self._whole(request, stamps), request, stamps, deadline)
        if error is not None:
            raise error
        assert isinstance(answer, Answer)  # noqa: S101
        return answer

    async def aclose(self) -> None:
        """Close its connections."""
        await self.client.close()

    async def _step(
        self, waited: Any, request: Request, stamps: Stamps, deadline: float
    ) -> tuple[Event | None, ProviderError | None]:
        """What comes next, or what went wrong.

        An error is returned, and raised by the caller outside of any `except`: so it carries no
        SDK's exception behind it, whose request holds the key in a header.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await waited, None
        except ProviderError as error:
            return None, error
        except (TimeoutError, httpx2.HTTPError, self.sdk.APIError) as error:
            return None, self._told(error, self._place(request, stamps), stamps)
        except _SHAPE as error:
            place = self._place(request, stamps)
            if isinstance(error, UnicodeEncodeError):
                return None, failed("bad_request", place, f"no Unicode: {error.reason}")
            if stamps.status is None:
                raise  # nothing was answered: no answer is to blame
            return None, self._told(error, place, stamps)

    async def _events(self, request: Request, stamps: Stamps) -> AsyncGenerator[Event, None]:
        events = await self._create(request, stamps, stream=True)
        text: list[str] = []
        thoughts: list[str] = []
        first: dict[str, int] = {}
        last_text: int | None = None
        end: End | None = None
        try:
            async for part in self.wire.parts(events):
                if isinstance(part, Said):
                    raise broken(self._place(request, stamps), part)
                if isinstance(part, End):
                    end = part
                elif part.text:
                    at = stamps.last or time.perf_counter_ns()
                    first.setdefault(part.kind, at)
                    (text if part.kind == "text" else thoughts).append(part.text)
                    if part.kind == "text":
                        last_text = at
                    yield Delta(part.text, part.kind, at)
        finally:
            await events.close()
        timings = Timings(
            sent=stamps.sent or 0, headers=stamps.headers, first_reasoning=first.get("reasoning"),
            first_text=first.get("text"), last_text=last_text, done=stamps.last,
        )  # fmt: skip
        yield self._answer(request, stamps, end, ("".join(text), "".join(thoughts), timings))

    async def _whole(self, request: Request, stamps: Stamps) -> Answer:
        answer = await self._create(request, stamps, stream=False)
        place = self._place(request, stamps)
        if isinstance(answer, str):
            raise failed("malformed", place, f"no JSON but {_kind_of(stamps)}")
        whole = self.wire.whole(answer)
        if isinstance(whole, Said):
            raise reported(place, whole)
        done = stamps.last
        timings = Timings(
            sent=stamps.sent or 0, headers=stamps.headers,
            first_reasoning=done if whole.reasoning else None,
            first_text=done if whole.text else None,
            last_text=done if whole.text else None, done=done,
        )  # fmt: skip
        return self._answer(request, stamps, whole.end, (whole.text, whole.reasoning, timings))

    async def _create(self, request: Request, stamps: Stamps, *, stream: bool) -> Any:
        body = self.wire.body(request, stream)
        with noting(stamps):
            raw = await self.wire.create(**body, stream=stream)
            if stream and _kind_of(stamps).startswith(("text/html", "application/json")):
                raise await self._no_stream(raw.http_response, request, stamps)
            parsed = raw.parse()
            # Anthropic's SDK parses asynchronously, OpenAI's doesn't.
            return await parsed if inspect.isawaitable(parsed) else parsed

    def _answer(
        self, request: Request, stamps: Stamps, end: End | None, said: tuple[str, str, Timings]
    ) -> Answer:
        """The Answer, where it is whole."""
        place = self._place(request, stamps)
        if end is None or not end.reason:
            raise failed(
                "truncated", place, "the answer ended in order, but without its last event",
                usage=end.usage if end else None,
            )  # fmt: skip
        if end.finish is None:
            # Nobody can tell whether all of it is there: it is never returned as if it were.
            raise failed(
                "unusable", place, f"the answer ended for an unknown reason, {end.reason!r}",
                usage=end.usage,
            )  # fmt: skip
        if end.usage is None:
            raise failed(
                "unusable", place, "the answer came without a count of its tokens",
                mend="let the server send usage (`stream_options.include_usage`): prices and"
                " limits go by it.",
            )  # fmt: skip
        text, reasoning, timings = said
        return Answer(
            text=text, usage=end.usage, finish=end.finish, model=end.model or request.model,
            request_id=place.request_id, timings=timings, reasoning=reasoning,
            standing=standing(stamps.said), simulated=self.simulated or SIMULATED in stamps.said,
        )  # fmt: skip

    async def _no_stream(self, response: Any, request: Request, stamps: Stamps) -> ProviderError:
        """What came where a stream of events was asked for: a gateway's error, with a status of
        200; or the answer at once, which is paid, of a server that doesn't stream."""
        kind, place = _kind_of(stamps), self._place(request, stamps)
        what = f"no stream of events but {kind}"
        try:
            raw = await response.aread() if kind.startswith("application/json") else b""
            body = json.loads(raw)
        except ValueError:
            body = None
        finally:
            await response.aclose()
        if isinstance(body, dict) and body.get("error"):
            return reported(place, said_in(body))
        if not isinstance(body, dict) or not any(map(body.get, _ANSWERS)):
            return failed("malformed", place, what)
        usage, mend = None, "take a server that streams: what it answered at once may be billed."
        with suppress(*_SHAPE):
            found = self.wire.whole(json.loads(raw, object_hook=Plain))
            usage = found.end.usage if isinstance(found, Whole) else None
        return failed("unusable", place, what, mend=mend, usage=usage)

    def _place(self, request: Request, stamps: Stamps) -> Place:
        return Place(f"{self.name} ({request.model})", stamps.status, stamps.said)

    def _told(self, error: Exception, place: Place, stamps: Stamps) -> ProviderError:
        """An SDK's exception, or what leaked through it, as ours."""
        sdk = self.sdk
        inner = error.__cause__ if isinstance(error, sdk.APIConnectionError) else error
        if isinstance(error, TimeoutError):
            came = "not a byte had come" if stamps.first is None else "it was still answering"
            return failed(
                "timeout_total", place, f"no whole answer in time; {came}",
                billable=stamps.sent is not None,
            )  # fmt: skip
        if isinstance(inner, httpx2.TransportError):
            return _lost(inner, place, stamps)
        if isinstance(error, sdk.APIConnectionError):
            return failed("connection", place, f"{type(inner or error).__name__}: {inner or error}")
        if isinstance(error, sdk.APIStatusError):
            said = said_in(error.body if error.body is not None else error.response.text)
            # An error's event of Anthropic's comes as a status error too, of status 200.
            return refused(place, said) if error.status_code >= 400 else broken(place, said)
        if isinstance(error, sdk.APIError) and not isinstance(
            error, sdk.APIResponseValidationError
        ):
            return broken(place, said_in(error.body or error.message))
        return failed("malformed", place, f"{type(error).__name__}: {error}")


def _lost(error: httpx2.TransportError, place: Place, stamps: Stamps) -> ProviderError:
    """What the transport says: no connection, silence, or an end that is none."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx2.ConnectTimeout):
        return failed("timeout_connect", place, f"no connection in {stamps.patience.connect_s:g} s")
    if isinstance(error, httpx2.PoolTimeout):
        return failed("client_limited", place, "no connection of this client was free")
    if isinstance(error, httpx2.ReadTimeout):
        if stamps.first is None:
            return failed("timeout_first_byte", place, f"{error}, before the first byte")
        return failed("timeout_stall", place, f"{error}, in mid-answer")
    return failed("connection", place, said, billable=not isinstance(error, UNSENT))


def _kind_of(stamps: Stamps) -> str:
    return stamps.said.get("content-type", "a body of no kind")
