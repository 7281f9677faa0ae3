"""What an answer's bytes say, read after its end: its chunks, its usage, what went wrong.

The wire formats are read by the same code that reads the SDKs' objects (`mox.providers.wire`),
given plain JSON that looks like them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client.jobs import Target
from mox.bench.providers.client.messages import Raw
from mox.bench.providers.client.sse import EVENT_END, Event, events
from mox.bench.providers.record import Chunk
from mox.providers.wire import Plain
from mox.secrets import scrub
from mox.types.providers import ErrorKind, Finish, Usage

if TYPE_CHECKING:
    from mox.errors import ProviderError
    from mox.providers.classify import Place
    from mox.providers.wire import End, Parts, Piece
    from mox.simulation.script import Wire

FIRST_EVENTS, LAST_EVENTS = 2, 4
"""Of a stream: where input and output are counted, and where it says that it ends."""
_SHAPE = (ValueError, TypeError, AttributeError, LookupError)
"""How reading fails at an answer of another shape."""


@dataclass(slots=True)
class Read:
    """What was read of an answer."""

    chunks: list[Chunk] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    end: End | None = None
    """None where the last event that its wire format has wasn't there."""
    failed: ProviderError | None = None

    @property
    def text(self) -> str:
        """The answer without its reasoning; surrogates that two deltas split are joined."""
        whole = "".join(self.texts)
        if whole.isascii():
            return whole
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @property
    def usage(self) -> Usage:
        """As it was counted; of nothing where it wasn't."""
        return (self.end and self.end.usage) or Usage()

    @property
    def finish(self) -> Finish | None:
        return self.end.finish if self.end else None

    @property
    def error(self) -> ErrorKind | None:
        return self.failed.kind if self.failed else None

    @property
    def said(self) -> str | None:
        return self.failed.message if self.failed else None

    def add(self, at_ns: int, piece: Piece) -> None:
        """Output that came."""
        if piece.text:
            self.chunks.append(Chunk(at_ns, len(piece.text), piece.kind))
            if piece.kind == "text":
                self.texts.append(piece.text)


def read(raw: Raw, target: Target) -> Read:
    """What a request's raw answer says. It never raises: what went wrong is in it."""
    from mox.providers.classify import Place, failed

    found = Read()
    place = Place(target.name, raw.status, raw.head)
    if raw.status is not None and not 200 <= raw.status < 300:
        found.failed = _refused(place, raw)
        return found
    try:
        _stream(found, events(raw.times, raw.parts), target.wire, place)
    except _SHAPE as error:
        found.failed = failed("malformed", place, _shape(error))
    # What the answer itself said comes first; and one that is whole is one, whatever followed.
    lacking = found.end is None or found.end.usage is None
    if found.failed is None and raw.failed is not None and lacking:
        found.failed = failed(raw.failed, place, raw.said or "failed")
    if found.failed is None:
        found.failed = _unfinished(found, place, raw)
    return found


def ending(raw: Raw, target: Target) -> Read:
    """The same by an answer's first and last events alone: its usage and its end, no chunks.

    It costs some 50 µs however long the answer is: the asking process does it where a pool has to
    be told at once.
    """
    body = b"".join(raw.parts)
    ends = [found.end() for found in EVENT_END.finditer(body)]
    if raw.status is None or raw.status >= 300 or len(ends) <= FIRST_EVENTS + LAST_EVENTS:
        return read(raw, target)
    short = replace(raw)
    short.parts = [body[: ends[FIRST_EVENTS - 1]], body[ends[-LAST_EVENTS - 1] :]]
    short.times = [0, 0]
    return read(short, target)


def ended_ns(raw: Raw, found: Read) -> int | None:
    """When a request was over. An answer that is whole ends with what came last, however long its
    connection then took to break or was waited for."""
    broke_later = found.failed is None and raw.failed is not None
    return raw.times[-1] if broke_later else raw.done


def request_id(raw: Raw) -> str | None:
    """The provider's own name of a request, scrubbed: a header may repeat any other."""
    found = raw.head.get("x-request-id") or raw.head.get("request-id")
    return found and scrub(found)


def _refused(place: Place, raw: Raw) -> ProviderError:
    from mox.providers.classify import refused, said_in

    body = b"".join(raw.parts)
    try:
        said = json.loads(body)
    except ValueError:
        said = body
    return refused(place, said_in(said))


def _unfinished(found: Read, place: Place, raw: Raw) -> ProviderError | None:
    """What an answer lacks that ended in order."""
    from mox.providers.classify import failed

    end = found.end
    if end is None:
        media = raw.head.get("content-type", "").partition(";")[0].strip()
        if found.chunks or media == "text/event-stream":
            return failed("truncated", place, "the stream ended without its last event")
        start = b"".join(raw.parts)[:80].decode(errors="replace")
        return failed("malformed", place, f"no stream of events but {media or 'no type'}: {start}")
    if end.finish is None:
        return failed("unusable", place, f"it ended for an unknown reason, {end.reason!r}")
    if end.usage is None or not isinstance(end.usage.output_tokens, int):
        return failed("unusable", place, "it came without a count of its tokens")
    return None


def _stream(found: Read, stream: Iterable[Event], wire: Wire, place: Place) -> None:
    """Read a stream up to an error in it."""
    from mox.providers.classify import Said, broken
    from mox.providers.wire import End, chat, messages, responses

    parts: Mapping[Wire, Callable[[AsyncIterator[Any]], Parts]] = {
        "chat": chat.parts,
        "responses": responses.parts,
        "messages": messages.parts,
    }
    source = _Source(stream)
    for part in _driven(parts[wire](source)):
        if isinstance(part, Said):
            found.failed = broken(place, part)
            return
        if isinstance(part, End):
            found.end = part
        else:
            found.add(source.at_ns, part)
    if source.error is not None:
        found.failed = broken(place, source.error)


class _Source:
    """A stream's events as the SDKs' objects, and when the newest came; ends before an error."""

    def __init__(self, stream: Iterable[Event]) -> None:
        self._stream = iter(stream)
        self.at_ns = 0
        self.error: Any = None

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> Plain:
        for event in self._stream:
            if event.data == b"[DONE]":
                continue
            said = json.loads(event.data.decode("utf-8"), object_hook=Plain)
            if not isinstance(said, Plain):
                raise TypeError(f"an event that is no object: {str(said)[:80]}")
            if said.error is not None and said.type in (None, "error"):
                from mox.providers.classify import said_in

                self.error = said_in(json.loads(event.data))
                break
            self.at_ns = event.at_ns
            return said
        raise StopAsyncIteration


def _driven(parts: Parts) -> Iterator[Any]:
    """An asynchronous iterator that never waits, as a plain one."""
    while True:
        try:
            anext(parts).__await__().send(None)
        except StopIteration as found:
            yield found.value
        except StopAsyncIteration:
            return


def _shape(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "its bytes are no UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"an event that is no JSON: {error.doc[:80]}"
    return f"an event of another shape: {error}"
