"""A request's digest, and an answer's row: equal exactly where what they stand for is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.providers.answers import read_row, row_of
from mox.providers.remembered import Origin, digest_of
from mox.types.providers import Answer, Message, Request, Timings, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["m", "n"]),
    "messages": st.lists(
        st.builds(Message, st.sampled_from(["system", "user"]), st.sampled_from(["", "a", "b"])),
        max_size=2,
    ).map(tuple),
    "max_output_tokens": st.integers(1, 2),
    "temperature": st.none() | st.sampled_from([0.0, 0.5]),
    "json_schema": st.none() | st.dictionaries(st.sampled_from("ab"), JSON, max_size=2),
    "cached_messages": st.integers(0, 1),
    "extra": st.dictionaries(st.sampled_from("ab"), JSON, max_size=2),
}
REQUESTS = st.builds(Request, **FIELDS)
ORIGIN = Origin("compatible", "https://a/v1")


@how(deadline=None, max_examples=50)
@given(st.data(), REQUESTS, st.sampled_from(sorted(FIELDS)))
def test_digests_are_equal_exactly_where_requests_are(
    data: st.DataObject, one: Request, field: str
) -> None:
    other = replace(one, **{field: data.draw(FIELDS[field])})
    # To Python 1 is True; to a provider it isn't, and so they are compared as it reads them.
    same = one == other and as_read(one) == as_read(other)
    assert (digest_of(one, ORIGIN) == digest_of(other, ORIGIN)) == same


def as_read(request: Request) -> str:
    return json.dumps([request.json_schema, request.extra], sort_keys=True)


@how(deadline=None, max_examples=50)
@given(REQUESTS)
def test_a_digest_depends_on_nothing_but_the_request_and_its_origin(request: Request) -> None:
    again = Request(
        request.model,
        tuple(Message(one.role, one.text) for one in request.messages),
        request.max_output_tokens,
        request.temperature,
        None if request.json_schema is None else dict(reversed(request.json_schema.items())),
        request.cached_messages,
        dict(reversed(request.extra.items())),
    )
    assert digest_of(again, ORIGIN) == digest_of(request, ORIGIN)
    for other in [Origin("openai", "https://a/v1"), Origin("compatible", "https://b/v1")]:
        assert digest_of(request, other) != digest_of(request, ORIGIN)


@pytest.mark.parametrize("extra", [{"x": float("nan")}, {"x": {1, 2}}, {"x": b"raw"}])
def test_what_json_has_not_got_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="is no JSON"):
        digest_of(Request("m", (Message("user", "why?"),), extra=extra), ORIGIN)


@how(deadline=None, max_examples=50)
@given(
    st.builds(
        Answer,
        text=st.text(),
        usage=st.builds(Usage, *[st.integers(0, 2**40)] * 5),
        finish=st.sampled_from(["stop", "length"]),
        model=st.text(),
        request_id=st.none() | st.text(),
        timings=st.just(Timings(sent=0)),
        reasoning=st.text(),
        simulated=st.booleans(),
    )
)
def test_an_answer_comes_back_from_its_row_as_it_went_in(answer: Answer) -> None:
    assert read_row(row_of(answer)) == answer
