"""Ragas' questions are answered by what the context says.

Prompts are laid out as ragas 0.4.3 does (`BasePrompt.to_string`): instruction, the output's JSON
schema, examples with `Input:`, and at the end `input: {…}` and `Output: `.
"""

import json

import pytest

from mox.simulation.answers import answer
from mox.simulation.context import Given
from mox.simulation.core import script
from mox.simulation.draws import Draws
from mox.simulation.judge import judged, split
from mox.simulation.models import MODELS
from mox.simulation.quality import Quality
from mox.simulation.script import Asked
from mox.types.providers import Message

EINSTEIN = "Albert Einstein was born in Ulm, Germany, in 1879. He was not religious."


def prompt(given, fields):
    """A prompt as ragas writes it, for an output of these fields."""
    schema = {"properties": {name: {} for name in fields}, "required": list(fields)}
    return (
        "Judge it.\nPlease return the output in a JSON format that complies with the following"
        f" schema as specified in JSON Schema:\n{json.dumps(schema)}Do not use single quotes in"
        " your response but double quotes,properly escaped with a backslash.\n\n"
        "--------EXAMPLES-----------\nExample 1\n"
        f"Input: {json.dumps(dict.fromkeys(given, 'example'), indent=4)}\nOutput: {{}}\n"
        "-----------------------------\n\nNow perform the same with the following input\n"
        f"input: {json.dumps(given, indent=4)}\nOutput: "
    )


def verdicts(given, *fields, noise=0.0, name="x"):
    message = Message("user", prompt(given, fields))
    found = judged((message,), None, noise, Draws(name.encode()))
    assert found is not None
    return json.loads(found.text)


def faithful(statements, context=EINSTEIN, **more):
    found = verdicts({"context": context, "statements": statements}, "statements", **more)
    assert [one["statement"] for one in found["statements"]] == statements
    return [one["verdict"] for one in found["statements"]]


def test_an_answer_is_split_into_its_sentences_without_citations():
    given = {"question": "Where?", "answer": "He was born in Ulm [1]. It was in 1879 [2]."}
    assert verdicts(given, "statements") == {
        "statements": ["He was born in Ulm.", "It was in 1879."]
    }


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ("Einstein was born in Ulm.", 1),
        ("Albert Einstein was born in Germany in 1879.", 1),
        ("Einstein was born in Germany in 1880.", 0),  # a number that isn't there
        ("Einstein was not born in Germany.", 0),  # denied
        ("Einstein was religious.", 0),  # … the other way round
        ("Einstein was not religious.", 1),
        ("He loved pizza from Mars.", 0),
    ],
)
def test_a_statement_is_supported_by_what_the_context_says(statement, verdict):
    assert faithful([statement]) == [verdict]


def test_faithfulness_of_the_case_in_the_facts_is_one_half():
    # Constructed case: of two statements the first is in the context.
    assert faithful(["Einstein was born in Germany.", "He loved pizza from Mars."]) == [1, 0]


def test_precision_tells_the_context_that_helps():
    def useful(context):
        given = {
            "question": "What is the capital of France?",
            "context": context,
            "answer": "Paris is the capital of France.",
        }
        return verdicts(given, "reason", "verdict")["verdict"]

    assert useful("Paris is the capital and largest city of France.") == 1
    assert useful("Berlin is the capital of Germany and has a wall.") == 0


def test_recall_attributes_each_sentence_of_the_reference():
    given = {
        "question": "What is the capital of France?",
        "context": "Paris is the capital and largest city of France.",
        "answer": "Paris is the capital of France. It has two million people.",
    }
    found = verdicts(given, "classifications")["classifications"]
    assert [one["attributed"] for one in found] == [1, 0]


def test_correctness_sorts_statements_into_true_false_and_missing():
    given = {
        "question": "Where and when was Einstein born?",
        "answer": ["Einstein was born in Ulm.", "He loved pizza from Mars."],
        "ground_truth": ["Einstein was born in Ulm.", "Einstein was born in 1879."],
    }
    found = verdicts(given, "TP", "FP", "FN")
    sorted_ = {name: [one["statement"] for one in found[name]] for name in found}
    assert sorted_ == {
        "TP": ["Einstein was born in Ulm."],
        "FP": ["He loved pizza from Mars."],
        "FN": ["Einstein was born in 1879."],
    }


