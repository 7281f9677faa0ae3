"""Rounds over cells: their order, what is kept of them, and what is not measured twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Target, Timeouts, Turn, measure
from mox.bench.providers.client.records import read
from mox.bench.providers.record import Load, Record
from mox.errors import SpecError, StoreError

HERE = Path(__file__).parent


@pytest.fixture
def cells(target: Target, prompts: Any) -> list[Cell]:
    """Two targets under two loads each, of two requests."""
    return [
        Cell(replace(target, name=name), "tried", prompts.say(n=2, name=name), Load(kind, 2.0),
             None, requests=2, timeouts=Timeouts(2, 1, 1, 5), warm_up=1)
        for name in ("one", "two")
        for kind in ("closed", "constant")
    ]  # fmt: skip


def names(turns: list[Turn]) -> list[tuple[str, int]]:
    return [(turn.cell.name, turn.round) for turn in turns]


def test_rounds_are_interleaved_in_orders_of_their_own(cells: list[Cell], tmp_path: Path) -> None:
    turns = list(measure(cells, out=tmp_path / "r.jsonl", rounds=3, seed=1))
    everyone = sorted(cell.name for cell in cells)
    orders = [names(turns)[at : at + 4] for at in (0, 4, 8)]
    assert [sorted(name for name, _ in order) for order in orders] == [everyone] * 3
    assert [{round_ for _, round_ in order} for order in orders] == [{0}, {1}, {2}]
    assert len({tuple(name for name, _ in order) for order in orders}) > 1


def test_what_is_read_is_what_was_measured(cells: list[Cell], tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    turns = list(measure(cells[:1], out=out, rounds=2))
    kept = read(out)
    assert [one.name for one in kept] == names(turns)
    assert [one.records for one in kept] == [turn.records for turn in turns]
    assert [one.check for one in kept] == [turn.check for turn in turns]
    assert all(one.header["simulated"] and one.header["host"]["cores"] for one in kept)


def test_rounds_that_stand_in_the_file_are_not_measured_again(
    cells: list[Cell], tmp_path: Path, server: Any
) -> None:
    out = tmp_path / "r.jsonl"
    first = list(measure(cells[:2], out=out, rounds=1))
    asked = len(server.asked)
    more = list(measure(cells[:2], out=out, rounds=2))
    assert [turn.resumed for turn in more] == [True, True, False, False]
    assert sorted(names(more)[:2]) == sorted(names(first))
    # Two rounds of two requests, each with one to warm up.
    assert len(server.asked) - asked == 6


@pytest.mark.parametrize("status", [401, 500])
def test_a_cell_that_had_no_answer_is_measured_again(
    cells: list[Cell], prompts: Any, tmp_path: Path, status: int
) -> None:
    out = tmp_path / "r.jsonl"
    down = prompts.say(status=status, body={"error": {"message": "no"}})
    (turn,) = measure([replace(cells[0], prompts=down)], out=out, rounds=1)
    assert {record.error for record in turn.records} == {"auth" if status == 401 else "server"}
    (again,) = measure([cells[0]], out=out, rounds=1)
    assert not again.resumed
    # What was answered is kept, whatever comes later.
    (kept,) = measure([cells[0]], out=out, rounds=1)
    assert (kept.resumed, kept.records) == (True, again.records)


def test_a_cell_that_fails_does_not_stop_the_others(cells: list[Cell], tmp_path: Path) -> None:
    no_key = replace(cells[0], target=replace(cells[0].target, key_env="MOX_TEST_NO_SUCH_KEY"))
    turns = list(measure([no_key, cells[2]], out=tmp_path / "r.jsonl", rounds=2))
    failed = [turn for turn in turns if turn.failed]
    assert [(turn.cell, turn.round) for turn in failed] == [(no_key, 0)]
    assert "MOX_TEST_NO_SUCH_KEY is not set" in str(failed[0].failed)
    assert [len(turn.records) for turn in turns if not turn.failed] == [2, 2]


def test_prompts_that_fail_fail_their_cell_by_name(
    cells: list[Cell], prompts: Any, tmp_path: Path
) -> None:
    (turn,) = measure([replace(cells[0], prompts=prompts.broken)], out=tmp_path / "r", rounds=1)
    assert "no such passage" in str(turn.failed)


def test_what_only_the_text_tells_is_added_to_the_record(cells: list[Cell], tmp_path: Path) -> None:
    def judge(cell: Cell, record: Record, text: str) -> Record:
        return replace(record, quality=float(text == "tok tok "), usd="0.5")

    out = tmp_path / "r.jsonl"
    (turn,) = measure(cells[:1], out=out, rounds=1, judge=judge)
    assert [(record.quality, record.usd) for record in turn.records] == [(1.0, "0.5")] * 2
    assert read(out)[0].records == turn.records


def test_two_cells_of_one_name_are_refused(cells: list[Cell], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="2 cells are 'one/m tried closed 2 × 2'"):
        list(measure([cells[0], cells[0]], out=tmp_path / "r.jsonl"))


def test_a_cell_without_an_end_is_refused(cells: list[Cell], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="never ends"):
        list(measure([replace(cells[0], requests=None)], out=tmp_path / "r.jsonl"))


def test_another_file_is_not_appended_to(cells: list[Cell], tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("to do: measure")
    with pytest.raises(StoreError, match="no file of measured requests"):
        list(measure(cells, out=out))
    assert out.read_text() == "to do: measure"


MEASURING = """
import sys
from pathlib import Path
from mox.bench.providers.client import Cell, Target, measure
from mox.bench.providers.record import Load
import asked

