"""The JSON schema of a file of providers: every provider's settings, workloads and loads."""

from __future__ import annotations

from typing import Any

from mox.bench.providers.entries import Entry
from mox.bench.providers.file import KEYS, LOADS, SIZED
from mox.bench.providers.plain import Plain
from mox.bench.providers.sections import Budget, Slo

Schema = dict[str, Any]


def schema() -> Schema:
    """JSON schema (2020-12) of the YAML that `mox bench providers` reads."""
    plain = _one_or_more(Plain.model_json_schema()["properties"])
    entry = Entry.model_json_schema()["properties"]
    parts: Schema = {
        **plain,
        "providers": _list(_providers(entry)),
        "workloads": _list([{"enum": ["short", "standard", "long"]}, *_shapes(SIZED)]),
        "loads": _list(_shapes(LOADS)),
        "slo": _closed(Slo.model_json_schema()),
        "budget": _closed(Budget.model_json_schema()),
        "prices": {"type": "string", "description": "A YAML of prices, from this file's folder."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mox file of providers",
        "type": "object",
        "properties": {key: parts[key] for key in KEYS},
        "required": ["providers", "workloads", "loads"],
        "additionalProperties": False,
    }


def _providers(entry: Schema) -> list[Schema]:
    """Every provider's Spec, with what an entry says besides."""
    from mox.providers import providers

    broken = providers.broken()
    found = []
    for kind in providers.kinds():
        if kind not in broken:
            shape = providers.entry(kind).spec.model_json_schema()
            properties = {**shape["properties"], **entry, "kind": {"const": kind}}
            required = ["kind", *shape.get("required", ())]
            found.append(_closed({**shape, "properties": properties, "required": required}))
    return found


def _shapes(shapes: Any) -> list[Schema]:
    """Each kind's section once."""
    found = []
    for shape in dict.fromkeys(shapes.values()):
        made = shape.model_json_schema()
        properties = _one_or_more(made["properties"])
        required = sorted({"kind", *made.get("required", ())})
        found.append(_closed({**made, "properties": properties, "required": required}))
    return found


def _one_or_more(properties: Schema) -> Schema:
    """One value is as good as a list of it."""
    found = {}
    for name, field in properties.items():
        if field.get("type") == "array":
            rest = {key: value for key, value in field.items() if key != "type"}
            field = {**rest, "anyOf": [field["items"], {"type": "array", "items": field["items"]}]}
        found[name] = field
    return found


def _list(items: list[Schema]) -> Schema:
    """A list of them, or one without brackets."""
    one: Schema = {"anyOf": items}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _closed(shape: Schema) -> Schema:
    return {**shape, "additionalProperties": False}
