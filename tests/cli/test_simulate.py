"""`mox simulate`, as a user starts and ends it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from mox.cli.app import app
from mox.cli.simulate import simulate
from mox.errors import EngineError, SpecError
from mox.simulation.config import read
from mox.simulation.naming import even
from mox.simulation.profiles import CAREFUL, write_profile
from mox.simulation.serving import serving, url_of

SIMULATION = """\
models:
  tiny: {profile: {first_s: 0.01}}
accounts:
  alice: {limits: {rpm: 60, tpm: 6000}}
faults:
  - {kind: server, models: [tiny], attempts: 1}
"""
COMMAND = [sys.executable, "-m", "mox", "simulate"]


def asked(url: str, key: str) -> httpx2.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    return httpx2.post(
        f"{url}/v1/chat/completions", json=body, headers={"x-api-key": key}, timeout=20
    )


@pytest.mark.timeout(60)
def test_it_says_where_it_answers_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    config, log = tmp_path / "simulation.yaml", tmp_path / "sent.jsonl"
    config.write_text(SIMULATION)
    process = subprocess.Popen(
        [*COMMAND, "--config", str(config), "--time-scale", "0.1", "--log", str(log), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = ""
        while not first.endswith("}\n"):
            first += process.stdout.readline()
        told = json.loads(first)
        assert told["simulated"] is True
        assert told["pid"] == process.pid
        assert told["openai_base_url"] == told["anthropic_base_url"] + "/v1"
        assert asked(told["url"], "alice").status_code == 500  # a first attempt
        assert asked(told["url"], "alice").json()["usage"]["completion_tokens"] == 5
        assert asked(told["url"], "bob").status_code == 401
        # Of the last one it may be about to be written; a kill loses none of those before.
        assert len(log.read_text().splitlines()) >= 2
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [500, 200, 401]
    assert [line["fault"] for line in lines] == ["server", "", ""]


def test_help_says_how_to_point_both_clients_at_it() -> None:
    said = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "200"}).output
    assert 'OpenAI(base_url="http://127.0.0.1:PORT/v1"' in said
    assert 'Anthropic(base_url="http://127.0.0.1:PORT"' in said
    assert "OPENAI_BASE_URL=" in said
    assert "ANTHROPIC_BASE_URL=" in said


def test_the_file_in_the_help_is_one(tmp_path: Path) -> None:
    lines = [line.strip() for line in (simulate.__doc__ or "").splitlines()]
    file = [line for line in lines if line.startswith(("models:", "accounts:", "faults:"))]
    (tmp_path / "simulation.yaml").write_text("\n".join(file))
    found = read(tmp_path / "simulation.yaml")
    assert found.models["my-model"].profile.first_s == 0.2
    assert found.limits("alice", "my-model") is not None
    assert len(found.faults) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("models:\n  m: {}\nseeds: 3\n", "simulation.yaml:3: simulation has no field 'seeds'"),
        (
            "accounts:\n  a:\n    limits: {rpm: 1}\n",
            "simulation.yaml:3: simulation.accounts.a.limits",
        ),
        (
            "faults:\n  - kind: cut\n    rate: 2\n",
            "simulation.yaml:3: simulation.faults.0.rate = 2",
        ),
    ],
)
def test_a_file_that_can_not_be_meant_is_refused_by_line(
    tmp_path: Path, written: str, said: str
) -> None:
    config = tmp_path / "simulation.yaml"
    config.write_text(written)
    done = CliRunner().invoke(app, ["simulate", "--config", str(config)])
    assert done.exit_code == 2
    assert said in done.output


def test_a_recorded_profile_is_played_by_the_name_of_its_file(tmp_path: Path) -> None:
    mine = CAREFUL.model_copy(update={"name": "mine", "first_s": 0.77})
    write_profile(mine, tmp_path / "mine.yaml")
    config = tmp_path / "simulation.yaml"
    config.write_text("models:\n  m: {like: sim-swift, profile: mine.yaml}\n")
    assert read(config).models["m"].profile == mine


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (None, "mine.yaml: no such file"),
        ("name: x\nfirst_s: 1\ntoken_s: -1\n", r"mine.yaml.token_s = -1"),
    ],
)
def test_a_profiles_file_that_holds_none_is_refused_by_the_line_that_names_it(
    tmp_path: Path, profile: str | None, said: str
) -> None:
    if profile is not None:
        (tmp_path / "mine.yaml").write_text(profile)
    config = tmp_path / "simulation.yaml"
    config.write_text("models:\n  m:\n    profile: mine.yaml\n")
    with pytest.raises(SpecError, match=said) as caught:
        read(config)
    assert "simulation.yaml:3: " in caught.value.message


def test_a_file_that_is_not_there_and_a_log_that_can_not_be_written(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["simulate", "--config", str(tmp_path / "none.yaml")])
    assert missing.exit_code == 2
    assert "none.yaml" in missing.output
    no_log = CliRunner().invoke(app, ["simulate", "--log", str(tmp_path / "no" / "log")])
    assert no_log.exit_code == 2
    assert "can't be written" in no_log.output


def test_an_address_of_ipv6_is_told_as_a_url_has_it() -> None:
    assert url_of("::1", 80) == "http://[::1]:80"
    assert url_of("127.0.0.1", 80) == "http://127.0.0.1:80"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert f"can't listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.timeout(60)
def test_a_child_simulator_ends_in_order_with_its_context_and_prints_into_no_pipe(
    tmp_path: Path,
) -> None:
    log = tmp_path / "sent.jsonl"
    with serving({"models": {"tiny": even()}, "time_scale": 0.01}, log=log) as served:
        assert asked(served.url, "any").status_code == 200
        assert served.stats()["simulated"] is True
        if sys.platform == "linux":
            ours = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if _open(path)}
            theirs = Path(f"/proc/{served.pid}/fd")
            pipes = {str((theirs / n).readlink()) for n in ("1", "2")}
            assert not {one for one in pipes & ours if one.startswith("pipe:")}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(served.url + "/mox/stats")
    assert json.loads(log.read_text())["whole"]  # written when it was told to end


def _open(path: Path) -> bool:
    try:
        return bool(path.readlink())
    except OSError:
        return False


def test_a_child_simulator_that_can_not_be_meant_never_starts() -> None:
    with pytest.raises(SpecError, match="no field 'modles'"), serving({"modles": {}}):
        pass


def test_a_child_simulator_that_does_not_start_says_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="can't be written"), serving(log=tmp_path / "no" / "log"):
        pass