@pytest.mark.parametrize(
    ("response", "noncommittal"),
    [
        ("Einstein was born in Ulm.", 0),
        ("The given passages do not answer this question.", 1),
        ("I'm not sure.", 1),
    ],
)
def test_an_abstention_is_noncommittal(response, noncommittal):
    found = verdicts({"response": response}, "question", "noncommittal")
    assert found["noncommittal"] == noncommittal


def test_the_noise_turns_verdicts_round_as_often_as_it_says():
    right = [
        faithful(["Einstein was born in Ulm."], noise=0.2, name=str(number))[0]
        for number in range(300)
    ]
    # Four standard deviations: 4·√(0.2·0.8/300) = 0.09.
    assert 1 - sum(right) / 300 == pytest.approx(0.2, abs=0.09)


def test_some_json_object_leaves_the_question_to_the_prompts_own_schema():
    """As instructor asks for ragas: `response_format` is a mere `json_object`."""
    given = {"question": "Where?", "context": EINSTEIN, "answer": "Born in Ulm."}
    message = Message("user", prompt(given, ["reason", "verdict"]))
    found = judged((message,), {"type": "object"}, 0.0, Draws(b"x"))
    assert found is not None
    assert json.loads(found.text).keys() == {"reason", "verdict"}


def test_a_schema_given_apart_decides_which_question_it_is():
    given = {"question": "Q?", "context": EINSTEIN, "answer": "Einstein was born in Ulm."}
    message = Message("user", f"input: {json.dumps(given)}\nOutput: ")
    for fields in (("classifications",), ("reason", "verdict")):
        schema = {"properties": {key: {} for key in fields}}
        found = judged((message,), schema, 0.0, Draws(b"x"))
        assert found is not None
        assert set(json.loads(found.text)) == set(fields)


@pytest.mark.parametrize(
    "text",
    [
        "Who was Einstein?",
        "input: {not json}\nOutput: ",
        'input: {"other": 1}\nOutput: ',
        'input: {"context": "A text.", "statements": [1]}\nOutput: ',
        'input: {"question": "Q?", "context": ["A text."], "answer": "A."}\nOutput: ',
        'input: {"question": "Q?", "answer": ["A."], "ground_truth": null}\nOutput: ',
    ],
)
def test_what_is_no_judges_prompt_is_left_to_others(text):
    assert judged((Message("user", text),), None, 0.0, Draws(b"x")) is None


def test_properties_that_are_none_name_no_fields():
    text = 'JSON Schema: {"properties": null}\ninput: {"response": "It rains."}\nOutput: '
    found = judged((Message("user", text),), None, 0.0, Draws(b"x"))
    assert found is not None
    assert json.loads(found.text).keys() == {"question", "noncommittal"}


def test_it_is_the_last_input_that_is_judged():
    earlier = 'input: {"question": "Q?", "answer": "An example."}\nOutput: {}\n\n'
    given = {"question": "Q?", "answer": "He was born in Ulm."}
    message = Message("user", earlier + prompt(given, ["statements"]))
    found = judged((message,), None, 0.0, Draws(b"x"))
    assert found is not None
    assert json.loads(found.text) == {"statements": ["He was born in Ulm."]}


def test_the_core_asks_the_judge_first():
    text = prompt(
        {"context": EINSTEIN, "statements": ["Einstein was born in Ulm."]}, ["statements"]
    )
    asked = Asked("chat", "one", "sim-careful", (Message("user", text),), 500)
    found = script(asked, MODELS["sim-careful"], seed=0)
    assert json.loads(found.text)["statements"][0]["verdict"] == 1
    assert found.notes["answered"] == "judge"


def test_a_bare_word_is_a_statement():
    assert split("No.") == ["No."]
    assert split(" ") == []


def test_the_judge_finds_answers_less_faithful_the_more_a_model_invents():
    passages = ("The Brenn tower is 214 metres tall.", "River herons eat fish and frogs.")
    questions = ("How tall is the Brenn tower?", "What do river herons eat?")
    found = []
    for chance in (0.0, 0.5, 1.0):
        verdicts_ = []
        for number in range(40):
            asked = Given(passages, questions[number % 2])
            text = answer(asked, Quality(invent=chance), Draws(str(number).encode())).text
            verdicts_ += faithful(split(text), context=" ".join(passages))
        found.append(sum(verdicts_) / len(verdicts_))
    assert found[0] == 1.0
    assert found[0] > found[1] > found[2]
    assert found[2] == 0.5  # of two sentences one is invented
