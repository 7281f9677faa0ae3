"""What the questions of the default corpus must not be: too easy."""

from __future__ import annotations

import pytest

import mox

pytestmark = pytest.mark.timeout(170)


def test_paraphrases_are_out_of_bm25s_easy_reach() -> None:
    """Questions without the document's own words must not be answered by its words alone."""
    results = mox.run(
        {
            "corpus": {"kind": "card", "name": "python-reference"},
            "axes": {
                "chunk": [{"kind": "recursive", "size": 400}],
                "search": [{"kind": "bm25", "k": 20}],
            },
            "measure": "recall@1000t",
        },
        offline=True,
        quiet=True,
    )
    rows = results.questions(results.finished[0].id).rows
    scores = [row.scores["recall@1000t"] for row in rows if row.kind == "paraphrase"]
    assert len(scores) >= 40
    assert sum(scores) / len(scores) < 0.95
