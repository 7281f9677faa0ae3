"""What an embedder's results depend on: the bytes of its files."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest

from mox.embedding.files import package_folder, sha256_of, sha256_of_folder
from mox.errors import MissingError


def test_a_changed_file_has_another_hash(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"one")
    assert sha256_of(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))  # a clock's tick may be longer than this test
    assert sha256_of(file) == hashlib.sha256(b"two").hexdigest()


def test_a_folders_hash_holds_names_and_contents_of_the_files_that_count(tmp_path):
    def made(name, files):
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return sha256_of_folder(tmp_path / name, frozenset({".json"}))

    base = made("base", {"a.json": "1", "deep/b.json": "2"})
    assert made("readme", {"a.json": "1", "deep/b.json": "2", "README.md": "x"}) == base
    assert made("content", {"a.json": "1", "deep/b.json": "3"}) != base
    assert made("renamed", {"a.json": "1", "deep/c.json": "2"}) != base
    assert made("fewer", {"a.json": "1"}) != base


def test_a_packages_folder_is_found_without_importing_it():
    assert (package_folder("wordllama", "wordllama") / "weights").is_dir()


def test_a_missing_package_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "absent", None)
    with pytest.raises(MissingError, match="absent-dist is not installed") as refused:
        package_folder("absent", "absent-dist", extra="minilm")
    assert "[minilm]" in refused.value.mend
