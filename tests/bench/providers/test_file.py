"""The file of providers: what is read, and one clear error for what can't be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mox.bench.providers.conditions import ladder, searches
from mox.bench.providers.file import Benchmark, load
from mox.bench.providers.schema import schema
from mox.bench.providers.workloads import Workload, workloads
from mox.errors import MoxError
from mox.source import parse_value, read

SIM = {"kind": "simulated", "model": "sim-swift"}


def written(**changes: Any) -> dict[str, Any]:
    return {
        "providers": [SIM],
        "workloads": ["short"],
        "loads": [{"kind": "closed", "concurrency": [1, 4]}],
        **changes,
    }


def prompts(benchmark: Benchmark) -> list[Workload]:
    return [
        one
        for part in benchmark.workloads
        for one in workloads(part, caches=benchmark.plain.cache, salt="s", base=Path())
    ]


def test_defaults_are_three_rounds_of_enough_requests_for_a_p99_and_no_cache() -> None:
    plain = load(written()).plain
    assert plain.rounds * plain.requests >= 200
    assert plain.cache == ("off",)


def test_every_provider_meets_every_workload_cache_and_load() -> None:
    found = load(
        written(
            providers=[SIM, {**SIM, "model": "sim-careful", "name": "slow"}],
            workloads=["short", {"kind": "tokens", "input": 200, "output": 9}],
            cache=["off", "on"],
            loads=[
                {"kind": "closed", "concurrency": 2},
                {"kind": "poisson", "rate": [1, 3]},
                {"kind": "closed", "concurrency": [2]},  # written twice: measured once
                {"kind": "slo", "start": 2},
            ],
            slo={"e2e_ms": 9000},
        )
    )
    names = [one.name for one in ladder(found, prompts(found))]
    assert len(names) == len(set(names)) == 2 * 2 * 2 * 3
    assert "slow 200→9/cached, 3/s Poisson" in names
    assert len(searches(found, prompts(found))) == 2 * 2 * 2


def test_a_list_of_one_may_be_written_without_brackets() -> None:
    assert load(written(loads={"kind": "closed", "concurrency": 8})).loads[0].values == (8.0,)


def test_on_and_off_are_words_in_yaml_and_bools_in_python() -> None:
    assert load(written(cache=parse_value("[off, on]"))).plain.cache == ("off", "on")
    assert load(written(cache=[False, True])).plain.cache == ("off", "on")


@pytest.mark.parametrize(("one", "is_"), [("off", "off"), ("on", "on"), (True, "on")])
def test_one_cache_may_be_written_without_brackets(one: Any, is_: str) -> None:
    assert load(written(cache=one)).plain.cache == (is_,)
    Draft202012Validator(schema()).validate(written(cache="off"))


def test_set_changes_one_place() -> None:
    changed = load(written(), {"loads.0.concurrency": [16], "seed": 7})
    assert changed.loads[0].values == (16.0,)
    assert changed.plain.seed == 7


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "another"}, True),
        ({"budget": {"usd": 3}}, True),
        ({"timeout_s": 9}, False),  # it decides which answers are errors
        ({"instrument_s": 0}, True),
        ({"unpriced": True}, False),
        ({"seed": 1}, False),
        ({"time_scale": 0.5}, False),
        ({"slo": {"e2e_ms": 1}}, False),
        ({"requests": 10}, False),
    ],
)
def test_what_is_measured_tells_benchmarks_apart_and_nothing_else(
    changes: dict[str, Any], same: bool
) -> None:
    assert (load(written(**changes)).identity == load(written()).identity) == same


def test_a_corpus_is_its_content_wherever_it_lies(
    tmp_path: Path, corpus_writer: Callable[..., Path]
) -> None:
    files = []
    for name, documents in (("one", 12), ("same", 12), ("other", 13)):
        corpus_writer(tmp_path / name / "docs", documents)
        files.append(tmp_path / name / "bench.yaml")
        files[-1].write_text(
            "providers: [{kind: simulated, model: sim-swift}]\nloads: [{kind: closed}]\n"
            "workloads: [{kind: rag, corpus: {kind: evidence, path: docs}}]\n"
        )
    one, same, other = (load(file).identity for file in files)
    assert one == same
    assert one != other


class TestKeys:
    def test_an_optional_provider_without_a_key_is_left_out_by_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        real = {"kind": "openai", "model": "gpt-6-mini", "optional": True}
        found = load(written(providers=[SIM, real]))
        assert [one.name for one in found.providers] == ["sim-swift"]
        assert "OPENAI_API_KEY is not set" in found.left_out["gpt-6-mini"]

    def test_with_its_key_it_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-000000000000000000")
        real = {"kind": "openai", "model": "gpt-6-mini", "optional": True}
        found = load(written(providers=[SIM, real]))
        assert [one.name for one in found.providers] == ["sim-swift", "gpt-6-mini"]
        assert not found.left_out

    def test_a_needed_key_that_is_missing_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        with pytest.raises(MoxError, match=r"ANTHROPIC_API_KEY is not set(.|\n)*optional: true"):
            load(written(providers=[{"kind": "anthropic", "model": "claude"}]))

    def test_another_providers_key_is_refused_unrepeated(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = "sk-ant-000000000000000000"
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(MoxError, match="Anthropic") as caught:
            load(written(providers=[{"kind": "openai", "model": "gpt-6-mini"}]))
        assert key not in str(caught.value)


class TestSchema:
    """What the schema takes and refuses is what reading takes and refuses."""

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"workloads": "short", "loads": {"kind": "closed", "concurrency": 8}},
            {"cache": ["off", "on"], "seconds": 9, "slo": {"ttft_ms": 900}},
            {"providers": [{**SIM, "name": "x", "optional": True}]},
            {"workloads": [{"kind": "rag", "corpus": {"kind": "card", "name": "x"}, "k": 3}]},
        ],
    )
    def test_it_takes_what_is_read(self, changes: dict[str, Any]) -> None:
        load(written(**changes))
        Draft202012Validator(schema()).validate(written(**changes))

    @pytest.mark.parametrize(
        "changes",
        [
            {"provider": []},
            {"rounds": 2},
            {"providers": [{**SIM, "modle": 1}]},
            {"providers": [{"kind": "simulated"}]},
            {"loads": [{"kind": "closed", "concurrency": 0}]},
            {"loads": [{"kind": "poisson"}]},
            {"workloads": ["shrt"]},
        ],
    )
    def test_it_refuses_what_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(MoxError):
            load(written(**changes))
        assert not Draft202012Validator(schema()).is_valid(written(**changes))

    def test_the_example_fits_it(self) -> None:
        content = read(Path("experiments/providers.yaml")).settings
        Draft202012Validator(schema()).validate(content)
        assert load("experiments/providers.yaml").plain.rounds >= 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provider": []}, r"unknown field 'provider', did you mean 'providers'\?"),
        ({"providers": []}, "`providers` is missing or empty"),
        ({"workloads": []}, "`workloads` is missing or empty"),
        ({"loads": []}, "`loads` is missing or empty"),
        ({"providers": [{"kind": "simulatd", "model": "x"}]}, "did you mean 'simulated'"),
        ({"providers": [{"kind": "simulated"}]}, "needs the field 'model'"),
        ({"providers": [{**SIM, "modle": 1}]}, "did you mean 'model'"),
        ({"providers": [SIM, SIM]}, r"two are called 'sim-swift'"),
        ({"providers": [{**SIM, "limits": {}}]}, "no limit is stated"),
        ({"providers": [{**SIM, "limits": {"rpm": 9}}]}, "limits has no field 'rpm'"),
        ({"providers": [{**SIM, "accounts": [{"account": "a"}]}]}, "an account states no limits"),
        ({"providers": [{**SIM, "accounts": [{"acount": "a"}]}]}, "did you mean 'account'"),
        ({"workloads": ["shrt"]}, "did you mean 'short'"),
        ({"workloads": ["short", "short"]}, "two are called 'short'"),
        ({"workloads": [{"kind": "rag"}]}, "needs the field 'corpus'"),
        ({"loads": [{"kind": "closd"}]}, "did you mean 'closed'"),
        ({"loads": [{"kind": "closed", "concurrency": [0]}]}, "greater than or equal to 1"),
        ({"loads": [{"kind": "poisson", "rate": [0]}]}, "greater than 0"),
        ({"loads": [{"kind": "poisson"}]}, "needs the field 'rate'"),
        ({"loads": [{"kind": "slo"}]}, "a search for the highest load needs a bound in time"),
        (
            {"loads": [{"kind": "slo"}], "slo": {"ttft_ms": 1}, "requests": 17},
            r"51 requests \(17 × 3 rounds\) can never show that 95% keep the bounds",
        ),
        (
            {"loads": [{"kind": "slo", "start": 9, "most": 3}], "slo": {"ttft_ms": 1}},
            "most = 3 lies below start = 9",
        ),
        (
            {"loads": [{"kind": "closed", "concurrency": [4, 71]}]},
            "of 71 callers at most 70 would ask",
        ),
        ({"rounds": 2}, "greater than or equal to 3"),
        ({"requests": 0}, "greater than or equal to 1"),
        ({"cache": ["maybe"]}, "'off' or 'on'"),
        ({"slo": {}}, "name one of ttft_ms"),
        ({"slo": {"ttft_ms": 100, "attain": 1}}, "less than 1"),
        ({"budget": 0}, "budget = 0 is no mapping"),
        ({"budget": False}, "budget = False is no mapping"),
        ({"budget": []}, r"budget = \[\] is no mapping"),
        ({"budget": {"usd": 0}}, "a budget of 0 buys no request"),
        ({"budget": {"usd": -1}}, "a budget of -1 buys no request"),
        ({"time_scale": 0}, "greater than 0"),
        ({"prices": "nowhere.yaml"}, "is no file"),
        ({"seed": "one"}, "seed"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MoxError, match=said) as caught:
        load(written(**changes))
    assert caught.value.mend


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bench.yaml"
    file.write_text(
        "providers:\n  - {kind: simulated, model: sim-swift}\nworkloads: [short]\n"
        "loads:\n  - {kind: closed, concurrency: [1]}\n  - kind: poisson\n    rate: [-3]\n"
    )
    with pytest.raises(MoxError, match=r"bench\.yaml:7: "):
        load(file)


def test_a_duplicate_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bench.yaml"
    file.write_text("providers: []\nproviders: []\n")
    with pytest.raises(MoxError, match=r"bench\.yaml:2: .*duplicate key"):
        load(file)


def test_a_key_file_lies_beside_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there" / "keys").mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "there" / "keys" / name).write_text(f"a-key-of-tests-{name}")
    limits = "limits: {requests_per_min: 60}"
    (tmp_path / "there" / "p.yaml").write_text(
        "providers:\n"
        "  - {kind: simulated, model: sim-swift, key_file: keys/one}\n"
        "  - {kind: simulated, model: sim-careful, accounts: [{key_file: keys/two, "
        f"{limits}}}, {{account: b, {limits}}}]}}\n"
        "workloads: [short]\nloads: [{kind: closed}]\n"
    )
    monkeypatch.chdir(tmp_path)  # where relative paths would start by themselves
    found = load(tmp_path / "there" / "p.yaml")
    assert found.providers[0].spec.key_file == tmp_path / "there" / "keys" / "one"
    [account, _] = found.providers[1].entry.accounts or ()
    assert account["key_file"] == str(tmp_path / "there" / "keys" / "two")
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    moved = load(tmp_path / "elsewhere" / "p.yaml")
    assert moved.identity == found.identity  # what was measured is kept, wherever the tree lies
