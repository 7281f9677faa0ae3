"""The life of a process that serves: it listens, tidies up, and ends when it is told to."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from mox.errors import EngineError
from mox.simulation.server import Connection, Server

TIDIES_S = 1.0


async def serve(server: Server, *, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Answer until SIGINT or SIGTERM.

    Args:
        port: 0 is a free one.
        ready: told the port once it answers.

    Raises:
        EngineError: the host or the port can't be listened on.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        listening = await loop.create_server(
            lambda: Connection(server), host, port, backlog=2048, start_serving=False
        )
    except (OSError, UnicodeError) as error:
        raise _refused(host, port, error) from None
    async with listening:
        server.simulator.warm()
        await listening.start_serving()
        tidying = loop.create_task(_tidy(server))
        ready(listening.sockets[0].getsockname()[1])
        await stop.wait()
        tidying.cancel()
    await server.close()


def _refused(host: str, port: int, error: OSError | UnicodeError) -> EngineError:
    """Why it can't listen: a host that is none, or a port."""
    said, strange = str(error), True  # what can't be a name
    if isinstance(error, OSError):
        said = error.strerror or said
        # … a name that isn't found, or an address of another machine.
        strange = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
    mend = (
        "name an address of this machine as host: 127.0.0.1, or 0.0.0.0 for all of them."
        if strange
        else "name another port, or 0 for a free one."
    )
    return EngineError(f"the simulator can't listen on {host}:{port} ({said}).", mend=mend)


async def _tidy(server: Server) -> None:
    """Collect garbage when it holds nobody up.

    Hundreds of thousands of pieces are alive in mid-load: Python, left alone, looks at all of
    them now and then, and every stream stands still. While answers run only what is new is looked
    at.
    """
    gc.freeze()
    gc.disable()
    while True:
        await asyncio.sleep(TIDIES_S)
        gc.collect(1 if server.simulator.busy else 2)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine, on uvloop's loop where that is installed: it plays more streams on time."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
