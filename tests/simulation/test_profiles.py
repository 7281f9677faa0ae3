"""Profiles as YAML."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from mox.errors import MissingError, SpecError, StoreError
from mox.providers.prices import Prices
from mox.simulation.models import EMBEDDING_MODELS, MODELS
from mox.simulation.profiles import PROFILES, Profile, read_profile, write_profile
from mox.types.providers import Usage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_written_is_the_profile_read(name, tmp_path):
    write_profile(PROFILES[name], tmp_path / "p.yaml")
    assert read_profile(tmp_path / "p.yaml") == PROFILES[name]


def test_a_profile_written_says_what_its_fields_mean(tmp_path):
    write_profile(PROFILES["swift"], tmp_path / "p.yaml")
    assert "# Mean time between two output tokens" in (tmp_path / "p.yaml").read_text()


def test_a_misspelt_field_is_refused_by_name(tmp_path):
    (tmp_path / "p.yaml").write_text("name: x\nfirst_s: 1\ntoken_s: 0.1\ntoken_shap: 3\n")
    with pytest.raises(SpecError, match=r"token_shap.*did you mean 'token_shape'"):
        read_profile(tmp_path / "p.yaml")


def test_a_profile_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        read_profile(tmp_path / "p.yaml")


def test_a_profile_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(StoreError, match="can't be written"):
        write_profile(PROFILES["swift"], tmp_path / "none" / "p.yaml")


@pytest.mark.parametrize("shares", [(), (0.0, 0.0), (1.0, -0.5)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValidationError, match="shares of chunks"):
        Profile(name="x", first_s=1, token_s=1, chunk_shares=shares)


def test_the_models_differ_in_speed_price_and_quality():
    swift, careful = MODELS["sim-swift"], MODELS["sim-careful"]
    assert swift.profile.token_s < careful.profile.token_s
    assert swift.price.output < careful.price.output
    assert swift.quality.drop > careful.quality.drop
    assert all(name.startswith("sim-") for name in [*MODELS, *EMBEDDING_MODELS])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_experiments_price_overrides_have_each_models_price(name):
    price, million = MODELS[name].price, 1_000_000
    prices = Prices.load(ROOT / "experiments" / "prices.yaml")

    def usd(usage):
        found = prices.price("simulated", name, usage, when=datetime.now(UTC))
        assert found.simulated
        return found.total

    assert usd(Usage(input_tokens=million)) == price.input
    assert usd(Usage(input_tokens=million, cached_tokens=million)) == price.cached
    assert usd(Usage(input_tokens=million, cache_write_tokens=million)) == price.cache_write
    assert usd(Usage(output_tokens=million)) == price.output


@pytest.mark.parametrize("name", sorted(EMBEDDING_MODELS))
def test_the_experiments_price_overrides_have_each_embedding_models_price(name):
    prices = Prices.load(ROOT / "experiments" / "prices.yaml")
    found = prices.price("simulated", name, Usage(1_000_000), when=datetime.now(UTC))
    assert (found.total, found.simulated) == (EMBEDDING_MODELS[name].price_input, True)
