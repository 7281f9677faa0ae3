"""Vocabularies opened without the package around them say what the package says."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import MissingError
from mox.vocabulary import Vocabulary, vocabulary

NAMES = ["cl100k_base", "o200k_base"]

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of how it reads its tables
    import bpe_openai

    PACKAGE = {name: bpe_openai.get_encoding(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(), max_size=60))
def test_a_text_has_the_packages_tokens_lone_surrogates_too(name: str, text: str) -> None:
    found = vocabulary(name).encode(text)
    assert found == PACKAGE[name].encode_ordinary(text)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert b"".join(vocabulary(name).token_bytes[token] for token in found) == whole.encode()


@pytest.mark.parametrize("name", NAMES)
def test_tokens_have_the_packages_bytes(name: str) -> None:
    ours = vocabulary(name).token_bytes
    assert ours == PACKAGE[name].token_byte_values()[: len(ours)]
    assert len(ours) > 100_000
    assert vocabulary(name).token_lengths.tolist() == [len(token) for token in ours]


def test_the_package_itself_is_not_imported_and_can_be_afterwards() -> None:
    """It reads three vocabularies in Python: 0.4 to 0.7 CPU seconds of each worker."""
    script = (
        "import sys; from mox.vocabulary import vocabulary;"
        "ours = vocabulary('cl100k_base').encode('a heron');"
        "assert 'bpe_openai' not in sys.modules;"
        "import bpe_openai;"
        "assert bpe_openai.get_encoding('cl100k_base').encode('a heron') == ours"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_absent_package_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    with pytest.raises(MissingError, match="bpe-openai is not installed") as caught:
        Vocabulary("cl100k_base")
    assert "pip install" in caught.value.mend
