"""The JSON schema of an experiment: every back end's settings, alternatives allowed anywhere."""

from __future__ import annotations

from typing import Any

from mox.chunking import chunkers
from mox.corpus import corpora
from mox.embedding import embedders
from mox.evaluation import metrics
from mox.evaluation.measures import FORM
from mox.experiment.auto import Auto
from mox.experiment.choosing import Choose
from mox.experiment.experiment import KEYS, Budget, QuestionsPart, Split
from mox.experiment.loads import Load
from mox.experiment.resolve import COMBINED, NEEDS
from mox.experiment.trials import AXES
from mox.indexes import indexes
from mox.registry import Registry
from mox.retrieval import fusions, retrievers

Schema = dict[str, Any]


def schema() -> Schema:
    """JSON schema (2020-12) of an experiment's YAML, from the registered back ends."""
    axes = {
        "chunk": _axis(chunkers),
        "embed": _axis(embedders),
        "index": _index(),
        "search": _search(),
        "load": _load(),
    }
    parts: Schema = {
        "name": {"type": "string", "description": "Experiment name, in MLflow too."},
        "corpus": {"anyOf": [_spec(corpora, kind, swept=False) for kind in _kinds(corpora)]},
        "questions": QuestionsPart.model_json_schema(),
        "split": Split.model_json_schema(),
        "tokenizer": {"type": "string", "default": "cl100k", "description": "What sizes count."},
        "axes": {
            "type": "object",
            "properties": {axis: axes[axis] for axis in AXES},
            "required": ["chunk", "search"],
            "additionalProperties": False,
        },
        "measure": _or_list(_measure()),
        "baseline": {"type": "object", "description": "Settings that name one trial, by axis."},
        "choose": _inlined(Choose.model_json_schema()),
        "budget": Budget.model_json_schema(),
        "seed": {"type": "integer", "default": 0},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mox experiment",
        "type": "object",
        "properties": {key: parts[key] for key in KEYS},
        "required": ["corpus", "axes", "measure"],
        "additionalProperties": False,
    }


def _kinds(registry: Registry[Any]) -> list[str]:
    """All kinds but those of plugins that cannot be loaded; `mox doctor` names these."""
    broken = registry.broken()
    return [kind for kind in registry.kinds() if kind not in broken]


def _measure() -> Schema:
    return {
        "type": "string",
        "pattern": f"^{FORM}$",
        "description": f"A metric at a cut in hits or tokens: {', '.join(_kinds(metrics))}.",
        "examples": ["recall@1000t", "recall@5"],
    }


def _axis(registry: Registry[Any]) -> Schema:
    return _or_list({"anyOf": [_spec(registry, kind, swept=True) for kind in _kinds(registry)]})


def _index() -> Schema:
    """The back ends, and `auto` in the place of one."""
    found = [_spec(indexes, kind, swept=True) for kind in _kinds(indexes)]
    return _or_list({"anyOf": [*found, _of_shape(Auto, "auto", swept=True)]})


def _search() -> Schema:
    settings: dict[str, Schema] = {"vectors": {}, "texts": {}, "pairs": {}}
    for kind in _kinds(indexes):
        spec: Any = indexes.entry(kind).spec
        fields = spec.Search.model_json_schema().get("properties", {})
        settings[spec.holds] |= {name: _or_list(field) for name, field in fields.items()}
    settings["pairs"] = {**settings["vectors"], **settings["texts"]}  # a pair has its parts'
    shapes = []
    for kind, shape in COMBINED.items():
        fields = dict(shape.model_json_schema()["properties"])
        fields["kind"] = {"const": kind}
        for name, registry in (("fusion", fusions), ("lexical", retrievers)):
            if name in fields and kind == "hybrid":
                fields[name] = _axis(registry)
        swept = {name: _or_list(field) for name, field in fields.items() if name != "kind"}
        if kind == "engine_hybrid":
            swept["fusion"] = _engine_fusion()
        shapes.append(_closed({"kind": fields["kind"], **swept, **settings[NEEDS[kind]]}))
    for kind in _kinds(retrievers):
        made = _spec(retrievers, kind, swept=True)
        made["properties"]["k"] = _or_list({"type": "integer", "minimum": 1, "default": 10})
        shapes.append(made)
    return _or_list({"anyOf": shapes})


def _load() -> Schema:
    fields = _inlined(Load.model_json_schema())["properties"]
    swept = {name: _or_list(field) for name, field in fields.items()}
    return _or_list({"type": "object", "properties": swept, "additionalProperties": False})


def _engine_fusion() -> Schema:
    """What the engines of pairs fuse by, each once."""
    shapes: dict[str, type[Any]] = {}
    for kind in _kinds(indexes):
        for shape in indexes.entry(kind).traits.get("fusions", ()):
            shapes.setdefault(shape.model_fields["kind"].default, shape)
    return _or_list(
        {"anyOf": [_of_shape(shape, kind, swept=True) for kind, shape in shapes.items()]}
    )


def _part(base: type[Any]) -> Schema:
    """Settings of one part of a pair: any index of its engine that may be it."""
    kinds = [kind for kind in _kinds(indexes) if issubclass(indexes.entry(kind).spec, base)]
    return _or_list({"anyOf": [_spec(indexes, kind, swept=True) for kind in kinds]})


def _spec(registry: Registry[Any], kind: str, *, swept: bool) -> Schema:
    entry = registry.entry(kind)
    made = _of_shape(entry.spec, kind, swept=swept)
    for name, base in entry.traits.get("parts", {}).items():
        made["properties"][name] = _part(base)
    return made


def _of_shape(shape: type[Any], kind: str, *, swept: bool) -> Schema:
    made = _inlined(shape.model_json_schema())
    fields = {
        name: _or_list(field) if swept and name != "kind" else field
        for name, field in made["properties"].items()
    }
    fields["kind"] = {"const": kind}
    found = _closed(fields, made.get("required", []))
    if "description" in made:
        found["description"] = made["description"]
    return found


def _closed(fields: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": sorted({"kind", *(required or [])}),
        "additionalProperties": False,
    }


def _or_list(one: Schema) -> Schema:
    """A value, or a list of alternatives."""
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _inlined(made: Schema) -> Schema:
    """A schema with its `$defs` put where they are used, so that it can stand inside another."""
    parts = made.pop("$defs", {})

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return put(parts[value["$ref"].rsplit("/", 1)[-1]])
            return {name: put(item) for name, item in value.items()}
        if isinstance(value, list):
            return [put(item) for item in value]
        return value

    found: Schema = put(made)
    return found
