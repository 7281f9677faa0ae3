"""What headers say of an account, in each provider's own form."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.providers.standing import duration_s, retry_after_s, standing
from mox.types.providers import Standing

STEADY = settings(derandomize=True, max_examples=150, deadline=None)
NOW = datetime(2026, 10, 21, 9, 30, 0, tzinfo=UTC)


def test_openais_own_example() -> None:
    """The table of OpenAI's guide to rate limits."""
    found = standing(
        {
            "x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s",
        }
    )  # fmt: skip
    assert found == Standing(
        limit={"requests": 60, "tokens": 150000},
        remaining={"requests": 59, "tokens": 149984},
        reset_s={"requests": 1, "tokens": 360},
    )


def test_of_organisation_and_project_the_tighter_binds() -> None:
    found = standing(
        {
            "x-ratelimit-limit-tokens": "100000", "x-ratelimit-remaining-tokens": "5000",
            "x-ratelimit-reset-tokens": "57s",
            "x-ratelimit-limit-project-tokens": "50000",
            "x-ratelimit-remaining-project-tokens": "30000",
            "x-ratelimit-reset-project-tokens": "24s",
        }
    )  # fmt: skip
    assert found == Standing({"tokens": 50000}, {"tokens": 5000}, {"tokens": 57})


def test_groqs_own_example() -> None:
    """The table of its page on rate limits: requests are counted a day, tokens a minute."""
    found = standing(
        {
            "retry-after": "2",
            "x-ratelimit-limit-requests": "14400", "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-requests": "14370", "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-requests": "2m59.56s", "x-ratelimit-reset-tokens": "7.66s",
        }
    )  # fmt: skip
    assert found == Standing(
        limit={"tokens": 18000},
        remaining={"requests": 14370, "tokens": 17997},
        reset_s={"requests": 179.56, "tokens": 7.66},
    )


@pytest.mark.parametrize(
    ("limit", "left", "reset", "told"),
    [
        # The rest of a day's 200 comes back at 432 s each, of a minute's 500 at 0.12 s each.
        ("200", "199", "7m12s", False),
        ("14400", "14399", "6s", False),
        ("500", "499", "120ms", True),
        ("500", "0", "1m0s", True),
        ("10000", "9999", "1s", True),  # a minute's, its reset rounded up
        ("10000", "9990", "42s", True),  # a minute's that ends in 42 s, all at once
        ("500", "500", "0s", True),
    ],
)
def test_a_days_limit_is_none_of_a_minute(limit: str, left: str, reset: str, told: bool) -> None:
    headers = {"limit": limit, "remaining": left, "reset": reset}
    found = standing({f"x-ratelimit-{name}-requests": text for name, text in headers.items()})
    assert found is not None
    assert found.limit == ({"requests": float(limit)} if told else {})
    assert found.remaining == {"requests": float(left)}


def test_anthropics_headers() -> None:
    headers = {"date": "Wed, 21 Oct 2026 09:30:00 GMT"}
    for name, limit, left, reset in (
        ("requests", "50", "49", "2026-10-21T09:30:01Z"),
        ("tokens", "48000", "47000", "2026-10-21T09:30:00Z"),
        ("input-tokens", "40000", "39000", "2026-10-21T11:30:01.5+02:00"),
        ("output-tokens", "8000", "8000", "2026-10-21T09:29:00Z"),
    ):
        headers[f"anthropic-ratelimit-{name}-limit"] = limit
        headers[f"anthropic-ratelimit-{name}-remaining"] = left
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    # Counted from the response's own date: this machine's clock doesn't matter.
    assert standing(headers) == Standing(
        limit={"requests": 50, "tokens": 48000, "input": 40000, "output": 8000},
        remaining={"requests": 49, "tokens": 47000, "input": 39000, "output": 8000},
        reset_s={"requests": 1, "tokens": 0, "input": 1.5, "output": 0},
        rounded_to=1000,
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream", "date": "Wed, 21 Oct 2026 09:30:00 GMT"},
        {"x-ratelimit-remaining-tokens": "many"},
        {"x-ratelimit-limit-tokens": "-1"},
        {"x-ratelimit-limit-tokens": "nan"},
        {"anthropic-ratelimit-tokens-reset": "soon"},
        {"anthropic-ratelimit-tokens-reset": "2026-10-21T09:30:00"},  # of which zone?
    ],
)
def test_headers_that_say_nothing_give_none(headers: dict[str, str]) -> None:
    assert standing(headers) is None


def test_one_value_is_enough() -> None:
    """Azure sends what remains and no limit."""
    found = standing({"x-ratelimit-remaining-requests": "9", "x-ratelimit-limit-tokens": "?"})
    assert found == Standing({}, {"requests": 9}, {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360), ("120ms", 0.12), ("1s", 1), ("1h2m3.5s", 3723.5), ("2m59.56s", 179.56),
        ("1d1h", 90000), ("0s", 0), ("500us", 0.0005), ("500µs", 0.0005), ("7", 7),
        (" 1s ", 1),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1x", "1s2", "-1s", "1 s", "m5", "1s,2s", "1e3s", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration_s(text) is None


@STEADY
@given(st.integers(0, 48), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_reads_back_as_it_was_written(h: int, m: int, s: int, ms: int) -> None:
    """In the two forms that Go writes, OpenAI's language for them."""
    whole = f"{h}h{m}m{s}.{ms:03}s"
    assert duration_s(whole) == pytest.approx(3600 * h + 60 * m + s + ms / 1000)
    assert duration_s(f"{h * 60 + m}m{s}s") == pytest.approx(3600 * h + 60 * m + s)


@STEADY
@given(st.text(max_size=30))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for found in (duration_s(text), retry_after_s({"retry-after": text, "date": text}, now=NOW)):
        assert found is None or (found >= 0 and math.isfinite(found))
    kinds = (
        "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens", "retry-after-ms", "date",
        "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset",
    )  # fmt: skip
    found = standing(dict.fromkeys(kinds, text))
    if found is not None:
        values = [*found.limit.values(), *found.remaining.values(), *found.reset_s.values()]
        assert all(value >= 0 and math.isfinite(value) for value in values)


@STEADY
@given(st.integers(0, 10_000_000), st.integers(0, 3600), st.integers(-720, 720))
def test_anthropics_resets_are_read_in_any_zone(left: int, seconds: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    moment = (NOW + timedelta(seconds=seconds)).astimezone(zone)
    found = standing(
        {
            "anthropic-ratelimit-input-tokens-remaining": str(left),
            "anthropic-ratelimit-input-tokens-reset": moment.isoformat(),
        },
        now=NOW,
    )
    assert found == Standing({}, {"input": left}, {"input": seconds}, rounded_to=1000)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "7", "retry-after-ms": "6500"}, 6.5),
        ({"retry-after": "Wed, 21 Oct 2026 09:30:12 GMT"}, 12),
        ({"retry-after": "Wed, 21 Oct 2026 09:30:12 -0000"}, 12),
        ({"retry-after": "Wed, 21 Oct 2026 09:29:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 09:30:12 GMT",
          "date": "Wed, 21 Oct 2026 09:30:02 GMT"}, 12),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "nan", "retry-after": "2"}, 2),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now=NOW) == seconds


def test_a_date_to_wait_for_is_counted_from_the_responses_own() -> None:
    headers = {
        "retry-after": "Wed, 21 Oct 2026 09:30:12 GMT", "date": "Wed, 21 Oct 2026 09:30:02 GMT",
    }  # fmt: skip
    assert retry_after_s(headers) == 10
