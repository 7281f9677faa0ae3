"""The pool of one process and that of many: one contract."""

from __future__ import annotations

import uuid

import pytest

from mox.providers.pool import memory_pool, redis_pool
from mox.testing.pool import PoolContract
from mox.testing.pool_asking import Opens


class TestMemory(PoolContract):
    @pytest.fixture
    def pool(self) -> Opens:
        return memory_pool


class TestRedis(PoolContract):
    @pytest.fixture
    def pool(self, valkey) -> Opens:
        name = uuid.uuid4().hex
        return lambda **settings: redis_pool(valkey.url, name=name, **settings)
