"""A run's record says by its schema who can read it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from mox.errors import StoreError
from mox.results import Results, Run
from mox.results import run as records
from mox.spec import readable

FIELDS = {
    1: "id name settings file measures choose baseline seed corpus documents questions varying"
    " trials stages seconds stopped started environment notes schema",
    2: "base",
}
"""What each schema added: a Mox of the one before would stumble over it."""


def test_a_record_with_another_field_has_another_schema() -> None:
    known = " ".join(FIELDS.values()).split()
    assert {field.name for field in fields(Run)} == set(known)
    assert max(FIELDS) == records.SCHEMA


def test_a_record_of_the_first_schema_is_read(lone: Results) -> None:
    old = records.plain(replace(lone.run, schema=1))
    del old["base"]
    found = records.parse(json.loads(readable(old)), Path("r.json"))
    assert found == replace(lone.run, schema=1, base=None)


def test_a_record_of_a_newer_mox_is_refused_by_its_schema(lone: Results) -> None:
    newer = {**records.plain(lone.run), "schema": records.SCHEMA + 1, "beyond": "all this"}
    with pytest.raises(StoreError, match="newer Mox"):
        records.parse(json.loads(readable(newer)), Path("r.json"))
