"""When a call may start, and on which account: no provider's limit is ever met.

`memory_pool()` serves one process, `redis_pool(url)` all that share a Redis. Both say the same.
"""

from mox.providers.pool.limits import Account, Limits
from mox.providers.pool.memory import memory_pool
from mox.providers.pool.nouns import Lease, Need, Outcome, Pool, Priority
from mox.providers.pool.redis import redis_pool

__all__ = [
    "Account",
    "Lease",
    "Limits",
    "Need",
    "Outcome",
    "Pool",
    "Priority",
    "memory_pool",
    "redis_pool",
]
