"""`mox simulate`: a provider of models on this machine that isn't one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mox.cli.out import Json, refusals, say, show_json
from mox.errors import SpecError

if TYPE_CHECKING:
    from mox.simulation.config import Simulation
    from mox.simulation.serving import Served


def simulate(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Models, accounts, limits and faults, as YAML."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to answer; 0 is a free port.")
    ] = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    time_scale: Annotated[
        float | None,
        typer.Option(help="Latencies times this; limits stay in real seconds.", min=1e-6),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Other answers, equally good.")] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each request's send times as a line of JSON."),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", hidden=True, help="End when standard input does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer as OpenAI and Anthropic would, on this machine, until Ctrl-C.

    Costs nothing, and says in each response that it is simulated (`x-mox-simulated: 1`). Answers
    come from the context that a request holds, at modelled speeds.

    \b
    OpenAI's client:     OpenAI(base_url="http://127.0.0.1:PORT/v1", api_key="any")
    Anthropic's client:  Anthropic(base_url="http://127.0.0.1:PORT", api_key="any")
    or by the environment, for programs that you don't want to change:
      export OPENAI_BASE_URL=http://127.0.0.1:PORT/v1 OPENAI_API_KEY=any
      export ANTHROPIC_BASE_URL=http://127.0.0.1:PORT ANTHROPIC_API_KEY=any

    \b
    GET  /v1/models       what can be asked for: sim-swift, sim-careful, sim-thinking, …
    GET  /mox/stats       the time scale, and what each account used and was refused
    GET  /mox/sent/ID     when each piece of that answer was sent (perf_counter_ns)
    POST /mox/reset       full limits, no counts

    \b
    A FILE for --config, all of it optional:
      models:   {my-model: {like: sim-careful, profile: {first_s: 0.2}}}
      accounts: {alice: {limits: {rpm: 60, tpm: 60000, burst_s: 2}}}
      faults:   [{kind: overloaded, rate: 0.1, from_s: 30, until_s: 60}]
    An account's name is its key. Without accounts, any key is let in, unlimited. A single
    request goes wrong by the header `x-mox-fault: cut@3`. `profile: mine.yaml` plays what
    `mox bench providers … --record mine.yaml` saw of a real one; mine.yaml is beside FILE.
    """
    from mox.simulation.config import changed, made, read
    from mox.simulation.serving import Served, url_of

    def ready(at: int) -> None:
        served = Served(url_of(host, at), os.getpid())
        show_json(served.document()) if as_json else say(_started(served))
        sys.stdout.flush()

    with refusals(as_json=as_json):
        simulation = changed(
            read(config) if config else made({}), {"time_scale": time_scale, "seed": seed}
        )
        if until_eof:
            threading.Thread(target=_end_with_input, daemon=True).start()
        _serve(simulation, (host, port), log, ready)


def _end_with_input() -> None:
    """End as by a signal once standard input does: whoever holds its other end is gone."""
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(
    simulation: Simulation, at: tuple[str, int], log: Path | None, ready: Callable[[int], None]
) -> None:
    from mox.registry import missing_package
    from mox.simulation.app import Simulator

    try:
        from mox.simulation.running import run, serve
        from mox.simulation.server import Server
    except ImportError as error:
        raise missing_package(error.name or "httptools", extra="providers") from None

    with ExitStack() as stack:
        out = stack.enter_context(_opened(log)) if log else None
        server = Server(Simulator(simulation), log=out)
        run(lambda: serve(server, host=at[0], port=at[1], ready=ready))


def _opened(log: Path) -> TextIO:
    try:
        return log.open("a", buffering=1, encoding="utf-8")  # by lines: a kill loses none
    except OSError as error:
        raise SpecError(
            f"--log {log} can't be written ({error.strerror}).",
            mend="name a file in a folder that exists and is yours.",
        ) from None


def _started(served: Served) -> str:
    """What a reader needs to point a client here."""
    return (
        f"a simulator answers at {served.url} until Ctrl-C (process {served.pid}); with any key:\n"
        f"  export OPENAI_BASE_URL={served.openai_base_url} OPENAI_API_KEY=any\n"
        f"  export ANTHROPIC_BASE_URL={served.anthropic_base_url} ANTHROPIC_API_KEY=any"
    )
