"""The rows with exact offsets, as Mox has: by kept libraries, held to three decimals."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(170)

ROWS: dict[str, dict[str, Any]] = {
    "X_recursive200_exactoffsets": {"kind": "reference-recursive", "size": 200, "overlap": 0},
    "X_tokentext200_exactoffsets": {"kind": "reference-tokens", "size": 200, "overlap": 0},
    "X_semchunk_200": {"kind": "reference-semchunk", "size": 200},
    "X_chonkie_recursive_200": {"kind": "reference-chonkie", "size": 200},
}
SAME_CHUNKS = {
    "X_recursive200_exactoffsets": "Recursive_200_0",
    "X_tokentext200_exactoffsets": "TokenText_200_0",
}
"""Rows of Chroma's own that differ in their offsets alone."""

# Floating point may turn over one near-tie among the 276 questions; more text or less of it
# then moves what counts characters by far less than a decimal.
ONE_QUESTION = 1 / 276 + 0.0005
BY_QUESTION = ("recall", "hit", "full", "span_recall", "mrr", "ndcg")


def near(measure: str) -> float:
    return ONE_QUESTION if measure.split("@")[0] in BY_QUESTION else 0.0005


@pytest.mark.parametrize("name", ROWS)
def test_the_chunks_are_the_references(name, sizes):
    ours, theirs = sizes(ROWS[name], name)
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", ROWS)
def test_what_a_chunking_allows_is_the_references(name, allowed):
    ours, theirs = allowed(ROWS[name], name)
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.minilm
@pytest.mark.timeout(900)
def test_minilms_hits_score_as_by_chromas_code(minilms_means, hold_nearly, known, reference):
    found = minilms_means(list(ROWS.values()))
    for (name, spec), (config, chunks, values) in zip(ROWS.items(), found, strict=True):
        assert config == spec
        assert chunks == reference["chroma_three_corpora"][name]["n_chunks"]
        expected = known(name)
        far = {m: values[m] - v for m, v in expected.items() if abs(values[m] - v) > near(m)}
        assert far == {}, name
        if name in SAME_CHUNKS:
            hold_nearly(SAME_CHUNKS[name], values)
