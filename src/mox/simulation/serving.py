"""A simulator as a process of its own, for as long as a test or a benchmark needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from mox.errors import EngineError
from mox.services.process import end_group
from mox.simulation.config import Simulation, made

STARTS_S = 30.0
ENDS_S = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers."""

    url: str
    pid: int
    log: Path | None = None
    """Each request's send times, a line of JSON each, where that was asked for."""

    @property
    def openai_base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        return self.url

    def document(self) -> dict[str, Any]:
        """As `mox simulate` prints it."""
        return {
            "schema": 1,
            "url": self.url,
            "openai_base_url": self.openai_base_url,
            "anthropic_base_url": self.anthropic_base_url,
            "pid": self.pid,
            "simulated": True,
        }

    def stats(self) -> dict[str, Any]:
        """The time scale, and what each account did so far."""
        return dict(json.loads(self._asked("GET", "/mox/stats")))

    def sent(self, request_id: str) -> dict[str, Any]:
        """When each piece of an answer that is over was handed to the socket.

        Raises:
            urllib.error.HTTPError: there is no such request, or its answer still runs.
        """
        return dict(json.loads(self._asked("GET", f"/mox/sent/{request_id}")))

    def all_sent(self) -> dict[str, dict[str, Any]]:
        """The same of all requests that are over, by request id."""
        lines = self._asked("GET", "/mox/sent").splitlines()
        return {found["request_id"]: found for found in map(json.loads, lines)}

    def reset(self) -> None:
        """Full buckets, no counts; storms start anew."""
        self._asked("POST", "/mox/reset")

    def _asked(self, method: str, path: str) -> bytes:
        request = Request(self.url + path, method=method)  # noqa: S310  our own address
        with urlopen(request, timeout=STARTS_S) as answer:  # noqa: S310
            return bytes(answer.read())


def url_of(host: str, port: int) -> str:
    """Where a client reaches it: an address of IPv6 stands in brackets (RFC 3986)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serving(
    simulation: Simulation | Mapping[str, Any] | None = None,
    *,
    log: Path | None = None,
    pin: int | None = None,
) -> Iterator[Served]:
    """`mox simulate` on a free port of this machine, ended with the context.

    Args:
        simulation: what is simulated; the default else.
        log: a file for the send times of all requests.
        pin: the core that it shall run on (Linux).

    Raises:
        EngineError: it does not start in time; says what it printed.
    """
    settings = made(simulation or {})
    with TemporaryDirectory(prefix="mox-simulate-") as folder:
        config, said = Path(folder) / "simulation.yaml", Path(folder) / "said"
        config.write_text(settings.model_dump_json(), encoding="utf-8")  # JSON is YAML
        command = [sys.executable, "-m", "mox", "simulate", "--config", str(config), "--json"]
        command.append("--until-eof")  # it never outlives us, however we end
        if log is not None:
            command += ["--log", str(log)]
        with said.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603  our own command
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            told = _told(process, said)
            if pin is not None and sys.platform == "linux":
                os.sched_setaffinity(process.pid, {pin})
            yield Served(told["url"], told["pid"], log)
        finally:
            end_group(process.pid, patience_s=ENDS_S)
            process.wait(timeout=ENDS_S)
            if process.stdin is not None:  # only now: one signal is enough for an end in order
                process.stdin.close()


def _told(process: subprocess.Popen[bytes], said: Path) -> dict[str, Any]:
    """What it prints once it answers."""
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until:
        text = said.read_text(encoding="utf-8", errors="replace")
        try:
            return dict(json.loads(text))
        except ValueError:
            pass  # not all of it is there yet
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise EngineError(
        f"the simulator did not start: {said.read_text(errors='replace').strip() or 'no word'}",
        mend="run `mox simulate` by hand and see what it says.",
    )
