"""A script follows from what was asked: in any order, from any thread, under any load."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.simulation.core import script
from mox.simulation.models import MODELS, Reasoning
from mox.simulation.script import Asked
from mox.simulation.tokens import count
from mox.types.providers import Message


def asked(text="Say something about cats.", *, limit=60, model="sim-swift", **more):
    return Asked("chat", "one", model, (Message("user", text),), limit, **more)


def said(request, *, seed=0, **more):
    return script(request, MODELS[request.model], seed=seed, **more)


RAG = (
    "[1] Storks eat frogs in spring, and mice.\n\n[2] River herons eat fish and frogs.\n\n"
    "Question: What do river herons eat?"
)
QUESTIONS = [asked(RAG, model=model, limit=200) for model in MODELS] + [
    asked(f"Question {number}, of no interest.", model=model, limit=limit)
    for number in range(3)
    for model in MODELS
    for limit in (1, 7, 200)
]


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(QUESTIONS))))
def test_scripts_do_not_depend_on_the_order_in_which_they_are_asked(order):
    expected = [said(question) for question in QUESTIONS]
    found = {at: said(QUESTIONS[at]) for at in order}
    assert [found[at] for at in range(len(QUESTIONS))] == expected


@pytest.fixture(scope="module")
def elsewhere():
    """What another process, of other hashes, loads and says."""
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
heavy = {"bpe_openai._bindings", "nupunkt", "numpy", "wordllama"}
from mox.simulation import core, models, script
first = sorted(heavy & set(sys.modules))
core.warm()
warm = sorted(heavy & set(sys.modules))
import test_core as t
said = str([t.said(t.asked(text, model="sim-careful")) for text in (t.RAG, "Go on.")])
print(json.dumps({"first": first, "warm": warm, "said": said}))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(found.stdout)


def test_another_process_says_the_same_whatever_its_hashes_are(elsewhere):
    expected = [said(asked(text, model="sim-careful")) for text in (RAG, "Go on.")]
    assert elsewhere["said"] == str(expected)


def test_what_is_heavy_is_loaded_when_warmed_and_not_before(elsewhere):
    assert elsewhere["first"] == []
    assert elsewhere["warm"] == ["bpe_openai._bindings", "numpy", "nupunkt", "wordllama"]


def test_scripts_do_not_depend_on_threads():
    expected = [said(question) for question in QUESTIONS]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(said, QUESTIONS)) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"account": "two"},
        {"attempt": 1},
        {"messages": (Message("user", "Say something about dogs."),)},
        {"messages": (Message("system", "Say something about cats."),)},
    ],
)
def test_another_account_attempt_or_request_is_answered_otherwise(other):
    assert said(asked()).text != said(replace(asked(), **other)).text


def test_another_seed_answers_otherwise():
    assert said(asked(), seed=0).text != said(asked(), seed=1).text


@pytest.mark.parametrize("wire", ["responses", "messages"])
def test_the_wire_changes_nothing(wire):
    assert said(asked()) == said(replace(asked(), wire=wire))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500), st.integers(0, 40), st.sampled_from(sorted(MODELS)))
def test_load_and_cache_move_times_only(load, cached, model):
    request = asked("word " * 50, model=model)
    calm, busy = said(request), said(request, load=load, cached_tokens=cached)
    assert [token.text for token in busy.tokens] == [token.text for token in calm.tokens]
    assert busy.finish == calm.finish
    assert busy.usage == replace(calm.usage, cached_tokens=cached)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 400),
    st.sampled_from(sorted(MODELS)),
    st.booleans(),
    st.text(max_size=40),
)
def test_no_script_is_longer_than_allowed_and_its_usage_adds_up(limit, model, fills, text):
    profile = MODELS[model].profile.model_copy(update={"fills": fills})
    other = MODELS[model].model_copy(update={"profile": profile})
    found = script(asked(text, limit=limit, model=model), other, seed=0)
    sizes = {
        kind: sum(t.tokens for t in found.tokens if t.kind == kind)
        for kind in ("text", "reasoning")
    }
    assert found.usage.output_tokens == sizes["text"] + sizes["reasoning"] <= limit
    assert found.usage.reasoning_tokens == sizes["reasoning"]
    assert found.usage.input_tokens >= count(text)
    dues = [token.due_s for token in found.tokens]
    assert dues == sorted(dues)
    assert found.done_s == dues[-1]
    assert all(token.text for token in found.tokens)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 600))
def test_filler_has_as_many_tokens_as_a_tokenizer_counts_in_it(limit):
    found = said(asked(limit=limit))
    assert count(found.text) == found.usage.output_tokens == limit


def test_an_answer_cut_by_its_limit_says_so():
    short = MODELS["sim-swift"].profile.model_copy(update={"fills": False})
    model = MODELS["sim-swift"].model_copy(update={"profile": short, "sigma": 0.0})
    assert model.median_tokens == 250
    assert script(asked(limit=249), model, seed=0).finish == "length"
    whole = script(asked(limit=250), model, seed=0)
    assert (whole.finish, whole.usage.output_tokens) == ("stop", 250)


def test_reasoning_comes_first_and_may_take_all_of_the_limit():
    thinking = Reasoning(median_tokens=50, sigma=0.0)
    model = MODELS["sim-thinking"].model_copy(update={"reasoning": thinking})
    kinds = [token.kind for token in script(asked(limit=80), model, seed=0).tokens]
    assert kinds == sorted(kinds)  # "reasoning" before "text"
    assert set(kinds) == {"reasoning", "text"}
    eaten = script(asked(limit=30), model, seed=0)
    assert (eaten.finish, eaten.text, eaten.usage.reasoning_tokens) == ("length", "", 30)
