"""Answers that machines share through Redis or Valkey: for a time, and within a size.

All rows are one hash, beside a sorted set of the moments at which they end; the hash also has the
sum of their sizes. Each read and each write is one call of a script on the server: a write removes
what has ended, then the oldest rows until the new one fits. So the size holds whatever the
server's own `maxmemory` says. Where the server has thrown one of the two away, both begin anew.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mox.errors import MemoWarning, SpecError
from mox.registry import missing_package
from mox.secrets import scrub
from mox.settings import redact

if TYPE_CHECKING:
    import redis

TTL_S = 30 * 24 * 3600.0
VALUE_BYTES = 1 << 20
TOTAL_BYTES = 1 << 30
ROW_BYTES = 200
"""What a row takes beside its value: its key twice, and the server's own structures."""
TIMEOUT_S = 2.0
AWAY_S = 30.0
"""So long a server that failed isn't asked again: each try costs up to TIMEOUT_S."""
KEYS = ("mox:{answers}:rows", "mox:{answers}:ends")
"""One hash tag: a cluster keeps both on one node."""

_GET = """
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not ends then return false end
local t = redis.call('TIME')
if tonumber(ends) <= t[1] * 1000 + math.floor(t[2] / 1000) then return false end
return redis.call('HGET', KEYS[1], ARGV[1])
"""

_PUT = """
local rows, ends, id, value = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ttl, limit, row = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local bytes = tonumber(redis.call('HGET', rows, '#bytes') or 0)
if redis.call('HLEN', rows) ~= redis.call('ZCARD', ends) + 1 then
  redis.call('DEL', rows, ends)
  bytes = 0
end
local function drop(one)
  bytes = bytes - redis.call('HSTRLEN', rows, one) - row
  redis.call('HDEL', rows, one)
  redis.call('ZREM', ends, one)
end
for _, one in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 1000)) do
  drop(one)
end
if redis.call('HEXISTS', rows, id) == 1 then drop(id) end
while bytes + #value + row > limit do
  local oldest = redis.call('ZRANGE', ends, 0, 0)[1]
  if not oldest then return 0 end
  drop(oldest)
end
redis.call('HSET', rows, id, value, '#bytes', string.format('%.0f', bytes + #value + row))
redis.call('ZADD', ends, now + ttl, id)
-- As long as the last of them, whoever wrote it.
local last = string.format('%.0f', redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2])
redis.call('PEXPIREAT', rows, last)
redis.call('PEXPIREAT', ends, last)
return 1
"""


class SharedAnswers:
    """Rows by key on a server. Whatever becomes of it, answers go on: that is said once.

    Args:
        url: of a Redis or Valkey.
        ttl_s: seconds from its writing until a row is forgotten.
        value_bytes: the largest row that is shared.
        total_bytes: of all rows together; the oldest go first.

    Raises:
        SpecError: the URL is none, or a bound is not above 0.
        MissingError: the package `redis` isn't installed.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float = TTL_S,
        value_bytes: int = VALUE_BYTES,
        total_bytes: int = TOTAL_BYTES,
    ) -> None:
        if min(ttl_s, value_bytes, total_bytes) <= 0:
            raise SpecError(
                f"shared answers: ttl_s={ttl_s}, value_bytes={value_bytes} and"
                f" total_bytes={total_bytes} must all be above 0.",
                mend="leave MOX_REDIS_URL out to share nothing.",
            )
        self._bounds = (int(ttl_s * 1000) or 1, value_bytes, total_bytes)
        self._where = redact(url)
        self._client = _client(url, self._where)
        self._get = self._client.register_script(_GET)
        self._put = self._client.register_script(_PUT)
        self._guard = threading.Lock()
        self._away_until = 0.0
        self._said = False

    def get(self, key: str) -> bytes | None:
        """A row's bytes; None where there is none, or no server. Blocks for TIMEOUT_S at most."""
        found = self._asked(lambda: self._get(keys=KEYS, args=[key]))
        return found if isinstance(found, bytes) else None

    def put(self, key: str, raw: bytes) -> bool:
        """Share a row; whether it was. One that is too large is not."""
        ttl_ms, value_bytes, total_bytes = self._bounds
        if len(raw) > value_bytes:
            return False
        args: list[str | bytes | int] = [key, raw, ttl_ms, total_bytes, ROW_BYTES]
        return bool(self._asked(lambda: self._put(keys=KEYS, args=args)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the server says; None where it is away, which is said once until it is back."""
        import redis

        with self._guard:
            if time.monotonic() < self._away_until:
                return None
        try:
            found = ask()
        except (redis.RedisError, OSError) as error:
            with self._guard:
                self._away_until = time.monotonic() + AWAY_S
                said, self._said = self._said, True
            if not said:
                warnings.warn(
                    f"answers aren't shared: {self._where} can't be used"
                    f" ({scrub(str(error)) or type(error).__name__}). Each machine remembers its"
                    " own, and pays for what others have.",
                    MemoWarning,
                    stacklevel=4,
                )
            return None
        with self._guard:
            self._said = False
        return found


def _client(url: str, where: str) -> redis.Redis:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise missing_package("redis", extra="redis") from None
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError:  # its text repeats what it stumbled over: a part of the password, maybe
        raise SpecError(
            f"MOX_REDIS_URL: {where} is no URL of a Redis.",
            mend="write redis://HOST:6379/0, or rediss:// with TLS; of a password, percent-encode"
            " what is no letter and no digit (/ is %2F).",
        ) from None
