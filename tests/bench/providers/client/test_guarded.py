"""Keys, certificates and sockets: what stands around a request."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Target, Timeouts, measure
from mox.bench.providers.client.wires import door
from mox.bench.providers.record import Load, Record
from mox.errors import ProviderError, SpecError

HERE = Path(__file__).parent
KEY = "planted-by-a-test-0123"
"""It hasn't the shape of any provider's: where it is hidden, it is known."""


def asked(target: Target, prompts: Any, out: Path, **say: Any) -> Record:
    """One request, and what came of it."""
    cell = Cell(target, "w", prompts.say(**say), Load("closed", 1.0), None, requests=1,
                timeouts=Timeouts(5, 5, 5, 5), warm_up=0)  # fmt: skip
    (turn,) = measure([cell], out=out, rounds=1)
    if turn.failed is not None:
        raise turn.failed
    return turn.records[0]


def test_keys_are_sent_and_stand_nowhere_else(
    target: Target, server: Any, prompts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_TEST_KEY_VALUE", f"{KEY}-of-the-environment")
    (tmp_path / "key").write_text(f"{KEY}-of-the-file\n")
    places = {
        "environment": {"key_env": "MOX_TEST_KEY_VALUE"},
        "file": {"key_file": tmp_path / "key"},
    }
    out = tmp_path / "r.jsonl"
    cells = []
    for place, where in places.items():
        # A provider that repeats the key that it refuses, also as the request's name.
        said = {"message": f"Incorrect API key: {KEY}-of-the-{place}", "code": "invalid_api_key"}
        for wire in ("chat", "messages"):
            aim = replace(target, name=f"{place}, {wire}", wire=wire, **where)
            head = {"x-request-id": f"{KEY}-of-the-{place}"}
            say = prompts.say(status=401, body={"error": said}, head=head, name=aim.name)
            cells.append(Cell(aim, "w", say, Load("closed", 1.0), None, requests=1, warm_up=0))
    turns = list(measure(cells, out=out, rounds=1))
    for turn in turns:
        (record,) = turn.records
        assert record.error == "auth"
        assert "Incorrect API key" in str(record.said)
        assert record.request_id == "***"
        assert KEY not in repr(record) + repr(turn.cell.target)
    assert KEY not in out.read_text()
    for asked in server.asked:
        sent = asked.head.get("authorization") or asked.head["x-api-key"]
        place, _, wire = asked.say["name"].partition(", ")
        assert sent == ("Bearer " if wire == "chat" else "") + f"{KEY}-of-the-{place}"


def test_a_key_of_another_provider_is_not_sent(
    target: Target, prompts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_TEST_KEY_VALUE", "sk-ant-0123456789")
    there = replace(target, base_url="https://api.openai.com/v1", key_env="MOX_TEST_KEY_VALUE")
    with pytest.raises(ProviderError, match="begins as Anthropic's do"):
        asked(there, prompts, tmp_path / "r.jsonl")


@pytest.mark.parametrize("value", ["one\r\nx-evil: 1", "naïve", "one\ttwo"])
def test_a_header_that_would_be_two_is_refused_and_not_repeated(target: Target, value: str) -> None:
    with pytest.raises(SpecError, match="'x-note' has characters that no header has") as caught:
        door(replace(target, headers={"X-Note": value}), None)
    assert value not in str(caught.value)


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """A server over TLS, and the certificate that it shows."""
    from stand_in import Server

    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server(context)
    yield server, certificate
    server.close()


def test_answers_come_over_tls_and_are_verified(
    certified: tuple[Any, Path], target: Target, prompts: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server, certificate = certified
    secured = replace(target, base_url=f"https://localhost:{server.port}/v1")
    stranger = asked(secured, prompts, tmp_path / "stranger.jsonl", n=2)
    assert (stranger.error, stranger.sent_ns) == ("connection", None)
    assert "certificate" in str(stranger.said).lower()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    known = asked(secured, prompts, tmp_path / "known.jsonl", n=2)
    assert (known.error, len(known.chunks)) == (None, 2)


def self_signed(certificate: Path, key: Path) -> None:
    """For localhost, for a day."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


LIMITED = """
import json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from mox.bench.providers.client import Cell, Target, doubt, measure
from mox.bench.providers.client.wires import door
from mox.bench.providers.record import Load
import asked

target = Target("here", "chat", sys.argv[1], "m")
cell = Cell(target, "w", asked.say(n=1, ttft=1.0), Load("constant", 200.0), 0.4, warm_up=1)
(turn,) = measure([cell], out=Path(sys.argv[2]), rounds=1)
print(json.dumps({
    "errors": [record.error for record in turn.records],
    "doubt": doubt(turn.check, ttft_p50_ms=1000.0),
}))
"""


def test_what_no_socket_was_left_for_is_counted_and_makes_the_row_doubtful(
    target: Target, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, target.base_url, str(tmp_path / "r.jsonl")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    told = json.loads(found.stdout)
    # 80 requests are scheduled, and none of them is left out of the account.
    assert len(told["errors"]) == 80
    assert set(told["errors"]) == {None, "client_limited"}
    assert told["errors"].count("client_limited") > 40
    assert "no sockets left" in told["doubt"]
