"""The prompts of ragas itself, where it is installed: each is known, and its answer fits its model.

In a process of its own: ragas imports half a world, and warns of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("ragas") is None, reason="ragas is not installed")

ASKED = r"""
import importlib, json, warnings
warnings.simplefilter("ignore")
from ragas.prompt.metrics.base_prompt import BasePrompt
from mox.simulation.draws import Draws
from mox.simulation.judge import judged
from mox.types.providers import Message

TEXT = "Paris is the capital of France. It has 2 million people."
LIST = ["Paris is the capital of France.", "It rains."]
ROOMS = (
    "answer_accuracy answer_correctness answer_relevancy context_entity_recall context_precision"
    " context_recall context_relevance factual_correctness faithfulness noise_sensitivity"
    " response_groundedness"
)
found = {}
for room in ROOMS.split():
    module = importlib.import_module(f"ragas.metrics.collections.{room}.util")
    for name, kind in vars(module).items():
        if not isinstance(kind, type) or not issubclass(kind, BasePrompt) or kind is BasePrompt:
            continue
        prompt = kind()
        given = {
            field: LIST if "list" in str(of.annotation).lower() else TEXT
            for field, of in prompt.input_model.model_fields.items()
        }
        text = prompt.to_string(prompt.input_model(**given))
        said = judged((Message("user", text),), None, 0.0, Draws(b"x"))
        found[f"{room}.{name}"] = (
            said and prompt.output_model.model_validate_json(said.text).model_dump()
        )
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Metric and class of each prompt → what the judge answers."""
    home = str(tmp_path_factory.mktemp("home"))
    asked = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "RAGAS_DO_NOT_TRACK": "true", "HOME": home}, cwd=home,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr[-2000:]
    return dict(json.loads(asked.stdout))


def test_each_prompt_is_known(answers: dict[str, Any]) -> None:
    assert len(answers) >= 18
    assert [name for name, answer in answers.items() if answer is None] == []


def test_verdicts_are_what_the_texts_say(answers: dict[str, Any]) -> None:
    """Of the list the first is in the text and the second isn't; the text is its own context."""
    for name in (
        "faithfulness.NLIStatementPrompt",
        "factual_correctness.NLIStatementPrompt",
        "noise_sensitivity.StatementFaithfulnessPrompt",
    ):
        assert [one["verdict"] for one in answers[name]["statements"]] == [1, 0]
    assert answers["context_precision.ContextPrecisionPrompt"]["verdict"] == 1
    recalled = answers["context_recall.ContextRecallPrompt"]["classifications"]
    assert [one["attributed"] for one in recalled] == [1, 1]
    correct = answers["answer_correctness.CorrectnessClassifierPrompt"]
    assert [len(correct[name]) for name in ("TP", "FP", "FN")] == [2, 0, 0]
    assert answers["answer_relevancy.AnswerRelevancePrompt"]["noncommittal"] == 0
    for name, answer in answers.items():
        if "rating" in answer:  # the highest of its scale
            assert answer["rating"] == (4 if name.startswith("answer_accuracy.") else 2)
