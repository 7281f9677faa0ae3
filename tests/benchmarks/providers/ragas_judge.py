"""Ragas itself, in an environment of its own, asks the simulator as its judge.

    python -m venv E && E/bin/pip install 'ragas>=0.4.3' 'langchain-community<0.4'
    python tests/benchmarks/providers/ragas_judge.py --python E/bin/python

Through ragas' own factory, instructor and OpenAI's client, over HTTP. Of two statements one is in
the context, and of two contexts one helps, so faithfulness and recall are 1/2, and precision is
1/2 where the context that helps comes second (its precision at rank 2).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from mox.simulation.serving import serving

EXPECTED = {"faithfulness": 0.5, "context_precision": 0.5, "context_recall": 0.5}
ASKED = """
import asyncio, json, sys, warnings
warnings.simplefilter("ignore")
import openai
from ragas.llms import llm_factory
from ragas.metrics.collections import ContextPrecisionWithReference, ContextRecall, Faithfulness
client = openai.AsyncOpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
llm = llm_factory("sim-careful", client=client)
PARIS = "Paris is the capital and largest city of France."
async def main():
    faithful = await Faithfulness(llm=llm).ascore(
        user_input="Where was Einstein born?",
        response="Einstein was born in Germany. He loved pizza from Mars.",
        retrieved_contexts=["Albert Einstein was born in Germany in 1879."])
    precise = await ContextPrecisionWithReference(llm=llm).ascore(
        user_input="Capital of France?", reference="Paris is the capital of France.",
        retrieved_contexts=["Berlin is the capital of Germany and has a wall.", PARIS])
    recalled = await ContextRecall(llm=llm).ascore(
        user_input="Capital of France?", retrieved_contexts=[PARIS],
        reference="Paris is the capital of France. It has two million people.")
    print(json.dumps({"faithfulness": faithful.value, "context_precision": precise.value,
                      "context_recall": recalled.value}))
asyncio.run(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", type=Path, required=True, help="One that has ragas.")
    python = parser.parse_args().python
    with serving({"time_scale": 0.01}) as served:
        asked = subprocess.run(
            [str(python), "-c", ASKED, served.openai_base_url], capture_output=True, text=True,
            timeout=170, check=False, env={**os.environ, "RAGAS_DO_NOT_TRACK": "true"},
        )  # fmt: skip
    if asked.returncode:
        print(f"ragas failed:\n{asked.stderr.strip()[-2000:]}")
        return 1
    found = json.loads(asked.stdout.strip().splitlines()[-1])
    wrong = 0
    for name, expected in EXPECTED.items():
        held = abs(found[name] - expected) < 1e-6
        wrong += not held
        print(f"{name:<20} {found[name]:.3f}, expected {expected:.3f}{'' if held else '  WRONG'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
