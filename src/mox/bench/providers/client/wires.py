"""Requests as bytes, for each of the three wire formats."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlsplit

from mox.bench.providers.client.jobs import Target
from mox.errors import SpecError
from mox.simulation.script import Wire
from mox.types.providers import Request

PATH: dict[Wire, str] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/v1/messages",
}
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a target's requests go, and what stands above each. It holds the key: never shown."""

    host: str
    port: int
    tls: bool
    head: bytes

    def __repr__(self) -> str:
        return f"Door({self.host}:{self.port})"

    def message(self, body: bytes) -> bytes:
        """A whole request."""
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body)


def door(target: Target, key: str | None) -> Door:
    """Where a target is, and its requests' head.

    Raises:
        SpecError: its URL is none, or a header can't be sent.
    """
    parts = urlsplit(target.base_url)
    tls = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise SpecError(
            f"{target.name}: its base URL is no http(s)://host address.",
            mend="write it as its SDK takes it, without user and password.",
        )
    port = parts.port or (443 if tls else 80)
    named = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    headers = {
        "host": named if parts.port is None else f"{named}:{port}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "mox",
        **_credentials(target, key),
        **{name.lower(): value for name, value in target.headers.items()},
    }
    return Door(parts.hostname, port, tls, _head(target, parts, headers))


def _head(target: Target, parts: SplitResult, headers: dict[str, str]) -> bytes:
    path = parts.path.rstrip("/") + PATH[target.wire]
    lines = [f"POST {path}{f'?{parts.query}' if parts.query else ''} HTTP/1.1"]
    for name, value in headers.items():
        # Its value isn't shown: it may be the key.
        if not value.isascii() or not value.isprintable() or not name.isprintable():
            raise SpecError(
                f"{target.name}: the header {name!r} has characters that no header has.",
                mend="a key is one line of ASCII; see what stands around it.",
            )
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "content-length: "]).encode("ascii")


def _credentials(target: Target, key: str | None) -> dict[str, str]:
    version = {"anthropic-version": ANTHROPIC_VERSION} if target.wire == "messages" else {}
    if key is None:
        return version
    if target.wire == "messages":
        return {**version, "x-api-key": key}
    return {"authorization": f"Bearer {key}"}


def body(target: Target, request: Request) -> bytes:
    """The JSON of a request for a stream.

    Raises:
        SpecError: the request asks for what this wire doesn't have.
    """
    from mox.providers.wire import chat, messages, responses

    asked = replace(request, model=target.model)
    if target.wire == "chat":
        made = chat.body(asked, True, limit=target.output_limit)
    else:
        made = (responses if target.wire == "responses" else messages).body(asked, True)
    further = made.pop("extra_body", {})
    return json.dumps(
        {**made, "stream": True, **further},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
