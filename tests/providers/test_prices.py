"""Prices: by hand from published sheets, by the file of overrides, or not known by name."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import warnings
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from mox.cli.doctor import _prices as doctor_on_prices
from mox.errors import MissingError, PriceError
from mox.providers.overrides import read_overrides
from mox.providers.prices import Prices, Terms, price
from mox.providers.rates import most_tokens
from mox.types.providers import Message, Request, Usage

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
TABLE = Prices()
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def written(folder: Path, *rows: str) -> Prices:
    file = folder / "prices.yaml"
    file.write_text("prices:\n" + "".join(f"  - {{{row}}}\n" for row in rows), encoding="utf-8")
    return Prices(read_overrides(file))


def total(made: Prices, provider: str, model: str, usage: Usage, **terms: object) -> Decimal:
    found = made.price(provider, model, usage, when=NOW, **terms).total  # type: ignore[arg-type]
    assert found is not None
    return found


# Published prices in USD per 1,000,000 tokens. claude-sonnet-5-5: input 2, cache read 0.10, cache
# write 2.50, output 10. gpt-6-sol: input 2, cached 0.20, output 10, half of that in flex and in a
# batch; more than 272,000 input tokens: input 4, cached 0.40, output 15 for all of them.
# text-embedding-3-small: 0.02.
BY_HAND = [
    # 10,000 × 2 + 80,000 × 0.10 + 10,000 × 2.50 + 1,000 × 10 = 20,000 + 8,000 + 25,000 + 10,000
    ("anthropic", "claude-sonnet-5-5", Usage(100_000, 80_000, 10_000, 1_000), {}, "0.063"),
    # Reasoning is output: 1,000 × 2 + 5,000 × 10 = 52,000
    ("openai", "gpt-6-sol", Usage(1_000, 0, 0, 5_000, 4_000), {}, "0.052"),
    # 600 × 2 + 400 × 0.20 + 100 × 10 = 1,200 + 80 + 1,000
    ("openai", "gpt-6-sol", Usage(1_000, 400, 0, 100), {}, "0.00228"),
    # The same in flex, and in a batch: a half
    ("openai", "gpt-6-sol", Usage(1_000, 400, 0, 100), {"service_tier": "flex"}, "0.00114"),
    ("openai", "gpt-6-sol", Usage(1_000, 400, 0, 100), {"batch": True}, "0.00114"),
    ("openai", "gpt-6-sol", Usage(1_000, 400, 0, 100), {"service_tier": "default"}, "0.00228"),
    # At the threshold: 272,000 × 2 + 1,000 × 10; one more and all of it doubles: × 4, and × 15
    ("openai", "gpt-6-sol", Usage(272_000, 0, 0, 1_000), {}, "0.554"),
    ("openai", "gpt-6-sol", Usage(272_001, 0, 0, 1_000), {}, "1.103004"),
    # A million and a half of embedded tokens: 1.5 × 0.02
    ("openai", "text-embedding-3-small", Usage(1_500_000), {}, "0.03"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "terms", "usd"), BY_HAND)
def test_published_prices_by_hand(
    provider: str, model: str, usage: Usage, terms: dict[str, object], usd: str
) -> None:
    assert total(TABLE, provider, model, usage, **terms) == Decimal(usd)


def test_a_price_names_its_parts_its_row_and_the_version_of_both_tables(tmp_path: Path) -> None:
    made = written(tmp_path, "provider: openai, model: x, per: 1M, input: 1, output: 2")
    found = made.price("openai", "gpt-6-sol", Usage(1_000, 400, 100, 50, 20), when=NOW)
    # 500 × 2, 400 × 0.20, 100 × 2.50, 30 × 10 and 20 × 10 by the million
    parts = (found.input, found.cached, found.cache_write, found.output, found.reasoning)
    assert parts == tuple(map(Decimal, ("0.001", "0.00008", "0.00025", "0.0003", "0.0002")))
    assert found.row == "genai-prices: openai/gpt-6-sol"
    sha256 = subprocess.run(
        ["sha256sum", tmp_path / "prices.yaml"], capture_output=True, text=True, check=True
    ).stdout
    assert found.table == f"genai-prices 0.2.3 + prices.yaml {sha256[:12]}"
    assert made.price("openai", "x", Usage(1), when=NOW).row == "prices.yaml:2"


@pytest.mark.parametrize(
    ("model", "terms"),
    [
        # The package answers all of these with a figure: the usual price, or 0.
        ("gpt-4-32k", {"batch": True}),  # its row has no batch price
        ("text-embedding-3-small", {"batch": True}),
        ("gpt-6-sol", {"service_tier": "scale"}),  # no such tier in the row
        ("gpt-6-sol", {"service_tier": "flex", "batch": True}),
        ("whisper-1", {}),  # priced by the hour
        ("omni-moderation-latest", {}),  # an empty row
        ("gpt-7", {}),
    ],
)
def test_what_the_package_would_make_up_is_not_known(model: str, terms: dict[str, object]) -> None:
    with pytest.raises(PriceError, match="no price is known"):
        total(TABLE, "openai", model, Usage(1_000, 0, 0, 10), **terms)


def test_a_batch_price_is_not_known_before_the_table_has_it() -> None:
    # The table's batch rows begin on 2026-10-14.
    early = dt.datetime(2026, 10, 13, tzinfo=dt.UTC)
    with pytest.raises(PriceError, match="in a batch"):
        TABLE.price("anthropic", "claude-sonnet-5-5", Usage(10), when=early, batch=True)


def test_prices_are_those_of_the_moment() -> None:
    # o3: input 10 until 2025-06-09, and 2 since.
    usage = Usage(1_000_000)
    before = TABLE.price("openai", "o3", usage, when=dt.datetime(2025, 6, 1, tzinfo=dt.UTC))
    after = TABLE.price("openai", "o3", usage, when=NOW)
    assert (before.total, after.total) == (Decimal(10), Decimal(2))


def test_output_of_a_model_that_only_embeds_has_no_price() -> None:
    with pytest.raises(PriceError, match="no price of output tokens"):
        total(TABLE, "openai", "text-embedding-3-small", Usage(10, 0, 0, 5))


@pytest.mark.parametrize("usage", [Usage(10, 11), Usage(10, 6, 6), Usage(1, 0, 0, 5, 6), Usage(-1)])
def test_a_usage_that_contradicts_itself_has_no_price(usage: Usage) -> None:
    with pytest.raises(PriceError, match="can't be right"):
        total(TABLE, "openai", "gpt-6-sol", usage)


MODELS = ["gpt-6-sol", "gpt-4o", "o3", "gpt-6.1-terra", "gpt-5.5-pro"]


@how(deadline=None, max_examples=50)
@given(
    st.sampled_from(MODELS),
    st.integers(0, 600_000),
    st.integers(0, 10**6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([None, "flex", "batch"]),
)
def test_totals_are_the_packages_own_where_it_knows(
    model: str, tokens: int, output: int, cached: float, reasoning: float, terms: str | None
) -> None:
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    read = int(tokens * cached)
    usage = Usage(tokens, read, 0, output, int(output * reasoning))
    asked = {"batch": True} if terms == "batch" else {"service_tier": terms}
    try:
        ours = total(TABLE, "openai", model, usage, **asked)
    except PriceError:
        return
    context = {"processing": "batch"} if terms == "batch" else {"service_tier": str(terms)}
    theirs = calc_price(
        Theirs(input_tokens=tokens, cache_read_tokens=read, output_tokens=output),
        model,
        provider_id="openai",
        genai_request_timestamp=NOW,
        price_context=context if terms else None,
    )
    assert ours == theirs.total_price


COUNTS = st.integers(0, 10**9)


@how(deadline=None, max_examples=50)
@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_no_usage_costs_more_than_the_worst_case(
    plain: int, cached: int, write: int, output: int, reasoning: int
) -> None:
    usage = Usage(plain + cached + write, cached, write, output + reasoning, reasoning)
    for provider, model in [("openai", "gpt-6-sol"), ("anthropic", "claude-haiku-5-5")]:
        most = TABLE.worst(
            Terms(provider, model, NOW),
            input_tokens=usage.input_tokens,
            max_output_tokens=usage.output_tokens,
        )
        assert most.total is not None
        assert total(TABLE, provider, model, usage) <= most.total


@how(deadline=None, max_examples=50)
@given(
    st.decimals("0.003", "150", places=12),
    st.decimals("0.01", "600", places=12),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
def test_prices_are_exact_whatever_their_places(
    rate: Decimal, spoken: Decimal, tokens: int, output: int
) -> None:
    from fractions import Fraction

    from mox.providers.rates import Rates, cost

    found = cost(Rates(input=rate, output=spoken), Usage(tokens, 0, 0, output), of="x").total
    assert found is not None
    assert Fraction(found) * 10**6 == Fraction(rate) * tokens + Fraction(spoken) * output


def test_an_override_wins_and_has_batch_tiers_threshold_and_days(tmp_path: Path) -> None:
    made = written(
        tmp_path,
        "provider: openai, model: gpt-6-sol, per: 1M, input: 3, cached: 0.1, output: 12,"
        " reasoning: 6, batch: {input: 1, output: 4}, tiers: {flex: {input: 2, output: 8}},"
        " above: {tokens: 1000, input: 6}",
        "provider: openai, model: gpt-6-sol, per: 1M, input: 30, output: 120, since: 2026-12-01",
    )
    usage = Usage(1_000, 500, 0, 100, 50)
    # 500 × 3 + 500 × 0.1 + 50 × 12 + 50 × 6 = 1,500 + 50 + 600 + 300
    assert total(made, "openai", "gpt-6-sol", usage) == Decimal("0.00245")
    # A batch has no price of its own for cached input and reasoning: 1,000 × 1 + 100 × 4
    assert total(made, "openai", "gpt-6-sol", usage, batch=True) == Decimal("0.0014")
    assert total(made, "openai", "gpt-6-sol", usage, service_tier="flex") == Decimal("0.0028")
    # Above 1,000 input tokens input costs 6, and the rest what it did: 1,001 × 6 + 10 × 12
    assert total(made, "openai", "gpt-6-sol", Usage(1_001, 0, 0, 10)) == Decimal("0.006126")
    later = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
    assert made.price("openai", "gpt-6-sol", Usage(100), when=later).total == Decimal("0.003")
    with pytest.raises(PriceError, match="service tier 'priority'"):
        total(made, "openai", "gpt-6-sol", usage, service_tier="priority")


@pytest.mark.parametrize("model", ["my-llama", "a: b", "yes"])
@pytest.mark.parametrize("terms", [{}, {"batch": True}, {"service_tier": "flex"}])
def test_an_unknown_price_prints_the_lines_that_make_it_known(
    tmp_path: Path, model: str, terms: dict[str, object]
) -> None:
    with pytest.raises(PriceError, match="no price is known of compatible") as raised:
        total(TABLE, "compatible", model, Usage(1), **terms)
    assert "experiments/prices.yaml" in raised.value.mend
    lines = raised.value.mend.partition("\n")[2].replace("…", "1")
    (tmp_path / "prices.yaml").write_text(lines)
    made = Prices(read_overrides(tmp_path / "prices.yaml"))
    assert total(made, "compatible", model, Usage(10**6), **terms) == 1


def test_what_has_no_price_passes_only_where_that_is_said() -> None:
    made = Prices(unpriced=True)
    found = made.price("compatible", "my-llama", Usage(1), when=NOW)
    assert (found.total, found.priced) == (None, False)


OK = "provider: compatible, model: m, per: 1M, input: 2, output: 10"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("provider: openai, model: m, input: 2, output: 10", "says no unit"),
        (
            "provider: openai, model: m, per: 1k, input: 0.002, output: 0.01",
            "write `per: 1M, input: 2, output: 10`",
        ),
        (
            "provider: openai, model: m, per: token, input: 2e-6, output: 1e-5",
            "write `per: 1M, input: 2, output: 10`",
        ),
        ("provider: openai, model: m, per: hour, input: 2", "is per 'hour'"),
        # A unit that is stated and wrong: per token, per 1,000 tokens, in cents.
        (OK.replace("input: 2", "input: 0.000002"), "input is 0.000002 USD.*less than any"),
        (OK.replace("input: 2", "input: 0.002"), "input is 0.002 USD.*less than any"),
        (OK.replace("output: 10", "output: 1000"), "output is 1000 USD.*more than any"),
        (OK + ", batch: {input: 0.001}", "batch.input is 0.001"),
        (OK + ", tiers: {flex: {output: 0.005}}", "tiers.flex.output is 0.005"),
        (OK + ", above: {tokens: 5, input: 900}", "above.input is 900"),
        (OK.replace("input: 2", "input: -2"), "greater than or equal to 0"),
        (OK.replace("input: 2", "input: $2"), "bare number"),
        (OK.replace("input: 2", "input: true"), "the row.input"),
        (OK.replace("input: 2", "input: .nan"), "the row.input"),
        (OK + ", currency: EUR", "no field 'currency'"),
        ("provider: openai, model: m, per: 1M", "no `input` and no `output`"),
        ("provider: simulated, model: m, per: 1M, input: 1", "says `simulated: true`"),
    ],
)
def test_a_row_in_another_unit_or_of_another_kind_is_one_clear_error(
    tmp_path: Path, row: str, said: str
) -> None:
    with pytest.raises(PriceError, match=said) as raised:
        written(tmp_path, OK.replace("model: m", "model: fine"), row)
    assert raised.value.message.startswith("prices.yaml:3: ")


@pytest.mark.parametrize("input_", ["200", "0.04"])
def test_a_price_far_from_the_packages_own_is_not_believed(tmp_path: Path, input_: str) -> None:
    # gpt-6-sol costs 2: 200 are its cents. 0.04 is a fiftieth, which no discount makes.
    row = f"provider: openai, model: gpt-6-sol, per: 1M, input: {input_}, output: 10"
    with pytest.raises(PriceError, match=r"more than any|package's row"):
        total(written(tmp_path, row), "openai", "gpt-6-sol", Usage(1))
    made = written(tmp_path, row + ", sure: true")
    assert total(made, "openai", "gpt-6-sol", Usage(10**6)) == Decimal(input_)


def test_nothing_to_pay_is_believed(tmp_path: Path) -> None:
    made = written(tmp_path, "provider: compatible, model: mine, per: 1M, input: 0, output: 0")
    assert total(made, "compatible", "mine", Usage(10**6, 0, 0, 10**6)) == 0


@pytest.mark.parametrize("row", [OK, "provider: [openai, compatible], model: m, per: 1M, input: 1"])
def test_two_rows_for_the_same_are_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(PriceError, match=r"has a price already \(prices.yaml:2\)"):
        written(tmp_path, OK, row)


@pytest.mark.parametrize("text", ["prices: {}", "prices: [1]", "costs: []", "prices: []\nx: 1"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(PriceError, match=r"a list under `prices:`|no row of prices"):
        read_overrides(tmp_path / "prices.yaml")


def test_simulated_models_have_prices_that_say_so() -> None:
    made = Prices.load(EXPERIMENTS / "prices.yaml")
    for model in ["sim-swift", "sim-careful"]:
        found = made.price("simulated", model, Usage(1_000, 100, 0, 10), when=NOW)
        assert found.simulated
        assert found.total
        assert total(made, "simulated", model, Usage(9), batch=True) > 0
    # 15 × 10⁶ tokens at 0.15, and 10⁶ at 0.60
    usage = Usage(15_000_000, 0, 0, 1_000_000)
    assert total(made, "simulated", "sim-swift", usage) == Decimal("2.85")
    assert made.price("compatible", "sim-embed", Usage(9), when=NOW).simulated


def test_the_file_is_the_working_trees_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "notebooks").mkdir()
    written(tmp_path / "experiments", OK)
    (tmp_path / "own").mkdir()
    written(tmp_path / "own", OK.replace("input: 2", "input: 3"))
    monkeypatch.chdir(tmp_path / "notebooks")
    assert price("compatible", "m", Usage(10**6), when=NOW).total == 2
    monkeypatch.setenv("MOX_PRICES", str(tmp_path / "own" / "prices.yaml"))
    assert price("compatible", "m", Usage(10**6), when=NOW).total == 3
    monkeypatch.setenv("MOX_PRICES", "nowhere.yaml")
    with pytest.raises(MissingError, match="no such file"):
        Prices.load()


def test_the_package_stays_unimported_until_a_price_is_asked_and_never_asks_the_network() -> None:
    code = (
        "import sys, socket, mox, mox.providers.prices as p, mox.providers.ledger\n"
        "import mox.providers.budget, mox.providers.remembered, mox.providers.costs, mox.cli\n"
        "print([m for m in ('genai_prices', 'redis', 'httpx2', 'pandas') if m in sys.modules])\n"
        "def no(*a): raise SystemExit('network')\n"
        "socket.socket.connect = no\n"
        "import datetime as dt; from mox.types.providers import Usage\n"
        "print(p.Prices().price('openai', 'gpt-4o', Usage(1),"
        " when=dt.datetime.now(dt.UTC)).total)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split("\n")[:2] == ["[]", "0.0000025"], done.stderr


def test_the_doctor_names_the_tables_and_what_is_wrong_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_PRICES", str(tmp_path / "prices.yaml"))
    written(tmp_path, OK)
    found = doctor_on_prices()
    assert found.state == "ok"
    assert found.said.startswith("genai-prices 0.2.3 + prices.yaml ")
    (tmp_path / "prices.yaml").write_text(f"prices:\n  - {{{OK.replace('per: 1M', 'per: 1k')}}}\n")
    found = doctor_on_prices()
    assert (found.state, "per '1k'" in found.said) == ("broken", True)
    assert "per: 1M, input: 2000" in found.mend


@how(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_no_tokenizer_counts_more_input_than_a_budget_holds(texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the package's own
        from bpe_openai import get_encoding

        encoding = get_encoding("o200k_base")
    messages = tuple(Message("user", text) for text in texts)
    # OpenAI's cookbook: 3 tokens around each message, and 3 for the answer's beginning.
    encoded = sum(len(encoding.encode(text)) + 3 for text in texts) + 3
    assert encoded <= most_tokens(Request("m", messages))
    schema = most_tokens(Request("m", messages, json_schema={"type": "object"}))
    assert schema >= most_tokens(Request("m", messages)) + 346  # what Anthropic adds for a tool
