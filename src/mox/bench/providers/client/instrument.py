"""The client's own error: its moments against those at which the simulator sent, by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mox.bench.providers.client.crew import crew
from mox.bench.providers.client.jobs import Cell, Target
from mox.bench.providers.client.selfcheck import SelfCheck, at
from mox.bench.providers.record import Load, Record
from mox.types.providers import Message, Request

MODEL = "sim-metronome"
EACH_S = 0.02
"""Between two tokens of a stream: 50 a second."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tried."""

    streams: int
    seconds: float = 6.0
    """New streams are begun for so long."""
    tokens: int = 150
    """Of one stream."""
    cores: tuple[int, int] | None = None
    """Of the client and of the simulator (Linux); the system's choice where None."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How much later than it was sent a token was seen, in ms, over all requests' tokens."""

    streams: int
    first_p50_ms: float
    first_p99_ms: float
    later_p50_ms: float
    later_p99_ms: float
    chunks: int
    seconds: float
    """From the first to the last."""
    check: SelfCheck


def instrument(setting: Setting) -> Errors:
    """Measure the client's error with so many streams of 50 tokens a second, on this machine.

    Raises:
        EngineError: the simulator doesn't start, or failed a request.
        MissingError: the extra `providers` isn't installed.
    """
    from mox.simulation.serving import serving

    own, other = setting.cores or (None, None)
    with serving(simulation(setting.streams), pin=other) as served, crew(core=own) as workers:
        target = Target("simulator", "chat", served.openai_base_url, MODEL, simulated=True)
        load = Load("closed", setting.streams)
        asked = partial(prompt, setting.tokens)
        cell = Cell(target, "instrument", asked, load, setting.seconds)
        running = workers.run(cell, round_=0, seed=0)
        records = []
        while True:
            try:
                records.append(next(running)[0])
            except StopIteration as end:
                check: SelfCheck = end.value
                break
        sent = served.all_sent()
    return _errors(setting.streams, records, sent, check)


def prompt(tokens: int, _: int, __: int) -> Request:
    """A request for a stream of so many tokens."""
    return Request(MODEL, (Message("user", "Go on."),), max_output_tokens=tokens)


def simulation(streams: int) -> dict[str, Any]:
    """A model that sends one token each 20 ms, its first after some 300 ms, so that streams are
    spread over time as a provider's are."""
    profile = {
        "name": "metronome",
        "network_s": 0.0,
        "first_per_token_s": 0.0,
        "first_s": 0.3,
        "first_sigma": 0.3,
        "token_s": EACH_S,
        "token_shape": 50.0,
        "stall_share": 0.0,
        "chunk_shares": (1.0,),
        "slots": 2 * streams,
        "slowdown": 0.0,
        "fills": True,
    }
    return {"models": {MODEL: {"profile": profile, "price": _FREE}}}


_FREE = {"input": 0, "cached": 0, "cache_write": 0, "output": 0}


def _errors(
    streams: int, records: Sequence[Record], sent: Mapping[str, Mapping[str, Any]], check: SelfCheck
) -> Errors:
    from mox.errors import EngineError

    first: list[float] = []
    later: list[float] = []
    moments: list[int] = []
    for record in records:
        if record.error is not None:
            raise EngineError(
                f"the simulator failed a request: {record.said}", mend="report it: it mustn't."
            )
        lags = paired(record, sent[str(record.request_id)])
        first += lags[:1]
        later += lags[1:]
        moments += [chunk.at_ns for chunk in record.chunks]
    return Errors(
        streams,
        at(first, 0.5),
        at(first, 0.99),
        at(later, 0.5),
        at(later, 0.99),
        len(moments),
        (max(moments) - min(moments)) / 1e9,
        check,
    )


def paired(record: Record, sent: Mapping[str, Any]) -> list[float]:
    """How much later than it was sent each of a request's chunks was seen, in ms."""
    moments = [at_ns for at_ns, holds in zip(sent["sent_ns"], sent["holds"], strict=True) if holds]
    return [
        (chunk.at_ns - moment) / 1e6 for chunk, moment in zip(record.chunks, moments, strict=True)
    ]
