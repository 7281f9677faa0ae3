"""An embeddings API over real HTTP, in a thread: what it was asked is counted, what it answers can
be spoilt."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from mox.chunking.tokenizers import open_tokenizer

Spoil = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes] | None]


class Api:
    """Vectors are bags of hashed words; not of length 1, as a provider's may not be either."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        """How often each text was answered."""
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.headers: list[str] = []
        """Of each request, as text."""
        self.spoil: Spoil = lambda _: None
        self.dims = 64
        self.simulated = False
        self.delay_s = 0.0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = json.loads(self.rfile.read(length))
                with outer._lock:
                    outer.keys.append(self.headers.get("authorization", ""))
                    outer.headers.append(str(self.headers))
                status, headers, raw = outer.answer(self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def tokens(self, texts: list[str]) -> int:
        return sum(map(open_tokenizer("cl100k").count, texts))

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        json_type = {"content-type": "application/json", "x-request-id": "req-1"}
        with self._lock:
            self.requests.append(body)
        if (spoilt := self.spoil(body)) is not None:
            return spoilt
        if path != "/v1/embeddings":
            return 404, {"content-type": "text/html"}, b"<html>not here</html>"
        time.sleep(self.delay_s)
        texts = body["input"]
        with self._lock:
            self.texts.update(texts)
        dims = body.get("dimensions", self.dims)
        rows = [
            {"index": at, "embedding": coded(vector(text, dims), body.get("encoding_format"))}
            for at, text in enumerate(texts)
        ]
        used = self.tokens(texts)
        said = {
            "object": "list",
            "model": body["model"],
            "data": rows[::-1],  # the order is said by `index` alone
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }
        if self.simulated:
            json_type["x-mox-simulated"] = "1"
        return 200, json_type, json.dumps(said).encode()


def vector(text: str, dims: int) -> Any:
    """(dims,) float32: each word adds 1 to one place."""
    made = np.zeros(dims, dtype=np.float32)
    for word in text.lower().split() or [text]:
        made[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % dims] += 1
    return made


def coded(found: Any, encoding: str | None) -> Any:
    return base64.b64encode(found.tobytes()).decode() if encoding == "base64" else found.tolist()


@pytest.fixture(scope="session")
def new_api() -> Callable[[], Api]:
    """Opens another one, for fixtures that outlive a test; who opens it closes it."""
    return Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.close()
