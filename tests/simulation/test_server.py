"""The HTTP server, byte by byte over a real socket."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mox.errors import EngineError
from mox.simulation.app import Simulator
from mox.simulation.config import made
from mox.simulation.naming import even
from mox.simulation.running import serve
from mox.simulation.server import LARGEST_BYTES, Connection, Server

CONFIG: dict[str, Any] = {
    "models": {"m": even(first_s=0.02, token_s=0.01), "slow": even(first_s=0.01, token_s=5)}
}

ANTHROPICS = {"accounting": "anthropic", "rpm": 60, "itpm": 6000, "otpm": 6000}


def body(model: str = "m", *, text: str = "hi", many: int = 3, stream: bool = True) -> bytes:
    asked = {"model": model, "messages": [{"role": "user", "content": text}]}
    return json.dumps({**asked, "max_tokens": many, "stream": stream}).encode()


def post(data: bytes, *headers: str, path: str = "/v1/chat/completions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", "x-api-key: k", *headers]
    lines.append(f"content-length: {len(data)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


Use = Callable[["Line", Server], Awaitable[Any]]


class Line:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One response, by the rules of HTTP/1.1."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        if headers.get("transfer-encoding") != "chunked":
            data = await self.reader.readexactly(int(headers["content-length"]))
        else:
            data = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                data += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        return int(head[0].split()[1]), headers, data


def served(use: Use, *, log: io.StringIO | None = None, **config: Any) -> Any:
    async def main() -> Any:
        server = Server(Simulator(made({**CONFIG, **config})), log=log)
        server.simulator.warm(vectors=False)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
        async with listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            try:
                return await use(Line(reader, writer), server)
            finally:
                writer.close()
                await server.close()

    return asyncio.run(asyncio.wait_for(main(), 30))


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_a_connection_is_kept_and_answers_again() -> None:
    async def use(line: Line, server: Server) -> None:
        for _ in range(3):
            line.send(post(body()))
            status, headers, data = await line.answer()
            assert status == 200
            assert headers["content-type"].startswith("text/event-stream")
            assert data.endswith(b"data: [DONE]\n\n")
        assert len(server.connections) == 1

    served(use)


def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(b"".join(post(body(many=many)) for many in (9, 1, 4)) + get("/mox/stats"))
        tokens = [(await line.answer())[2].count(b'"content":"') - 1 for _ in range(3)]
        assert tokens == [9, 1, 4]  # one more names the role
        assert json.loads((await line.answer())[2])["accounts"][0]["answered"] == 3

    served(use)


def test_more_waiting_requests_than_a_connection_may_have_close_it() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(body("slow", many=5)) * 40)
        await until(lambda: not server.connections)
        assert server.simulator.stats()["running"] == 0

    served(use)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_request_may_come_in_any_pieces(size: int) -> None:
    async def use(line: Line, server: Server) -> None:
        data = post(body(text="Grüße, 世界"))
        for at in range(0, len(data), size):
            line.send(data[at : at + size])
            await asyncio.sleep(0)
        assert (await line.answer())[0] == 200

    served(use)


def test_a_request_may_be_chunked_and_may_wait_to_be_told_to_go_on() -> None:
    async def use(line: Line, server: Server) -> None:
        data = body(stream=False)
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
        line.send(f"{head}expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for part in (data[:5], data[5:]):
            line.send(b"%x\r\n%b\r\n" % (len(part), part))
        line.send(b"0\r\n\r\n")
        status, _, answer = await line.answer()
        assert status == 200
        assert json.loads(answer)["usage"]["completion_tokens"] == 3

    served(use)


def test_a_client_that_goes_away_frees_its_place_and_its_output_is_not_charged() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(body("slow", many=50)))
        await line.reader.readuntil(b'"content":')
        assert server.simulator.stats()["running"] == 1
        line.writer.close()
        await until(lambda: server.simulator.stats()["running"] == 0)
        (row,) = server.simulator.stats()["accounts"]
        assert row["charged"]["output"] <= 1  # its second token would have come after 5 s
        (sent,) = server.sent.values()
        assert not sent["whole"]
        assert len(sent["sent_ns"]) < len(sent["holds"]) + 1 <= 3

    served(use, accounts={"k": {"limits": ANTHROPICS}})


@pytest.mark.parametrize("stream", [True, False])
def test_all_output_that_was_sent_is_charged(stream: bool) -> None:
    """At a time scale at which an answer is over within a few milliseconds."""

    async def use(line: Line, server: Server) -> None:
        for number in range(10):
            asked = body(
                "sim-swift", text=f"{stream} {number} " + "word " * 2000, many=100, stream=stream
            )
            line.send(post(asked, "anthropic-version: 1", path="/v1/messages"))
            assert (await line.answer())[0] == 200
            await until(lambda: server.simulator.stats()["running"] == 0)
        sent = sum(sum(one["tokens"]) for one in server.sent.values())
        assert sent == 10 * 100  # sim-swift fills what it may
        await asyncio.sleep(0.05)
        (row,) = server.simulator.stats()["accounts"]
        assert row["charged"]["output"] == sent

    limits = {"accounting": "anthropic", "rpm": 6000, "itpm": 10**9, "otpm": 10**9}
    models = {"sim-swift": "sim-swift"}
    served(use, models=models, time_scale=0.01, accounts={"k": {"limits": limits}})


def test_a_stalled_stream_ends_with_its_client() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(body(), "x-mox-fault: stalled@1"))
        await line.reader.readuntil(b'"content":')
        await asyncio.sleep(0.1)  # three tokens would have been due after 40 ms
        assert server.simulator.stats()["running"] == 1
        (row,) = server.simulator.stats()["accounts"]
        assert row["charged"]["output"] == 1
        line.writer.close()
        await until(lambda: server.simulator.stats()["running"] == 0)

    served(use, accounts={"k": {"limits": ANTHROPICS}})


def test_a_cut_stream_is_a_connection_closed_without_its_last_chunk() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(body(), "x-mox-fault: cut@1"))
        data = await line.reader.read()
        assert data.count(b'"content":"') == 2  # the role's, and one token
        assert not data.endswith(b"0\r\n\r\n")

    served(use)


def test_half_an_answer_is_promised_whole() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(body(stream=False), "x-mox-fault: cut"))
        head, _, data = (await line.reader.read()).partition(b"\r\n\r\n")
        promised = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        assert promised // 2 == len(data)

    served(use)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"a b c d\r\n\r\n"])
def test_what_is_no_http_is_a_400_and_the_end(data: bytes) -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(data)
        answer = await line.reader.read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nx-mox-simulated: 1\r\n" in answer
        await until(lambda: not server.connections)

    served(use)


def test_a_body_that_is_too_large_is_a_413_and_the_end() -> None:
    async def use(line: Line, server: Server) -> None:
        line.send(post(b" " * (LARGEST_BYTES + 1)))
        assert (await line.reader.read()).startswith(b"HTTP/1.1 413 ")
        await until(lambda: not server.connections)

    served(use)


def test_what_was_sent_when_is_told_and_written() -> None:
    log = io.StringIO()

    async def use(line: Line, server: Server) -> dict[str, Any]:
        before = time.perf_counter_ns()
        line.send(post(body(many=4)))
        _, headers, _ = await line.answer()
        line.send(get("/mox/sent/" + headers["x-request-id"]))
        sent = json.loads((await line.answer())[2])
        assert before < sent["admitted_ns"] < sent["sent_ns"][0] < time.perf_counter_ns()
        assert sent["sent_ns"] == sorted(sent["sent_ns"])
        # the role, four tokens, the finish and [DONE]
        assert sent["holds"] == ["", *["text"] * 4, "", ""]
        assert sent["tokens"] == [0, 1, 1, 1, 1, 0, 0]
        # first_s 0.02 and token_s 0.01: the tokens' own due times, by hand
        due = [(at - sent["admitted_ns"]) / 1e6 for at in sent["due_ns"]]
        assert due[1:5] == pytest.approx([20, 30, 40, 50], abs=0.01)
        assert all(
            at >= wanted - 600_000
            for at, wanted in zip(sent["sent_ns"], sent["due_ns"], strict=True)
        )
        line.send(get("/mox/sent"))
        assert json.loads((await line.answer())[2]) == sent
        line.send(get("/mox/sent/unknown"))
        assert (await line.answer())[0] == 404
        return dict(sent)

    sent = served(use, log=log)
    assert json.loads(log.getvalue()) == sent


def test_a_piece_that_leaves_late_is_told_late() -> None:
    """The loop is held up for 0.2 s after the first token; the others are due meanwhile."""

    async def use(line: Line, server: Server) -> None:
        line.send(post(body(many=5)))
        await line.reader.readuntil(b'"content":"')
        await line.reader.readuntil(b'"content":"')
        time.sleep(0.2)
        awake_ns = time.perf_counter_ns()
        await until(lambda: bool(server.sent))
        (sent,) = server.sent.values()
        assert sent["due_ns"][-1] < awake_ns <= sent["sent_ns"][-1]

    served(use)


def test_statistics_and_a_reset() -> None:
    """One request a minute."""
    limits = {"rpm": 1, "tpm": 60_000}

    async def use(line: Line, server: Server) -> None:
        statuses = []
        for _ in range(3):
            line.send(post(body()))
            statuses.append((await line.answer())[0])
        assert statuses == [200, 429, 429]
        line.send(get("/mox/stats"))
        told = json.loads((await line.answer())[2])
        (row,) = told["accounts"]
        assert told["simulated"] is True
        assert told["time_scale"] == 0.5  # whoever measures it by its address has to know
        assert row["account"] == "k"
        assert (row["admitted"], row["rate_limited"]) == (1, {"requests": 2})
        # "hi" is half a token in quarters of characters, and 1 at least; max_tokens is 3
        assert row["charged"] == {"requests": 1, "tokens": 4}
        line.send(post(b"", path="/mox/reset"))
        assert (await line.answer())[0] == 200
        line.send(post(body()))
        assert (await line.answer())[0] == 200

    served(use, time_scale=0.5, accounts={"k": {"limits": limits}})


def test_head_is_answered_without_a_body() -> None:
    async def use(line: Line, server: Server) -> None:
        for path in ("/v1/models", "/mox/stats"):
            line.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n\r\n".encode())
            head = await line.reader.readuntil(b"\r\n\r\n")
            assert int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) > 0
            line.send(get("/mox/stats"))  # what comes next is its answer
            assert (await line.answer())[0] == 200

    served(use)


@pytest.mark.parametrize("host", ["192.0.2.1", "no..host", "::1%none"])
def test_a_host_that_is_none_of_this_machine_is_named(host: str) -> None:
    """192.0.2.1 is kept for documents, by RFC 5737."""
    starting = serve(Server(Simulator(made({}))), host=host, port=0, ready=print)
    with pytest.raises(EngineError, match=re.escape(f"can't listen on {host}:0")) as caught:
        asyncio.run(starting)
    assert "as host" in caught.value.mend


def test_every_response_says_that_it_is_simulated() -> None:
    async def use(line: Line, server: Server) -> None:
        asked = [
            post(body()), post(b"{"), post(b"{}", path="/v1/nothing"), get("/v1/models"),
            get("/mox/stats"), get("/mox/nothing"), get("/favicon.ico"),
            post(body(), "x-mox-fault: html"), post(body(), path="/v1/messages"),
        ]  # fmt: skip
        for one in asked:
            line.send(one)
            _, headers, _ = await line.answer()
            assert headers["x-mox-simulated"] == "1"

    served(use)


def test_pieces_leave_on_time_beside_fifty_other_streams() -> None:
    """A loose bound: machines of tests are busy."""

    async def use(line: Line, server: Server) -> None:
        address = line.writer.get_extra_info("peername")

        async def stream(number: int) -> None:
            reader, writer = await asyncio.open_connection(*address)
            other = Line(reader, writer)
            other.send(post(body(many=20, text=f"hi {number}")))
            assert (await other.answer())[0] == 200
            writer.close()

        await asyncio.gather(*map(stream, range(50)))
        late = sorted(
            at - due
            for sent in server.sent.values()
            for at, due in zip(sent["sent_ns"], sent["due_ns"], strict=True)
        )
        assert len(late) == 50 * 23
        assert late[len(late) // 2] < 50_000_000

    served(use)
