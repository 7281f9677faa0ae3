"""What opening the room, its Specs and `mox doctor` costs and says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mox.cli.doctor import examine
from mox.errors import MissingError

HEAVY = ("openai", "anthropic", "httpx2", "redis", "genai_prices", "numpy", "uvloop")


@pytest.mark.parametrize(
    "statement",
    [
        "import mox.providers",
        "from mox.providers import providers; providers.kinds()",
        "from mox.providers import providers; providers.parse({'kind': 'openai', 'model': 'm'})",
        "import mox.providers.classify, mox.providers.standing, mox.providers.wire.messages",
    ],
)
def test_no_sdk_is_imported_before_an_account_is_opened(statement: str) -> None:
    code = f"{statement}; import sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_missing_sdk_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from mox.providers import providers
    from mox.providers.openai import OpenAI

    monkeypatch.setitem(sys.modules, "openai", None)
    spec = OpenAI(model="m")
    with pytest.raises(MissingError, match="openai is not installed") as caught:
        providers[spec](spec)
    assert "providers" in caught.value.mend


def test_doctor_says_whose_key_is_set_and_never_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "pl4nted-for-the-doctor")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    checks = {check.name: check for check in examine()}
    assert checks["key of openai"].state == "ok"
    assert checks["key of openai"].said == "OPENAI_API_KEY is set"
    assert checks["key of anthropic"].state == "absent"
    assert "ANTHROPIC_API_KEY is not set" in checks["key of anthropic"].said
    assert checks["extra providers"].state == "ok"
    assert {"openai", "anthropic", "compatible", "simulated"} <= set(
        checks["mox.providers"].said.split(", ")
    )
    assert "pl4nted" not in str(checks)
    assert os.environ["OPENAI_API_KEY"] == "pl4nted-for-the-doctor"
