"""Which part of a prompt is context, and which the question."""

import time

import pytest

from mox.simulation.context import Given, given
from mox.types.providers import Message

LONG = "The heron stands in shallow water and waits for fish. " * 4


def user(text):
    return (Message("user", text),)


NUMBERED = (
    "Answer by the passages, and cite them.\n\n[1] Herons eat fish.\nThey stand still.\n\n"
    "[2] Storks eat frogs.\n\nQuestion: What do herons eat?"
)


def test_numbered_passages_and_a_question_are_told_apart():
    expected = Given(
        ("Herons eat fish.\nThey stand still.", "Storks eat frogs."), "What do herons eat?"
    )
    assert given(user(NUMBERED)) == expected


@pytest.mark.parametrize("end", ["\nAnswer:", "\n\nanswer:\n", "\n"])
def test_what_the_model_is_to_go_on_from_is_no_question(end):
    assert given(user(NUMBERED + end)) == given(user(NUMBERED))


def test_passages_may_stand_in_the_instructions():
    instructions, question = NUMBERED.split("\n\nQuestion: ")
    found = given((Message("system", instructions), Message("user", question)))
    assert found == given(user(NUMBERED))


def test_a_number_out_of_order_is_text_of_its_passage():
    found = given(user("[1] One says\n[7] seven.\n[2] Two.\n\nQuestion: which?"))
    assert found is not None
    assert found.passages == ("One says\n[7] seven.", "Two.")


def test_text_before_a_question_is_one_passage_that_cannot_be_cited():
    expected = Given((LONG.strip(),), "What does it wait for?", numbered=False)
    assert given(user(f"{LONG}\n\nWhat does it wait for?")) == expected
    assert given(user(f"{LONG}\nQuestion: What does it wait for?")) == expected


@pytest.mark.parametrize(
    "messages",
    [
        (),
        user("What is a heron?"),
        user(LONG),
        user(f"{LONG}\n\nWrite a plain text of about 300 words."),
        (Message("system", "You are a helpful assistant."), Message("user", "What is a heron?")),
        (Message("user", NUMBERED), Message("assistant", "Fish.")),
        user("[1] Herons eat fish.\n\nQuestion:"),
    ],
)
def test_where_there_is_no_context_or_no_question_nothing_is_given(messages):
    assert given(messages) is None


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, "\n \n" * 60_000, "[1] " * 50_000, "answer:" * 30_000]
)
def test_odd_prompts_take_no_longer_than_others(text):
    started = time.process_time()
    given(user(text + "?"))
    assert time.process_time() - started < 1.0
