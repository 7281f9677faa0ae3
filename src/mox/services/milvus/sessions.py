"""What a server that was killed leaves behind: its parts, still on the list of those that work.

Milvus keeps that list in its etcd, for 30 s after the last sign of life, counted from the next
start. Until then it sends loads and flushes to parts that are gone: measured, a collection loads
in 26 s or fails after 42 s, where it takes one second without them.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any

PREFIX = "by-dev/meta/session/"
"""`rootPath` and `metaSubPath` as the wheel's settings have them."""


def end_stale(port: int) -> int:
    """Take the parts of earlier servers off the list of the one that runs now.

    Only for a server whose data no other process has open: then all but the newest are dead.

    Args:
        port: of its etcd, for clients.

    Returns:
        How many there were.

    Raises:
        OSError: etcd doesn't answer, or says something else than expected.
    """
    last = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
    asked = {"key": _coded(PREFIX), "range_end": _coded(last)}
    listed = _call(port, "/v3/kv/range", asked).get("kvs", [])
    parts = [json.loads(base64.b64decode(one["value"])) for one in listed if one.get("lease")]
    newest = max((part["ServerID"] for part in parts), default=0)
    stale = [part for part in parts if part["ServerID"] < newest]
    for part in stale:
        _call(port, "/v3/lease/revoke", {"ID": part["LeaseID"]})
    return len(stale)


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _call(port: int, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    call = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        call.request("POST", path, json.dumps(body))
        answer = call.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise OSError(f"etcd answers {answer.status} to {path}: {said[:200]!r}")
        found: dict[str, Any] = json.loads(said)
        return found
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"etcd answers {path} unlike etcd: {error}") from None
    finally:
        call.close()
