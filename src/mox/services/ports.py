"""Ports: which are free, and who listens where."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from mox.errors import SpecError

HIGHEST = 65_535
LISTENS = "0A"
"""As the kernel's table writes the state of a socket that listens."""


class Listener(NamedTuple):
    """A socket that waits for connections."""

    address: str
    port: int
    socket: int
    """Its number in the system."""

    @property
    def is_open(self) -> bool:
        """Whether other machines reach it."""
        return not (self.address == "::1" or self.address.startswith("127."))


def free(wanted: Sequence[int]) -> list[int]:
    """Different ports that nothing listens on, at any address: those that are wanted where they
    are free, else any. 0 wants any.

    Raises:
        OSError: none is free, or the system lets nobody listen.
        SpecError: there is no such port.
    """
    with ExitStack() as stack:
        found = []
        for port in wanted:
            held = _held(port) or _held(0)
            if held is None:
                raise OSError("no port is free")
            found.append(stack.enter_context(held).getsockname()[1])
        return found


def is_free(port: int) -> bool:
    """Whether nothing listens on a port, at any address.

    Raises:
        OSError: the system doesn't let this user listen there, or at all.
        SpecError: there is no such port.
    """
    held = _held(port)
    if held is not None:
        held.close()
    return held is not None


def _held(port: int) -> socket.socket | None:
    """A socket that listens on a port of all addresses; None where it is taken."""
    if not 0 <= port <= HIGHEST:
        raise SpecError(f"port {port}.", mend=f"give one of 1 to {HIGHEST:,}.")
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return None


def listeners() -> list[Listener]:
    """All sockets that listen on this machine (Linux; empty elsewhere)."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS:
                    address, _, port = fields[1].partition(":")
                    found.append(Listener(_address(address), int(port, 16), int(fields[9])))
    return found


def _address(written: str) -> str:
    """An address from the kernel's form: 32-bit words in the machine's byte order."""
    raw = bytes.fromhex(written)
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    in_order = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, in_order)


def readable(pid: int) -> bool:
    """Whether the system tells where a process listens: not of another user's."""
    return os.access(f"/proc/{pid}/fd", os.R_OK)


def listening(pid: int) -> list[Listener]:
    """Where a process listens (Linux; empty elsewhere, and for another user's process)."""
    held = sockets(pid)
    return [one for one in listeners() if one.socket in held]


def sockets(pid: int) -> set[int]:
    """Numbers of the sockets that a process holds (Linux; empty elsewhere, where it ended, and
    for another user's process)."""
    numbers = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with suppress(OSError):  # it opens and closes others meanwhile
                kind, _, number = os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")  # noqa: PTH115
                if kind == "socket":
                    numbers.add(int(number.rstrip("]")))
    return numbers
