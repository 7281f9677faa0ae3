"""Ports: which are free at every address, and who listens where."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mox.errors import SpecError
from mox.services.ports import free, is_free, listeners, listening

EVERY = "0.0.0.0"  # noqa: S104  somebody else's


@pytest.fixture(params=["127.0.0.1", EVERY])
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """An address and a port that somebody listens on."""
    with socket.create_server((request.param, 0)) as held:
        yield held.getsockname()[:2]


def test_ports_are_free_and_different() -> None:
    found = free([0] * 12)
    assert len(set(found)) == 12
    assert all(is_free(port) for port in found)


def test_what_is_wanted_is_taken_where_it_is_free(taken: tuple[str, int]) -> None:
    [wanted] = free([0])
    first, second, third = free([wanted, taken[1], 0])
    assert first == wanted
    assert second not in {taken[1], 0}
    assert len({first, second, third}) == 3
    assert free([wanted, wanted])[1] != wanted, "once each"


def test_a_port_that_is_taken_at_one_address_is_taken(taken: tuple[str, int]) -> None:
    assert not is_free(taken[1])


def test_a_port_that_was_used_a_moment_ago_is_free_again() -> None:
    """A server that is started again finds connections of its last life winding up."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        there = socket.create_connection(("127.0.0.1", port))
        here, _ = held.accept()
        here.close()  # who closes first keeps it in TIME_WAIT
        there.close()
    assert is_free(port)


def test_who_listens_where(taken: tuple[str, int]) -> None:
    address, port = taken
    [ours] = [one for one in listening(os.getpid()) if one.port == port]
    assert ours.address == address
    assert ours.is_open is (address == EVERY)
    assert ours in listeners()


def test_what_listens_at_all_addresses_of_either_kind_is_open() -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as held:
        port = held.getsockname()[1]
        [ours] = [one for one in listening(os.getpid()) if one.port == port]
    assert (ours.address, ours.is_open) == ("::", True)


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(SpecError, match=rf"port {port}\."):
        is_free(port)
    with pytest.raises(SpecError, match=rf"port {port}\."):
        free([port])


def test_only_what_is_in_use_is_taken() -> None:
    """No descriptor is left: no port is free, and none is taken either."""
    script = (
        "import resource, os\n"
        "from mox.services.ports import is_free\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1,) * 2)\n"
        "is_free(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert "OSError: [Errno 24] Too many open files" in done.stderr
