"""Accounts through the official SDKs, opened alike: one attempt each, over a client that notes
when bytes pass."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from mox.registry import missing_package

if TYPE_CHECKING:
    import httpx2
    from httpx2 import AsyncBaseTransport

    from mox.providers.attempt import Account
    from mox.providers.stamping import Patience, StampingClient

Api = Literal["responses", "chat"]
CONNECTIONS = 1000
"""At once, as the SDKs' own clients have; how many requests may be is the pool's matter."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, and as whom."""

    name: str
    """For messages."""
    base_url: str
    key: str | None = field(repr=False)
    """None where the server asks for none: then no header of authorisation is sent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    """Behind each request's path: Azure's `api-version`."""
    organisation: str | None = None
    project: str | None = None
    limit: str = "max_completion_tokens"
    """How Chat Completions' field for the most output tokens is called there."""
    simulated: bool = False


def account_at_openai(
    target: Target, api: Api, *, transport: AsyncBaseTransport | None, patience: Patience | None
) -> Account:
    """An account at an address of OpenAI's shape.

    Args:
        transport: what carries requests instead of the network: the simulator's, in process.
        patience: how long silence is borne; the defaults of `Patience` where None.

    Raises:
        MissingError: the SDK isn't installed.
    """
    openai = sdk("openai")
    from mox.providers.attempt import Account
    from mox.providers.stamping import Patience
    from mox.providers.wire import Wire, chat, responses

    patience = patience or Patience()
    client = openai.AsyncOpenAI(
        api_key=target.key or "none",
        base_url=target.base_url,
        default_query=dict(target.query),
        max_retries=0,  # who retries is the pool
        http_client=_http_client(patience, transport),
    )
    # Not from the environment: they would go to whatever address this is.
    client.organization, client.project = target.organisation, target.project
    without = headers_of_the_environment("OPENAI_CUSTOM_HEADERS")
    if target.key is None:
        without.append("Authorization")
    headers = {**dict.fromkeys(without, openai.Omit()), **target.headers}
    resource = client.chat.completions if api == "chat" else client.responses
    create = partial(resource.with_raw_response.create, extra_headers=headers)
    if api == "chat":
        body = partial(chat.body, limit=target.limit)
        wire = Wire(body, create, chat.parts, chat.whole)
    else:
        wire = Wire(responses.body, create, responses.parts, responses.whole)
    return Account(target.name, openai, client, wire, patience, target.simulated)


def account_at_anthropic(
    target: Target, *, transport: AsyncBaseTransport | None, patience: Patience | None
) -> Account:
    """An account at an address of Anthropic's shape; arguments as in `account_at_openai`.

    Raises:
        MissingError: the SDK isn't installed.
    """
    anthropic = sdk("anthropic")
    from mox.providers.attempt import Account
    from mox.providers.stamping import Patience
    from mox.providers.wire import Wire, messages

    patience = patience or Patience()
    client = anthropic.AsyncAnthropic(
        api_key=target.key or "none",
        base_url=target.base_url,
        max_retries=0,
        timeout=_limits(patience),  # else it refuses long answers that aren't streamed
        http_client=_http_client(patience, transport),
    )
    without = headers_of_the_environment("ANTHROPIC_CUSTOM_HEADERS")
    headers = {**dict.fromkeys(without, anthropic.Omit()), **target.headers}
    create = partial(client.messages.with_raw_response.create, extra_headers=headers)
    wire = Wire(messages.body, create, messages.parts, messages.whole)
    return Account(target.name, anthropic, client, wire, patience, target.simulated)


def sdk(name: str) -> ModuleType:
    """An SDK of the extra `providers`.

    Raises:
        MissingError: it isn't installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise missing_package(name, extra="providers") from None


def headers_of_the_environment(variable: str) -> list[str]:
    """Names of headers that an SDK would send by itself. They aren't: they may be secrets that
    were meant for another address, and a Spec says all that goes with a request."""
    lines = os.environ.get(variable, "").splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line]


def _limits(patience: Patience) -> httpx2.Timeout:
    """httpx2's own limits: only what happens before a request is sent; see `StampingClient`."""
    import httpx2

    return httpx2.Timeout(None, connect=patience.connect_s, pool=patience.connect_s)


def _http_client(patience: Patience, transport: AsyncBaseTransport | None) -> StampingClient:
    import httpx2

    from mox.providers.stamping import StampingClient

    return StampingClient(
        transport=transport,
        timeout=_limits(patience),
        limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=100),
        follow_redirects=True,
    )