target = Target("here", "chat", sys.argv[1], "m")
cell = Cell(target, "w", asked.say(n=1, ttft=0.02), Load("closed", 2.0), 60.0, warm_up=0)
for turn in measure([cell], out=Path(sys.argv[2]), rounds=1):
    pass
"""


def test_a_benchmark_that_is_killed_keeps_what_it_measured_and_leaves_no_process(
    target: Target, server: Any, cells: list[Cell], tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    path = os.pathsep.join([str(HERE), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURING, target.base_url, str(out)],
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        wait_for(lambda: out.exists() and out.read_bytes().count(b'"what":"record"') >= 10)
        enough = len(server.asked) + 12
        wait_for(lambda: len(server.asked) >= enough)
        (worker,) = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        wait_for(lambda: not alive(worker))
    finally:
        process.kill()
        process.wait(10)
    (cut,) = read(out)
    assert not cut.whole
    # What was asked, without what was under way: two callers, and as much on its way to the file.
    assert len(server.asked) - 6 <= len(cut.records) >= 10
    assert all(record.error is None and record.chunks for record in cut.records)


@pytest.mark.parametrize("cut", [1, 150])
def test_a_last_line_that_was_cut_is_no_line_and_the_next_run_goes_on(
    cells: list[Cell], tmp_path: Path, cut: int
) -> None:
    out = tmp_path / "r.jsonl"
    list(measure(cells[:1], out=out, rounds=1))
    whole = out.read_bytes()
    out.write_bytes(whole[:-cut])
    (torn,) = read(out)
    assert not torn.whole
    assert len(torn.records) == 2
    (turn,) = measure(cells[:1], out=out, rounds=1)
    assert not turn.resumed
    (kept,) = read(out)
    assert (kept.whole, kept.records) == (True, turn.records)


def test_a_file_whose_first_line_was_cut_is_begun_again(cells: list[Cell], tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    out.write_bytes(b'{"what":"begin","sch')
    (turn,) = measure(cells[:1], out=out, rounds=1)
    (kept,) = read(out)
    assert kept.records == turn.records
    assert json.loads(out.read_bytes().splitlines()[0])["what"] == "begin"


def test_a_spoilt_line_is_named_with_what_to_do(cells: list[Cell], tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    list(measure(cells[:1], out=out, rounds=1))
    first, second, *rest = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([first, second[:40] + b"\0\0\n", *rest]))
    with pytest.raises(StoreError, match=r"r\.jsonl:2: a line is spoilt") as caught:
        read(out)
    assert "--again" in str(caught.value.mend)


def test_ctrl_c_ends_the_workers(target: Target, prompts: Any, tmp_path: Path) -> None:
    cell = Cell(target, "w", prompts.say(n=1, ttft=0.05), Load("closed", 1.0), 60.0, warm_up=0)
    seen: list[int] = []

    def tick() -> None:
        seen.extend(children(os.getpid()))
        if (tmp_path / "r.jsonl").read_bytes().count(b"\n") > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(measure([cell], out=tmp_path / "r.jsonl", rounds=1, tick=tick))
    assert seen
    assert not any(alive(pid) for pid in seen)


def wait_for(true: Callable[[], bool], patience_s: float = 20.0) -> None:
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    import psutil

    return [
        child.pid for child in psutil.Process(pid).children() if "worker" in str(child.cmdline())
    ]


def alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
