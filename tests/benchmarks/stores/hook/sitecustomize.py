"""Notes when a process is inside Milvus: each call of its client, and each wait for it.

Python imports this at its start where the folder is on its path. A line a call goes to a file of
the process in MOX_ENGINE_CALLS: begin, end (seconds of the clock that all processes share), name.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import sys
import time

WATCHED = {
    "pymilvus.milvus_client.milvus_client": "MilvusClient",
    "mox.indexes.milvus.client": "Link",
}
WAITS = ("wait",)


class Watching(importlib.abc.MetaPathFinder):
    """Wraps the methods of a class as its module is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name not in WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            watch(getattr(module, WATCHED[name]))

        spec.loader.exec_module = exec_module
        return spec


def watch(owner):
    for name, method in list(vars(owner).items()):
        asked = callable(method) and not name.startswith("_")
        if asked and not isinstance(method, type) and (owner.__name__ != "Link" or name in WAITS):
            setattr(owner, name, noted(name, method))


def noted(name, method):
    @functools.wraps(method)
    def call(*args, **named):
        began = time.monotonic()
        try:
            return method(*args, **named)
        finally:
            path = f"{os.environ['MOX_ENGINE_CALLS']}/{os.getpid()}"
            with open(path, "a", encoding="ascii") as file:  # noqa: PTH123
                file.write(f"{began} {time.monotonic()} {name}\n")

    return call


if "MOX_ENGINE_CALLS" in os.environ:
    sys.meta_path.insert(0, Watching())
