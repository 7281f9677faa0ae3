"""JSON schemas as providers take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_closed(schema: Any) -> bool:
    """Whether each object in a schema allows no other fields and requires all of its own: what
    OpenAI asks of a schema that it is to keep strictly. Others are a hint to it."""
    if isinstance(schema, list):
        return all(is_closed(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        fields = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(fields):
            return False
        return all(is_closed(part) for part in fields.values()) and is_closed(
            list(schema.get("$defs", {}).values())
        )
    return all(is_closed(part) for part in schema.values())
