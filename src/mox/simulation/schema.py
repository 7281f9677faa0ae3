"""A valid instance of a JSON schema, for structured answers that nothing more is known about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mox.errors import SpecError
from mox.simulation.draws import Draws

DEEPEST = 6
"""Levels after which only what a schema requires is made."""
SPARSE, MOST = 500, 20_000
"""Values after which only what a schema requires is made; values, or characters of one text or
items of one list, that are refused."""
SHORTEST_LIST = 1

_WORDS = ("simulated", "answer", "made", "from", "a", "seed", "and", "nothing", "else")
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "nobody@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_UNKNOWN = (
    "pattern", "not", "if", "patternProperties", "dependentSchemas", "contains", "propertyNames",
)  # fmt: skip


def instance(
    schema: Mapping[str, Any], draws: Draws, *, known: Mapping[str, Any] | None = None
) -> Any:
    """A value that the schema accepts, drawn by where it stands in it.

    Args:
        known: values of fields at the top, taken where the field's type is theirs and it asks
            for nothing else.

    Raises:
        SpecError: the schema uses a keyword that isn't known here, a reference that leads
            nowhere, or bounds that nothing fulfils.
    """
    try:
        return _Maker(schema, draws, known or {}).make(schema, "$", 0)
    except RecursionError:
        raise _refused("$", "what it requires contains itself") from None
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        # What stands in a schema is the client's: a text for a bound, a list for properties.
        raise _refused("$", f"it is no schema ({type(error).__name__}: {error})") from error


class _Maker:
    def __init__(self, root: Mapping[str, Any], draws: Draws, known: Mapping[str, Any]) -> None:
        self._root = root
        self._draws = draws
        self._known = known
        self._made = 0

    def make(self, schema: Mapping[str, Any] | bool, path: str, depth: int) -> Any:
        self._made += 1
        if self._made > MOST:
            raise _refused(path, f"over {MOST} values are required")
        if isinstance(schema, bool):
            return self._text({}, path)
        schema = self._merged(schema, path)
        for keyword in _UNKNOWN:
            if keyword in schema:
                raise _refused(path, f"the keyword {keyword!r} isn't known to the simulator")
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one_of(schema["enum"], path)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self.make(self._branch(schema[keyword], path, depth), path, depth)
        return self._typed(schema, path, depth)

    def _sparse(self, depth: int) -> bool:
        return depth >= DEEPEST or self._made > SPARSE

    def _typed(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0] if not self._sparse(depth) or "null" not in kind else "null"
        match kind:
            case "object":
                return self._object(schema, path, depth)
            case "array":
                return self._array(schema, path, depth)
            case "string":
                return self._text(schema, path)
            case "integer" | "number":
                return self._number(schema, path, whole=kind == "integer")
            case "boolean":
                return self._draws.uniform(f"schema {path}") < 0.5
            case "null":
                return None
        raise _refused(path, f"there is no type {kind!r}")

    def _merged(self, schema: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """The schema with what it refers to, and all of `allOf`, in it."""
        seen = 0
        while "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._referred(schema["$ref"], path), **rest}
            seen += 1
            if seen > 50:
                raise _refused(path, "its references go round in a circle")
        if "allOf" in schema:
            parts = [self._merged(part, path) for part in schema["allOf"]]
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = _joined([*parts, rest])
        return schema

    def _referred(self, name: str, path: str) -> Mapping[str, Any]:
        found: Any = self._root
        for part in name.removeprefix("#").strip("/").split("/") if name != "#" else ():
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or key not in found:
                raise _refused(path, f"the reference {name!r} leads nowhere")
            found = found[key]
        if not isinstance(found, Mapping):
            raise _refused(path, f"the reference {name!r} leads nowhere")
        return found

    def _branch(self, branches: list[Any], path: str, depth: int) -> Any:
        if self._sparse(depth):
            flat = [one for one in branches if isinstance(one, Mapping) and "$ref" not in one]
            return flat[-1] if flat else branches[0]
        return self._one_of(branches, path)

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        known = schema.get("properties", {})
        wanted = (
            known
            if not self._sparse(depth)
            else {key: known[key] for key in required if key in known}
        )
        found = {
            key: self._known[key]
            if depth == 0 and key in self._known and _takes(part, self._known[key])
            else self.make(part, f"{path}.{key}", depth + 1)
            for key, part in wanted.items()
        }
        for key in required:
            found.setdefault(key, self._text({}, f"{path}.{key}"))
        return found

    def _array(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, len(fixed), SHORTEST_LIST + 2))
        wanted = 0 if self._sparse(depth) else SHORTEST_LIST + int(2 * self._uniform(path))
        count = min(max(least, len(fixed), wanted), most)
        if count > MOST:
            raise _refused(path, f"over {MOST} items are required")
        items = schema.get("items", {})
        found: list[Any] = []
        for at in range(count):
            part = fixed[at] if at < len(fixed) else items
            found.append(self.make(part, f"{path}[{at}]", depth + 1))
        if schema.get("uniqueItems"):
            found = [one for at, one in enumerate(found) if one not in found[:at]]
            if len(found) < least:
                raise _refused(path, "so many different items can't be drawn")
        return found

    def _text(self, schema: Mapping[str, Any], path: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if least > MOST:
            raise _refused(path, f"over {MOST} characters are required")
        start = int(self._uniform(path) * len(_WORDS))
        words = [_WORDS[(start + at) % len(_WORDS)] for at in range(3 + least)]
        text = " ".join(words)
        shown = text[: int(min(max(least, 24), most))]
        return shown.rstrip() if len(shown.rstrip()) >= least else shown

    def _number(self, schema: Mapping[str, Any], path: str, *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else 0)
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        least = step or 2**-20
        if "exclusiveMinimum" in schema:
            low = max(low, schema["exclusiveMinimum"] + least)
        if "exclusiveMaximum" in schema:
            high = min(high, schema["exclusiveMaximum"] - least)
        if low == -math.inf:
            low = min(0, high - 100) if high != math.inf else 0
        high = min(high, low + 100)
        drawn = low + self._uniform(path) * (high - low)
        if step:
            drawn = min(math.ceil(drawn / step), math.floor(high / step)) * step
        if not low <= drawn <= high:
            raise _refused(path, f"no number stands between {low} and {high}")
        return int(drawn) if whole else float(drawn)

    def _one_of(self, values: list[Any], path: str) -> Any:
        return values[int(self._uniform(path) * len(values))]

    def _uniform(self, path: str) -> float:
        return self._draws.uniform(f"schema {path}")


def _takes(schema: Any, value: Any) -> bool:
    """Whether a field is of a known value's type, and bound by nothing else."""
    if not isinstance(schema, Mapping):
        return False
    bare = {key: part for key, part in schema.items() if key not in ("title", "description")}
    if isinstance(value, str):
        return bare == {"type": "string"}
    return bare == {"type": "array", "items": {"type": "integer"}}


def _joined(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if key == "properties":
                joined[key] = {**joined.get(key, {}), **value}
            elif key == "required":
                joined[key] = [*joined.get(key, []), *value]
            else:
                joined[key] = value
    return joined


def _refused(path: str, why: str) -> SpecError:
    return SpecError(
        f"no answer of this JSON schema can be simulated: at {path} {why}.",
        mend="ask for a schema without it, or ask a real provider.",
    )
