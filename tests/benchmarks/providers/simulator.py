"""How many streams of 50 tokens a second the simulator's server plays on one core, and how late.

    python tests/benchmarks/providers/simulator.py [--seconds 10] [--streams 100,200,400,800]

Lateness is the server's own: when each piece was handed to the socket, against when it was due.
The client only reads and throws away, on another core where there is one. A row holds where the
median is within 1 ms and the 99th percentile within 5 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from mox.simulation.naming import even
from mox.simulation.serving import Served, serving

TOKENS_PER_S = 50
MEDIAN_MS, P99_MS = 1.0, 5.0
SPREAD_S = 1.0
"""Over which the streams begin: one after the other, as clients come."""


def request(wire: str, number: int, tokens: int) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": f"stream {number}"}]}
    body = json.dumps({**asked, "max_tokens": tokens, "stream": True}).encode()
    path = "/v1/messages" if wire == "messages" else "/v1/chat/completions"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_all(served: Served, wire: str, *, streams: int, tokens: int) -> None:
    """So many streams at once, each read to its end and thrown away."""
    at = urlsplit(served.url)
    waiting = selectors.DefaultSelector()
    began, started, ended = time.monotonic(), 0, 0
    while ended < streams:
        while started < streams and time.monotonic() - began >= started * SPREAD_S / streams:
            one = socket.create_connection((at.hostname, at.port))
            one.sendall(request(wire, started, tokens))
            one.setblocking(False)
            waiting.register(one, selectors.EVENT_READ)
            started += 1
        for key, _ in waiting.select(0.002):
            data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
            if not data or data.endswith(b"\r\n0\r\n\r\n"):
                waiting.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
                ended += 1


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--streams", default="50,100,200,400,600,800")
    parser.add_argument("--wire", choices=["chat", "messages"], default="chat")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    model = even(first_s=0.5, token_s=1 / TOKENS_PER_S)
    print(f"{'streams':>8} {'pieces/s':>9} {'core %':>7} {'median ms':>10} {'p99 ms':>8}")
    most = 0
    with serving({"models": {"m": model}}, pin=cores[0]) as served:
        for streams in map(int, given.streams.split(",")):
            served.reset()
            before, began = cpu_s(served.pid), time.monotonic()
            tokens = round(given.seconds * TOKENS_PER_S)
            read_all(served, given.wire, streams=streams, tokens=tokens)
            took = time.monotonic() - began
            share = (cpu_s(served.pid) - before) / took
            late = sorted(
                (at - due) / 1e6
                for sent in served.all_sent().values()
                for at, due in zip(sent["sent_ns"], sent["due_ns"], strict=True)
            )
            middle, p99 = median(late), late[int(len(late) * 0.99)]
            holds = middle <= MEDIAN_MS and p99 <= P99_MS
            most = streams if holds else most
            print(
                f"{streams:>8} {len(late) / took:>9.0f} {100 * share:>7.0f} {middle:>10.2f}"
                f" {p99:>8.2f} {'' if holds else 'late'}",
                flush=True,
            )
    print(f"on time: {most} streams of {TOKENS_PER_S} tokens a second on one core (simulated)")
    sys.exit(0 if most >= 400 else 1)


if __name__ == "__main__":
    main()
