"""Client processes: what they ask and are answered, what is counted, and how a load ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from mox.errors import EngineError, SpecError, StageError
from mox.indexes import indexes
from mox.indexes.exact import Exact, nearest
from mox.indexes.milvus.specs import Hnsw
from mox.loadgen import Ask, Cell, Subject, cores, find, measure, summary
from mox.loadgen.engine import cpu_s, memory_bytes, processes
from mox.testing.vectors import clustered
from mox.types import Place, Rows

Strange = Callable[..., Subject]
ASK = Ask(3, Exact.Search())


def children() -> list[psutil.Process]:
    """Client processes of this one."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # ended meanwhile, as a server that a test killed
            if "mox.loadgen.client" in one.cmdline():
                found.append(one)
    return found


def brief(name: str, subject: Subject, **more: Any) -> Cell:
    return Cell(name, subject, **{"ask": ASK, "seconds": 0.2, "rounds": 2, **more})


def test_every_answer_is_the_indexs_own(exact: Subject) -> None:
    cell = brief("a", exact, ask=Ask(7, Exact.Search()))
    (found,) = measure([cell])
    vectors, _ = clustered(2_000, 40)
    truth, _ = nearest(vectors, exact.queries, 7)
    assert found.whole
    for one in found.rounds:
        assert set(one.query.tolist()) == set(range(40)), "all queries are asked"
        assert (one.ids == truth[one.query]).all()
        assert len(one.latency_ms) == len(one.query) > 40
        assert (one.latency_ms > 0).all()
        assert not one.errors
        assert one.engine_cpu_s is None
    assert not children()


def test_each_client_asks_all_queries_in_an_order_of_its_own(exact: Subject) -> None:
    one, four = measure([brief("one", exact), brief("four", exact, clients=4)])
    by_one, by_four = one.rounds[0].query[:40].tolist(), four.rounds[0].query
    assert sorted(by_one) == list(range(40))
    # Rates add up over clients, each of which waits for its own answers only.
    assert len(by_four) == len(four.rounds[0].latency_ms)
    assert by_one != one.rounds[1].query[:40].tolist(), "and another in each round"
    firsts = np.flatnonzero(np.diff(np.concatenate([[-1], by_four])) != 0)
    assert len(firsts) > 40


def test_throughput_is_answers_a_second_of_all_clients(strange: Strange) -> None:
    """Each answer takes a sleep of 2 ms at least, so that 3 clients give at most 1,500 a second."""
    (found,) = measure([brief("a", strange("nothing"), clients=3)])
    for one in found.rounds:
        assert one.latency_ms.min() >= 2.0
        assert one.qps <= 1500
        assert one.qps == pytest.approx(len(one.query) / 0.2, rel=0.2)
        assert one.wall_s >= 0.2


def test_a_search_that_hangs_and_fails_at_the_end_takes_its_time_from_the_throughput(
    strange: Strange,
) -> None:
    (found,) = measure([brief("a", strange("hang_after_ten"), cold=True, rounds=1, seconds=0.5)])
    (one,) = found.rounds
    assert one.errors == {"took too long.": 1}
    # 10 answers of 5 ms and a second without one: at most 10 in 1.05 s.
    assert one.qps <= 10 / 1.05


