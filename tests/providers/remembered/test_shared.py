"""Answers that one process or machine paid for serve the others."""

from __future__ import annotations

import asyncio
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mox.errors import MemoWarning, SpecError
from mox.providers.remembered import Remembered
from mox.providers.shared import ROW_BYTES, SharedAnswers
from mox.services import valkey
from mox.settings import settings
from mox.types.providers import Answer


def test_processes_of_a_machine_at_once_make_one_call_and_a_killed_one_blocks_nobody(
    lab: Any,
    server: Any,
) -> None:
    server.slow_s = 0.5
    other = lab.Process(server)

    async def at_once(memo: Remembered) -> Answer:
        task = asyncio.create_task(memo.complete(lab.asked()))
        while not server.asked:
            await asyncio.sleep(0.01)
        other.ask("why?")
        return await task

    async def after_it(memo: Remembered) -> Answer:
        other.ask("how?")
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        task = asyncio.create_task(memo.complete(lab.asked("how?")))
        await asyncio.sleep(0.2)
        assert server.asked == ["why?", "how?"]  # it waits
        other.end()
        server.slow_s = 0
        return await task

    try:
        assert lab.run(lab.remembered(server), at_once).text == "why?: 1"
        assert other.said() == "why?: 1 1 0"
        assert server.asked == ["why?"]
        server.slow_s = 30
        assert lab.run(lab.remembered(server), after_it).text == "how?: 3"
    finally:
        other.end()


def test_another_machine_pays_nothing(
    lab: Any, server: Any, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two state folders, two processes, and only the shared server between them.
    other = lab.Process(server, MOX_HOME=str(tmp_path / "other"), MOX_REDIS_URL=valkey)
    other.ask("why?")
    assert other.said() == "why?: 1 0 1"
    other.end()
    monkeypatch.setenv("MOX_REDIS_URL", valkey)
    memo = lab.remembered(server)
    assert lab.ask(memo)[0].text == "why?: 1"
    assert (memo.hits, memo.misses) == (1, 0)
    assert server.asked == ["why?"]
    monkeypatch.delenv("MOX_REDIS_URL")
    assert lab.ask(lab.remembered(server))[0].text == "why?: 1"  # it lies here now, too


def test_what_others_damaged_is_asked_again(
    lab: Any, server: Any, valkey: str, tmp_path: Path
) -> None:
    import redis

    client = redis.Redis.from_url(valkey)
    lab.ask(lab.remembered(server, shared=SharedAnswers(valkey), root=tmp_path / "a"))
    (key,) = client.zrange("mox:{answers}:ends", 0, -1)
    client.hset("mox:{answers}:rows", key, b"\xff no row")
    memo = lab.remembered(server, shared=SharedAnswers(valkey), root=tmp_path / "b")
    assert lab.ask(memo)[0].text == "why?: 2"
    assert (memo.hits, memo.misses) == (0, 1)
    client.close()


def test_shared_rows_end_after_their_time(valkey: str) -> None:
    shared = SharedAnswers(valkey, ttl_s=0.3)
    assert shared.put("k", b"row")
    assert shared.get("k") == b"row"
    time.sleep(0.35)
    assert shared.get("k") is None
    shared.close()


def test_a_machine_whose_rows_end_soon_ends_no_others(valkey: str) -> None:
    lasting, short = SharedAnswers(valkey, ttl_s=3600), SharedAnswers(valkey, ttl_s=0.2)
    lasting.put("k", b"row")
    short.put("other", b"short")
    time.sleep(0.3)
    assert short.get("other") is None
    assert lasting.get("k") == b"row"
    for shared in (lasting, short):
        shared.close()


def test_all_shared_rows_stay_within_a_size_and_the_oldest_go_first(valkey: str) -> None:
    import redis

    # Room for three rows of 100 bytes and what each takes beside its value.
    shared = SharedAnswers(valkey, value_bytes=500, total_bytes=3 * (100 + ROW_BYTES))
    for number in range(10):
        assert shared.put(f"k{number}", bytes([number]) * 100)
        time.sleep(0.002)  # the server tells ages by milliseconds
    kept = [number for number in range(10) if shared.get(f"k{number}") is not None]
    assert kept == [7, 8, 9]
    assert not shared.put("large", b"x" * 501)
    shared.put("k9", b"y" * 40)  # in place of the older one, whose bytes count no more
    assert shared.get("k9") == b"y" * 40
    client = redis.Redis.from_url(valkey)
    assert client.hget("mox:{answers}:rows", "#bytes") == str(240 + 3 * ROW_BYTES).encode()
    client.delete("mox:{answers}:ends")  # as a server short of memory may
    assert shared.put("k", b"z")
    assert shared.get("k") == b"z"
    assert client.hlen("mox:{answers}:rows") == 2
    client.close()
    shared.close()


def test_writers_at_once_keep_the_sum_of_sizes_right(valkey: str) -> None:
    import redis

    shared = SharedAnswers(valkey, total_bytes=20 * (50 + ROW_BYTES))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: shared.put(f"k{n % 40}", b"v" * (1 + n % 50)), range(400)))
    client = redis.Redis.from_url(valkey)
    rows = client.hgetall("mox:{answers}:rows")
    total = int(rows.pop(b"#bytes"))
    assert total == sum(len(value) + ROW_BYTES for value in rows.values())
    assert total <= 20 * (50 + ROW_BYTES)
    client.close()
    shared.close()


def test_a_server_that_is_away_is_said_once_and_answers_go_on(
    lab: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mox.providers.shared.AWAY_S", 0.0)  # it is tried each time
    shared = SharedAnswers("redis://someone:hunter2@127.0.0.1:1/0")
    with pytest.warns(MemoWarning, match="aren't shared") as said:
        lab.ask(lab.remembered(server, shared=shared), "a", "b", "a")
    assert server.asked == ["a", "b"]
    assert len(said) == 1
    assert "hunter2" not in str(said[0].message)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://someone:hunter2@host/0",
        "redis://:hunter2/abc=@host:6379/0",  # as base64 has it: it ends the host too early
        "redis://:hunter2#abc@host:6379/0",
        # Without `://`, with a slash too few, or with no scheme that is one.
        ":hunter2@127.0.0.1:6379/0",
        "hunter2@host:6379/0",
        "//:hunter2@host:6379/0",
        "user:hunter2@host:6379/0",
        "redis:user:hunter2@host:6379/0",
        "redis:/user:hunter2@host:6379/0",
        "my_redis://user:hunter2@host:6379/0",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each that reads it: shared answers, and the check before anything is begun."""
    monkeypatch.setenv("MOX_REDIS_URL", url)
    for read in (lambda: SharedAnswers(url), lambda: valkey.check(settings())):
        with pytest.raises(SpecError, match="no URL of a Redis") as raised:
            read()
        assert "percent-encode" in raised.value.mend
        assert "hunter2" not in "".join(traceback.format_exception(raised.value))
