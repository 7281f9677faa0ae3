"""Notes embeddings and CPU seconds, in every Python process that has this folder on its path.

Python imports `sitecustomize` when it starts. Where `RIVAL_PROBE` names a file, each call that
embeds texts, each load of a model, and of Mox each stage and each job's end append a line there:
CPU seconds of the call (all threads of the process), CPU seconds of the process so far, and the
hashes of the texts embedded. The same wrapper counts on both sides; it runs no code of either.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import json
import os
import sys
import time

NOTES = os.environ.get("RIVAL_PROBE")


def note(what, began, **more):
    """Append one line; a line is one write, so that processes don't mix."""
    now = time.process_time()
    line = {"pid": os.getpid(), "what": what, "cpu": now - began, "so_far": now, **more}
    with open(NOTES, "a", encoding="utf-8") as file:  # noqa: PTH123  before pathlib is imported
        file.write(json.dumps(line) + "\n")


def noted(what, function, texts=None):
    """A function that notes each of its calls."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        began = time.process_time()
        result = function(*args, **kwargs)
        more = {} if texts is None else {"texts": [short_hash(t) for t in texts(args, kwargs)]}
        note(what, began, **more)
        return result

    return call


def short_hash(text):
    return hashlib.blake2b(str(text).encode(), digest_size=8).hexdigest()


def asked(args, kwargs):
    """The texts of a call of `encode`, which takes one or a list."""
    given = args[1] if len(args) > 1 else next(iter(kwargs.values()))
    return [given] if isinstance(given, str) else list(given)


def watch_model(module):
    model = module.SentenceTransformer
    model.encode = noted("encode", model.encode, asked)
    model.__init__ = noted("load", model.__init__)


def watch_minilm(module):
    module.Encoder.embed = noted("encode", module.Encoder.embed, asked)
    module.opened = noted("load", module.opened)


def watch_words(module):
    model = module.WordLlamaInference
    model.embed = noted("encode", model.embed, asked)


def watch_stages(module):
    for kind, work in list(module.WORK.items()):
        module.WORK[kind] = noted(f"stage {kind}", work)


def watch_jobs(module):
    context = module.Context
    context.end_job = noted("job", context.end_job)


def watch_api(module):
    for name in ("plan", "execute"):
        setattr(module, name, noted(f"api {name}", getattr(module, name)))


WATCHED = {
    "sentence_transformers": watch_model,
    "wordllama.inference": watch_words,
    "mox.embedding.minilm": watch_minilm,
    "mox.pipeline.work": watch_stages,
    "mox.pipeline.context": watch_jobs,
    "mox.api": watch_api,
}


class Finder:
    """Has a watched module watched as soon as it is imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                began = time.process_time()
                run(module)
                note(f"import {name}", began)
                WATCHED[name](module)

            spec.loader.exec_module = exec_module
        return spec


if NOTES:
    sys.meta_path.insert(0, Finder)