def test_rounds_are_interleaved_in_an_order_of_their_own(strange: Strange, tmp_path: Path) -> None:
    subject = strange("nothing")
    cells = [
        brief(f"k{k}", subject, ask=Ask(k, Exact.Search()), rounds=4, seconds=0.05, cold=True)
        for k in range(1, 5)
    ]
    assert all(found.whole for found in measure(cells, seed=1))
    log = (tmp_path / "nothing.log").read_text().splitlines()
    turns = [log[at + 1] for at, line in enumerate(log) if line == "open"]
    rounds = [turns[at : at + 4] for at in range(0, 16, 4)]
    assert len(turns) == 16
    assert all(sorted(one) == ["search 1", "search 2", "search 3", "search 4"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_cold_rounds_open_anew_and_ask_nothing_before(strange: Strange, tmp_path: Path) -> None:
    subject = strange("nothing")
    cells = [brief("w", subject), brief("c", subject, cold=True, rounds=3)]
    warm, cold = measure(cells)
    log = (tmp_path / "nothing.log").read_text().split()
    assert log.count("open") == log.count("close")
    assert 3 <= log.count("open") <= 4
    asked = log.count("search")
    answered = sum(len(one.query) for one in [*warm.rounds, *cold.rounds])
    assert asked == answered + 2 * 20, "20 warm each of the two warm rounds, and no cold one"
    assert all(one.open_s is not None for one in cold.rounds)
    assert all(one.open_s is None for one in warm.rounds)


def test_a_cold_rounds_own_latency_is_that_of_its_first_answers(strange: Strange) -> None:
    """The first search after opening takes 200 ms, the others 2."""
    (found,) = measure([brief("a", strange("warm_up"), cold=True, seconds=0.5)])
    shown = summary(found, cores=cores())
    assert shown["first_ms"]["low"] >= 200
    assert shown["p50_ms"]["median"] < 100, "of a collection that the round has warmed"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("refuse_each_fourth", "refused this one."),
        ("raise_each_fourth", "ValueError: no such cell"),
    ],
)
def test_what_fails_now_and_then_is_counted_and_no_latency(
    strange: Strange, tmp_path: Path, fault: str, said: str
) -> None:
    (found,) = measure([brief("a", strange(fault), cold=True, rounds=1)])
    (one,) = found.rounds
    asked = (tmp_path / f"{fault}.log").read_text().count("search")
    assert one.errors == {said: asked // 4}
    assert len(one.query) == asked - asked // 4
    assert summary(found, cores=cores())["errors"] == {said: asked // 4}


def test_an_engine_that_stays_away_ends_its_cell_only(strange: Strange) -> None:
    lost, fine = measure([brief("a", strange("refuse")), brief("b", strange("nothing"))])
    assert isinstance(lost.failed, EngineError)
    assert lost.failed.message.startswith("gone away.")
    assert not lost.whole
    assert fine.whole
    assert not children()


def test_a_client_that_dies_is_an_error_and_no_smaller_number(strange: Strange) -> None:
    cells = [brief("a", strange("die"), clients=3), brief("b", strange("nothing"))]
    dead, fine = measure(cells)
    assert isinstance(dead.failed, StageError)
    assert "SIGKILL" in dead.failed.message
    assert dead.rounds == ()
    assert fine.whole
    assert not children()


def test_a_client_that_works_more_than_its_engine_is_found_out(strange: Strange) -> None:
    """Its searcher burns 10 ms of the client's own CPU an answer; so many of them take their
    share of the machine whoever else works on it."""
    burning = brief("burn", strange("burn"), clients=6 * cores(), rounds=1, seconds=1.0)
    waiting = brief("wait", strange("nothing"), rounds=1)
    burnt, waited = (summary(found, cores=cores()) for found in measure([burning, waiting]))
    assert burnt["client_cpu_ms"] > 9
    assert burnt["client_share"] > 0.25
    assert "clients took" in burnt["invalid"]
    assert waited["client_cpu_ms"] < 2


def test_a_writer_that_is_kept_waiting_is_told_by_its_own_time(strange: Strange) -> None:
    """Each insert takes 0.3 s, so that a round of 0.4 s has two of two rows, the second till 0.6:
    4 / 0.6 a second, not 4 / 0.4. The deletion at the end, 0.3 s more, is none of it."""
    vectors, _ = clustered(4, 4)
    subject = strange("nothing", fresh=Rows(vectors), first_id=10)
    (found,) = measure([brief("a", subject, inserts=20.0, seconds=0.4, rounds=1)])
    (one,) = found.rounds
    assert one.inserted == 4
    assert 0.6 <= one.insert_s < 0.9
    assert summary(found, cores=cores())["inserted_per_s"] == pytest.approx(4 / one.insert_s)


def test_cells_that_cannot_be_meant_are_refused(strange: Strange) -> None:
    subject = strange("nothing")
    with pytest.raises(SpecError, match="2 cells are named 'a'"):
        measure([brief("a", subject), brief("a", subject)])
    with pytest.raises(SpecError, match="inserts without vectors"):
        measure([brief("a", subject, inserts=10)])


def test_what_cannot_be_opened_fails_with_its_own_words(exact: Subject, tmp_path: Path) -> None:
    gone = Subject("gone", partial(indexes[Exact()].open, Exact(), Place("x", tmp_path)),
                   exact.queries)  # fmt: skip
    (found,) = measure([brief("a", gone)])
    assert isinstance(found.failed, EngineError)
    assert "is not there" in found.failed.message


@pytest.fixture
def on_lite(lite_server: Any, tmp_path: Path) -> Subject:
    """2,000 rows in HNSW on a server of one's own."""
    vectors, queries = clustered(2_000, 40)
    spec, place = Hnsw(m=4, ef_construction=40), Place("mox_load", tmp_path, lite_server.uri)
    backend = indexes[spec]
    backend.build(spec, Rows(vectors), place)
    opens = partial(backend.open, spec, place)
    return Subject("lite", opens, queries, pid=find(lite_server.uri))


def test_a_server_is_found_by_its_address_and_its_cpu_is_not_the_clients(
    on_lite: Subject, lite_server: Any
) -> None:
    assert on_lite.pid == lite_server.process.pid
    assert lite_server.process.pid in processes(lite_server.process.pid)
    assert os.getpid() not in processes(lite_server.process.pid)
    assert (memory_bytes(on_lite.pid) or 0) > 20e6, "a Python process with faiss"
    before = cpu_s(on_lite.pid)
    low, high = measure(
        [brief(f"ef{ef}", on_lite, ask=Ask(10, Hnsw.Search(ef=ef))) for ef in (10, 400)]
    )
    after = cpu_s(on_lite.pid)
    assert before is not None
    assert after is not None
    spent = sum(one.engine_cpu_s or 0 for found in (low, high) for one in found.rounds)
    assert 0 < spent <= after - before, "rounds don't overlap, and warming up is in none"
    assert all(one.client_cpu_s > 0 for one in low.rounds)
    vectors, _ = clustered(2_000, 40)
    truth, _ = nearest(vectors, on_lite.queries, 10)
    shares = [
        np.mean([len({*ids} & {*truth[q]}) / 10 for q, ids in zip(one.query, one.ids, strict=True)])
        for one in (low.rounds[0], high.rounds[0])
    ]
    assert shares[1] > shares[0] + 0.05, "more effort finds more, under load too"


def test_a_server_killed_in_mid_load_fails_its_cell_with_the_reason(
    on_lite: Subject, lite_server: Any, exact: Subject
) -> None:
    cells = [
        brief("lite", on_lite, ask=Ask(10, Hnsw.Search(ef=50)), clients=3, seconds=2.0),
        brief("exact", exact),
    ]

    def kill_once_it_searches() -> None:
        while len(children()) < 3 or not any(p.cpu_times().user > 0.5 for p in children()):
            time.sleep(0.05)
        time.sleep(2)
        lite_server.send(signal.SIGKILL)

    killer = threading.Thread(target=kill_once_it_searches, daemon=True)
    killer.start()
    lost, fine = measure(cells)
    killer.join(30)
    assert isinstance(lost.failed, EngineError)
    assert "away or does not answer" in lost.failed.message
    assert fine.whole
    assert not children()


SCRIPT = """
import sys
sys.path[:0] = [{folder!r}]
from functools import partial
import strange_store
from mox.indexes.exact import Exact
from mox.loadgen import Ask, Cell, Subject, measure
from mox.testing.vectors import clustered
subject = Subject("s", partial(strange_store.opened, strange_store.nothing, {log!r}),
                  clustered(10, 5)[1])
measure([Cell("a", subject, Ask(3, Exact.Search()), clients=2, seconds=60, rounds=1)])
"""


def test_clients_end_with_a_measuring_process_that_is_killed(
    strange: Strange, tmp_path: Path
) -> None:
    strange("nothing")
    log = tmp_path / "run.log"
    log.touch()
    script = SCRIPT.format(folder=str(tmp_path), log=str(log))
    # From standard input: no file that a spawned process could import again.
    with subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(script.encode())
        process.stdin.close()
        until = time.monotonic() + 60
        while log.read_text().count("search") < 100:
            assert time.monotonic() < until, "it never searched"
            time.sleep(0.1)
        clients = psutil.Process(process.pid).children()
        process.kill()
    assert len(clients) == 2
    _, alive = psutil.wait_procs(clients, timeout=20)
    assert not alive
