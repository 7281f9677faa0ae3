"""`mox bench providers`: what it prints, where it goes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mox.bench.providers import kept
from mox.bench.providers.client.records import Writer
from mox.bench.providers.file import load
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.rows import About, row
from mox.cli.app import app
from mox.pipeline.store import Store
from mox.simulation.profiles import read_profile
from mox.simulation.serving import serving
from mox.types.providers import Usage

FILE = """
name: small
providers: [{kind: simulated, model: sim-swift}]
workloads: [short]
loads: [{kind: closed, concurrency: [1, 2]}]
prices: prices.yaml
"""
PRICES = """
prices:
  - {provider: simulated, model: sim-swift, per: 1M, simulated: true, input: 0.20, output: 1.00}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "prices.yaml").write_text(PRICES)
    path = tmp_path / "small.yaml"
    path.write_text(FILE)
    return path


def called(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", "providers", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_dry_run_says_what_it_would_do(file: Path) -> None:
    status, out, _ = called(file, "--dry-run", "--json", "--set", "requests=10")
    said = json.loads(out)
    assert status == 0
    assert (said["schema"], said["dry_run"], said["usd_at_most"]) == (1, True, 0)
    assert said["providers"][0]["requests"] == 2 * 3 * 10
    status, out, _ = called(file, "--dry-run")
    assert status == 0
    assert "simulated: nobody is paid" in out


def test_what_cannot_be_meant_ends_with_2_and_one_document(file: Path) -> None:
    status, out, err = called(file, "--json", "--set", "rounds=1")
    assert status == 2
    assert json.loads(out)["error"]["mend"]
    assert "rounds" in err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, _, err = called(tmp_path / "no.yaml")
    assert status == 2
    assert "no.yaml: no such file" in err


def test_what_is_kept_whole_is_shown_and_nobody_is_asked(file: Path, own_state: Path) -> None:
    benchmark = load(file).identity
    document = {
        "schema": 1, "simulated": True, "time_scale": 1.0, "benchmark": benchmark,
        "name": "small", "at": "2026-11-26T12:00:00Z", "rows": [], "missing": [], "notes": [],
        "stopped": None, "usd": {"real": 0, "simulated": 0},
    }  # fmt: skip
    kept.save(kept.folder(Store(own_state), benchmark), document)
    status, out, _ = called(file, "--json", "--offline")
    assert (status, json.loads(out)) == (0, document)


def measured(file: Path, root: Path, **changes: Any) -> str:
    """A whole benchmark of the file with 20 answers of `good`, and 3 refusals of `bad`."""
    id_ = load(file).identity
    rows = [row(About(name, name, "short", {"kind": "closed", "value": 1}), [records])
            for name, records in (("good", answers()), ("bad", refusals()))]  # fmt: skip
    document = {
        "schema": 1, "simulated": False, "time_scale": 1.0, "benchmark": id_, "name": "small",
        "at": "2026-11-26T12:00:00Z", "rows": [one.document() for one in rows], "missing": [],
        "notes": [], "stopped": None, "usd": {"real": 0, "simulated": 0}, **changes,
    }  # fmt: skip
    place = kept.folder(Store(root), id_)
    kept.save(place, document)
    with Writer(place / "records.jsonl") as writer:
        for cell, records in (("good", answers()), ("bad", refusals())):
            writer.begin({"cell": cell, "round": 0, "time_scale": 1.0, "at": "2026-11-26"})
            for one in records:
                writer.record(one)
            writer.end(cell, 0, check=None, failed=None)
    return id_


def answers() -> list[Record]:
    """Twelve chunks each, one in 10 ms, after 200 ms; asked once a second."""
    return [
        Record(
            "good", "good", "short", Load("closed", 1), 0, number, scheduled_ns=s * 10**9,
            sent_ns=s * 10**9, done_ns=s * 10**9 + 320 * 10**6,
            chunks=tuple(Chunk(s * 10**9 + (200 + 10 * at) * 10**6, 4) for at in range(12)),
            usage=Usage(input_tokens=100, output_tokens=12),
        )
        for number, s in enumerate(range(1, 21))
    ]  # fmt: skip


def refusals() -> list[Record]:
    return [
        Record("bad", "bad", "short", Load("closed", 1), 0, number, scheduled_ns=number,
               sent_ns=number, done_ns=number + 1, error="auth", said="no such key")
        for number in range(3)
    ]  # fmt: skip


def test_one_dead_provider_costs_neither_the_table_nor_the_others_profile(
    file: Path, own_state: Path, tmp_path: Path
) -> None:
    measured(file, own_state)
    status, out, err = called(file, "--offline", "--record", tmp_path / "p.yaml")
    assert status == 1
    assert "no answer: 3 × auth (no such key)." in out
    assert "the same call shows this again; --again measures anew" in out
    assert f"profile: {tmp_path / 'p-good.yaml'}\n" in err
    assert "no profile of bad: 0 whole answers" in err
    # 200 ms to the first token; 10 ms between tokens.
    profile = read_profile(tmp_path / "p-good.yaml")
    assert profile.first_s == pytest.approx(0.2)
    assert profile.token_s == pytest.approx(0.01, rel=0.05)
    status, out, _ = called(file, "--offline", "--json", "--record", tmp_path / "p.yaml")
    assert (status, len(json.loads(out)["rows"])) == (1, 2)


def test_a_profile_that_can_go_nowhere_is_refused_before_anything_is_paid(
    file: Path, own_state: Path, tmp_path: Path
) -> None:
    status, _, err = called(file, "--offline", "--record", tmp_path / "no" / "p.yaml")
    assert status == 2
    assert f"{tmp_path / 'no'} is no folder" in err
    assert not (own_state / "results").exists()


def test_again_measures_anew_and_what_was_not_answered_ends_with_1(
    file: Path, own_state: Path, tmp_path: Path
) -> None:
    with (tmp_path / "prices.yaml").open("a") as prices:
        prices.write(
            "  - {provider: simulated, model: sim-nobody, per: 1M, simulated: true,"
            " input: 1, output: 1}\n"
        )
    with serving({"time_scale": 0.05}) as served:
        file.write_text(
            "name: small\n"
            f"providers: [{{kind: simulated, model: sim-nobody, url: '{served.url}'}}]\n"
            "workloads: [{kind: tokens, input: 80, output: 12}]\n"
            "loads: [{kind: closed, concurrency: 1}]\n"
            "requests: 2\ntime_scale: 0.05\ninstrument_s: 0\nprices: prices.yaml\n"
        )
        id_ = measured(file, own_state)
        status, out, _ = called(file, "--json", "--offline", "--again")
    assert status == 1
    assert [(one["provider"], one["errors"]["model_not_found"] > 0)
            for one in json.loads(out)["rows"]] == [("sim-nobody", True)]  # fmt: skip
    aside = json.loads((own_state / "results" / f"bench-{id_}.1" / "document.json").read_bytes())
    assert [one["provider"] for one in aside["rows"]] == ["good", "bad"]


def test_a_budget_that_buys_nothing_is_refused(file: Path) -> None:
    status, _, err = called(file, "--offline", "--set", "budget.usd=0.0001")
    assert status == 2
    assert "buys no round" in err
