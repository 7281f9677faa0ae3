"""The rows of Chroma's own splitters, whose offsets it found by search: held to 0.01.

Written anew after the README's parameters, with exact offsets.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(170)

ROWS: dict[str, dict[str, Any]] = {
    f"{row}_{size}_{overlap}": {"kind": kind, "size": size, "overlap": overlap}
    for row, kind in (("Recursive", "reference-recursive"), ("TokenText", "reference-tokens"))
    for size, overlap in ((200, 0), (250, 0), (250, 125), (400, 0))
}
EMBEDDED = {name: spec for name, spec in ROWS.items() if spec["size"] > 200}
"""Those of 200 tokens are embedded with the exact rows, whose chunks they share."""


@pytest.mark.parametrize("name", ROWS)
def test_the_chunks_are_the_references(name, sizes):
    ours, theirs = sizes(ROWS[name], name)
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", ROWS)
def test_what_a_chunking_allows_is_near_the_references(name, allowed):
    ours, theirs = allowed(ROWS[name], name)
    assert ours == pytest.approx(theirs, abs=0.001)


@pytest.mark.minilm
@pytest.mark.timeout(900)
def test_minilms_hits_score_nearly_as_by_chromas_code(minilms_means, hold_nearly, reference):
    found = minilms_means(list(EMBEDDED.values()))
    for (name, spec), (config, chunks, values) in zip(EMBEDDED.items(), found, strict=True):
        assert config == spec
        assert chunks == reference["chroma_three_corpora"][name]["n_chunks"]
        hold_nearly(name, values)
