"""Structured answers are valid by the schema, by an outside validator."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from mox.errors import SpecError
from mox.simulation.app import Simulator
from mox.simulation.config import Simulation
from mox.simulation.core import script
from mox.simulation.draws import Draws
from mox.simulation.models import MODELS
from mox.simulation.quality import Quality
from mox.simulation.schema import instance
from mox.simulation.script import Asked
from mox.types.providers import Message

KEYWORDS = (
    "type", "properties", "required", "items", "prefixItems", "minItems", "maxItems", "anyOf",
    "allOf", "enum", "const", "$ref", "minimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "uniqueItems", "format",
)  # fmt: skip


class Part(BaseModel):
    name: str = Field(min_length=40, max_length=60)
    share: float = Field(gt=0, lt=0.001)


class Whole(BaseModel):
    """With references, optional fields, and a list of itself."""

    parts: list[Part] = Field(min_length=4)
    count: int = Field(ge=-5, le=-3)
    even: int = Field(multiple_of=7, gt=100)
    note: str | None
    children: list["Whole"] = []


bounded = st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(
    lambda two: {"minimum": two[0], "maximum": two[0] + two[1]}
)
simple = st.one_of(
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"const": [1]}, {"enum": ["a", 2]}, {}]
    ),
    bounded.map(lambda bounds: {"type": "integer", **bounds}),
    bounded.map(lambda bounds: {"type": "number", **bounds}),
    st.integers(-9, 9).map(  # one whole number only
        lambda low: {"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + 2}
    ),
    st.integers(0, 80).map(lambda least: {"type": "string", "minLength": least}),
    st.integers(0, 80).map(lambda most: {"type": "string", "maxLength": most}),
    st.sampled_from(["date", "date-time", "email", "uuid", "uri"]).map(
        lambda kind: {"type": "string", "format": kind}
    ),
)


def nested(children):
    objects = st.dictionaries(st.sampled_from("abcd"), children, max_size=3).map(
        lambda fields: {
            "type": "object",
            "properties": fields,
            "required": sorted(fields),
            "additionalProperties": False,
        }
    )
    arrays = st.tuples(children, st.integers(0, 4)).map(
        lambda two: {"type": "array", "items": two[0], "minItems": two[1]}
    )
    either = st.lists(children, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    return st.one_of(objects, arrays, either)


@settings(max_examples=150, deadline=None)
@given(st.recursive(simple, nested, max_leaves=8), st.integers(0, 99))
def test_an_instance_is_valid_and_always_the_same(schema, number):
    made = instance(schema, Draws(str(number).encode()))
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(made)
    assert instance(schema, Draws(str(number).encode())) == made


scraps = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.just(1e400), st.text(max_size=3)),
    lambda part: st.one_of(
        st.lists(part, max_size=2), st.dictionaries(st.sampled_from(KEYWORDS), part, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYWORDS), scraps, max_size=4))
def test_what_is_no_schema_is_refused_by_name_or_answered_with_json(schema):
    try:
        made = instance(schema, Draws(b"x"))
    except SpecError:
        return
    json.dumps(made)


@given(st.integers(0, 50))
def test_what_pydantic_asks_for_pydantic_takes(number):
    made = instance(Whole.model_json_schema(), Draws(str(number).encode()))
    assert Whole.model_validate(made)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string", "pattern": "^a+$"}, "'pattern' isn't known"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "in a circle"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number stands"),
        ({"type": "number", "multipleOf": 10, "minimum": 1, "maximum": 9}, "no number stands"),
        ({"type": "thing"}, "no type 'thing'"),
        ({"type": "array", "minItems": 10**9}, "over 20000 items"),
        ({"type": "string", "minLength": 10**9}, "over 20000 characters"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "contains itself"),
        ({"properties": [1]}, "it is no schema"),
    ],
)
def test_a_schema_that_nothing_is_known_to_fulfil_is_refused(schema, why):
    with pytest.raises(SpecError, match=why):
        instance(schema, Draws(b"x"))


def test_a_schema_that_branches_into_itself_stays_small():
    fields = {name: {"anyOf": [{"$ref": "#"}, {"type": "null"}]} for name in "abcdefghij"}
    made = instance({"type": "object", "properties": fields}, Draws(b"x"))
    assert len(json.dumps(made)) < 50_000


def test_the_core_answers_a_schema_with_json():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    message = Message("user", "Give me a number.")
    asked = Asked("chat", "one", "sim-swift", (message,), 100, json_schema=schema)
    found = script(asked, MODELS["sim-swift"], seed=0)
    assert isinstance(json.loads(found.text)["n"], int)
    assert found.finish == "stop"


class Cited(BaseModel):
    answer: str
    citations: list[int]
    confidence: float = Field(ge=0, le=1)


def test_a_structured_answer_says_what_the_context_says():
    text = (
        "[1] Storks eat frogs.\n\n[2] River herons eat fish.\n\nQuestion: What do river herons eat?"
    )
    schema = Cited.model_json_schema()
    asked = Asked("chat", "one", "m", (Message("user", text),), 200, json_schema=schema)
    best = MODELS["sim-swift"].model_copy(update={"quality": Quality()})
    found = Cited.model_validate_json(script(asked, best, seed=0).text)
    assert (found.answer, found.citations) == ("River herons eat fish.", [2])


def test_some_json_object_holds_the_answer_and_its_citations():
    text = "[1] River herons eat fish.\n\nQuestion: What do river herons eat?"
    schema = {"type": "object"}
    asked = Asked("chat", "one", "m", (Message("user", text),), 200, json_schema=schema)
    best = MODELS["sim-swift"].model_copy(update={"quality": Quality()})
    found = json.loads(script(asked, best, seed=0).text)
    assert found == {"answer": "River herons eat fish.", "citations": [1]}


def test_a_schema_that_cannot_be_answered_is_a_bad_request_not_a_broken_connection():
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"pattern": "^a$"}}}
    body = {"model": "sim-swift", "messages": [{"role": "user", "content": "x"}]}
    told = json.dumps({**body, "response_format": form}).encode()
    key = {"authorization": "Bearer one"}
    reply = Simulator(Simulation()).reply("POST", "/v1/chat/completions", key, told)
    assert reply.status == 400
    assert b"'pattern' isn't known" in reply.pieces[0].data
