"""A plan asks embedders for their settings, limits and fingerprints, and loads no model."""

from __future__ import annotations

import subprocess
import sys

PLAN = """
import sys
from mox.embedding import embedders
for kind in ("wordllama", "hashing"):
    spec = embedders.parse({"kind": kind})
    assert embedders.entry(kind).traits["reads"](spec) is None
    embedders.fingerprint(spec)
assert {"minilm", "sentence-transformers"} <= set(embedders.kinds())
heavy = {"wordllama", "sklearn", "tokenizers", "torch", "transformers", "sentence_transformers",
         "huggingface_hub", "pandas", "numpy"}
print(sorted(heavy & set(sys.modules)))
"""


def test_planning_imports_no_library_that_embeds():
    done = subprocess.run(
        [sys.executable, "-c", PLAN], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
