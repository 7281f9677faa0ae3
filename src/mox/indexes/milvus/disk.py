"""What a collection takes on disk, of a server that was started here: its own files say it.

Milvus tells nobody over its API. With storage of its own, 2.3 lays a segment's files out as

    insert_log/COLLECTION/PARTITION/SEGMENT/FIELD/…  its rows, a folder for each field
    stats_log/COLLECTION/PARTITION/SEGMENT/FIELD/…   filters over its ids
    delta_log/COLLECTION/PARTITION/SEGMENT/…         what was deleted from it
    index_files/BUILD/VERSION/PARTITION/SEGMENT/…    its index

Those of dropped collections and of segments that were compacted into others stay there for hours,
until its garbage collector comes. So the server is asked which segments are live, and each has to
be found as it is drawn here, or nothing is said. Files are compressed: their bytes are no measure
of what answers from memory, for which a Spec has its formula.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mox.indexes.milvus.build import describe, held_rows
from mox.indexes.milvus.client import Link, connected
from mox.indexes.milvus.verify import UNINDEXED
from mox.services import running
from mox.settings import settings
from mox.types import Place

KNOWN = "2.3."
"""How the versions begin whose files are laid out so."""
ELSEWHERE = (
    "Milvus doesn't say what its files take, and they are read only of a server that"
    " `mox up milvus` started in this state folder"
)
FOLDERS = ("insert_log", "stats_log", "delta_log")
SYSTEM = (0, 1)
"""Fields that every segment has besides its schema's: the server's own row ids and times."""


class UnreadError(Exception):
    """Why nothing can be said, in words."""


def disk_bytes(place: Place) -> tuple[int | None, str]:
    """Bytes that a collection's live segments and their indexes take, or None, and why not.

    What all collections share, the log of its messages and etcd's, isn't in it.

    Raises:
        EngineError: the server is away or refuses.
    """
    server = running.at(settings().root, "milvus", place.uri)
    if server is None or not server.alive:
        return None, ELSEWHERE
    with connected(place) as link:
        try:
            return live_bytes(link, Path(server.log).parent / "data"), ""
        except UnreadError as error:
            return None, str(error)


def live_bytes(link: Link, data: Path) -> int:
    """Bytes of the files of a collection's live segments.

    Args:
        data: the folder where the server keeps its files.

    Raises:
        UnreadError: they aren't where they are looked for, or can't be read.
        EngineError: the server is away or refuses.
    """
    version = link.engine["version"]
    if not version.startswith(KNOWN):
        raise UnreadError(f"how Milvus {version} lays out its files isn't known")
    segments = _flushed(link)
    about = link.client.describe_collection(link.name, timeout=link.limits.answer)
    fields = {*map(str, SYSTEM), *(str(field["field_id"]) for field in about["fields"])}
    indexed = _indexed(link)
    try:
        builds = _builds(data / "index_files")
        return sum(
            _rows_bytes(data, about["collection_id"], segment, fields)
            + _index_bytes(builds.get(segment, {}), segment, indexed=indexed)
            for segment in segments
        )
    except OSError as error:
        raise UnreadError(f"{error.filename} can't be read ({error.strerror})") from None


def _flushed(link: Link) -> list[tuple[str, str]]:
    """Partition and segment of each that is live; together they hold all rows."""
    found = link.client.list_persistent_segments(link.name, timeout=link.limits.answer)
    flushed = [one for one in found if one.state_name == "Flushed"]
    rows, held = sum(int(one.num_rows) for one in flushed), held_rows(link)
    if not rows or rows != held:
        raise UnreadError(f"{rows} of its {held} rows are in files so far")
    return [(str(one.partition_id), str(one.segment_id)) for one in flushed]


def _indexed(link: Link) -> bool:
    """Whether each of its segments has an index of its own in files."""
    found = describe(link)
    if found["state"] != "Finished" or found["pending_index_rows"]:
        raise UnreadError("its index is still being built")
    return found["index_type"] not in UNINDEXED


def _rows_bytes(data: Path, collection: int, segment: tuple[str, str], fields: set[str]) -> int:
    inside = Path(str(collection), *segment)
    found = {folder.name for folder in (data / "insert_log" / inside).iterdir()}
    if found != fields:
        raise UnreadError(
            f"segment {segment[1]} has files of the fields {', '.join(sorted(found))}, where its"
            f" schema has {', '.join(sorted(fields))}"
        )
    # Of what was never deleted there is no delta_log.
    folders = [data / name / inside for name in FOLDERS]
    return sum(_size(folder) for folder in folders if folder.is_dir())


def _builds(folder: Path) -> Mapping[tuple[str, str], Mapping[str, Path]]:
    """By partition and segment: its builds of an index, and where the last try of each lies."""
    found: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
    builds = sorted(folder.iterdir()) if folder.is_dir() else []
    for build in builds:
        for version in sorted(build.iterdir(), key=_number):
            for segment in version.glob("*/*"):
                found[segment.parent.name, segment.name][build.name] = segment
    return found


def _number(version: Path) -> int:
    if not version.name.isdigit():
        raise UnreadError(f"{version} is not laid out as those of Milvus {KNOWN}x are")
    return int(version.name)


def _index_bytes(builds: Mapping[str, Path], segment: tuple[str, str], *, indexed: bool) -> int:
    if len(builds) != indexed:
        raise UnreadError(
            f"segment {segment[1]} has files of {len(builds)} indexes, where {int(indexed)} should"
            " be: one is still being built, or they are laid out otherwise"
        )
    return sum(map(_size, builds.values()))


def _size(folder: Path) -> int:
    def fail(error: OSError) -> NoReturn:
        raise error

    walked: Any = os.walk(folder, onerror=fail)
    return sum(Path(at, name).stat().st_size for at, _, names in walked for name in names)
