"""`mox up` and `mox down`: servers of this state folder, on this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated, Any

import typer

from mox.cli.out import Json, refusals, say, show_json
from mox.services.running import SETTING, Server
from mox.settings import redact

Name = Annotated[
    str | None,
    typer.Argument(metavar="SERVICE", help="milvus or redis; what runs here, or all of it, else."),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, help="The port to answer on; its last one, or a free one, else."
    ),
]


def up(service: Name = None, port: Port = None, as_json: Json = False) -> None:
    """Start a real server on this machine and return once it answers.

    `mox up milvus` starts Milvus standalone, without a container, on data of its own in the state
    folder (`.mox/services/milvus`). From then on the kinds of index that Milvus has are built
    there, and not in Milvus Lite; `mox down milvus` ends it, keeps its data, and goes back to
    Milvus Lite. Called again it says where the server is; after a crash it starts it again, with
    its collections. MOX_MILVUS_URI names any other server, and goes before this one.

    `mox up redis` starts the embedded Valkey on data of its own (`.mox/services/valkey`), at this
    machine's loopback only and behind a password. From then on processes of this state folder
    share through it: limits of accounts, and remembered answers. MOX_REDIS_URL goes before it.

    Without SERVICE: what runs here.
    """
    from mox import api
    from mox.services.running import servers
    from mox.settings import settings

    with refusals(as_json=as_json):
        if service is not None:
            server = api.up(service, port=port)
            show_json(server.document()) if as_json else say(started(server))
            return
        found = servers(settings().root)
        if as_json:
            show_json({"schema": 1, "services": [_standing(server) for server in found]})
        else:
            nothing = "nothing runs here; `mox up milvus` and `mox up redis` start a server."
            say("\n".join(repr(server) for server in found) or nothing)


def down(service: Name = None, as_json: Json = False) -> None:
    """End what `mox up` started here, with all its processes: SERVICE, or all of them.

    Its data stays for the next `mox up`; removing its folder in `.mox/services` then gives back its
    disk.
    """
    from mox import api

    with refusals(as_json=as_json):
        ended = api.down(service)
        if as_json:
            show_json({"schema": 1, "ended": [_ended(server) for server in ended]})
        else:
            said = "\n".join(f"{one.service} has ended; its data stays." for one in ended)
            say(said or "nothing was running here.")


def started(server: Server) -> str:
    """What a reader has to know of a server that runs."""
    name = f"MOX_{SETTING[server.service].upper()}"
    shown = redact(server.uri)
    # A password stays off the screen; the JSON is for programs.
    export = server.uri if shown == server.uri else f"… (`mox up {server.service} --json` says it)"
    used = (
        f"{name} is set and goes before it: unset that to use this one"
        if os.environ.get(name)
        else f"experiments of this state folder use it until `mox down {server.service}`;"
        f" others: export {name}={export}"
    )
    lines = [
        f"{server.service} {server.version} answers at {shown}",
        f"  {used}",
        f"  its logs: {server.log}",
    ]
    if server.lacks:
        lines.append(f"  built without {', '.join(server.lacks)}")
    if server.open_ports:
        ports = ", ".join(str(port) for port in server.open_ports)
        lines.append(
            "  it asks for no password, and its binary listens at every address of this machine:"
            f" on a network that you don't trust, close the ports {ports}"
        )
    return "\n".join(lines)


def _ended(server: Server) -> dict[str, Any]:
    """Without its password: it is of no use to anybody now."""
    return replace(server, uri=redact(server.uri)).document()


def _standing(server: Server) -> dict[str, Any]:
    return {**server.document(), "alive": server.alive}
