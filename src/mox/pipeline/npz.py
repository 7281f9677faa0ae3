"""Arrays as the bytes of an uncompressed `.npz`, and back, without a file system in between.

The bytes are those of `numpy.savez`. They are made and read here several times as fast as by
numpy, which puts each of a sweep's thousands of small files through Python's zip files and text
parsers.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Arrays

_LOCAL = struct.Struct("<4s5H3L2H")
"""A zip's local header: signature, version, flags, method, time, date, CRC, sizes packed and
plain, lengths of the name and of the extra field."""
_ZIP64 = struct.Struct("<2H2Q")
"""The extra field of large files, which numpy always writes: tag, length, plain and packed size."""
_WIDE = 0xFFFFFFFF
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
"""A zip's central header: signature, version and system that wrote it, version that reads it,
flags, method, time, date, CRC, sizes, lengths, disk, attributes, where the local header is."""
_END = struct.Struct("<4s4H2LH")
_VERSION, _UNIX, _DATE, _OWNERS = 45, 3, 33, 0o600 << 16
"""What numpy has there: zip64, the first day that a zip can name, read and written by its owner."""
_SMALL = 1 << 30
"""Bytes in all, under which no central header is a zip64's."""


def pack(arrays: Arrays) -> bytes:
    """Arrays by name as one `.npz`.

    Raises:
        ValueError: an array of objects.
    """
    if not all(_is_plain(name, array) for name, array in arrays.items()) or (
        sum(array.nbytes for array in arrays.values()) > _SMALL
    ):
        return _by_numpy(arrays)
    parts: list[bytes] = []
    index: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        file = f"{name}.npy".encode()
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        header = _npy_header(array.dtype, array.shape, fortran)
        body = array.tobytes("F" if fortran else "C")
        size = len(header) + len(body)
        crc = zlib.crc32(body, zlib.crc32(header))
        local = _LOCAL.pack(
            b"PK\x03\x04", _VERSION, 0, 0, 0, _DATE, crc, _WIDE, _WIDE, len(file), _ZIP64.size
        )
        parts += [local, file, _ZIP64.pack(1, _ZIP64.size - 4, size, size), header, body]
        index.append(
            _CENTRAL.pack(
                b"PK\x01\x02", _VERSION, _UNIX, _VERSION, 0, 0, 0, 0, _DATE, crc, size, size,
                len(file), 0, 0, 0, 0, _OWNERS, at,
            ) + file
        )  # fmt: skip
        at += _LOCAL.size + len(file) + _ZIP64.size + size
    length = sum(map(len, index))
    end = _END.pack(b"PK\x05\x06", 0, 0, len(index), len(index), length, at, 0)
    return b"".join([*parts, *index, end])


def _is_plain(name: str, array: NDArray[Any]) -> bool:
    """Whether an array is numbers and its name ASCII: what a zip and a `.npy` say most simply."""
    return array.dtype.kind in "biuf" and name.isascii()


def _by_numpy(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    contents: dict[str, NDArray[Any]] = dict(arrays)
    np.savez(buffer, allow_pickle=False, **contents)
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _npy_header(dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> bytes:
    import numpy as np

    stream = io.BytesIO()
    said = {"descr": dtype.str, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, said)
    return stream.getvalue()


def unpack(raw: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of what `pack` made; copies that may be written to.

    Raises:
        ValueError: other bytes.
    """
    found: dict[str, NDArray[Any]] = {}
    at = 0
    while raw[at : at + 4] == b"PK\x03\x04":
        _, _, flags, method, _, _, _, packed, size, named, more = _LOCAL.unpack_from(raw, at)
        if flags & 0b1001 or method:
            raise ValueError("not as numpy writes it: encrypted, streamed or compressed")
        begin = at + _LOCAL.size
        name = raw[begin : begin + named].decode()
        if size == _WIDE:
            _, _, size, packed = _ZIP64.unpack_from(raw, begin + named)
        first = begin + named + more
        found[name.removesuffix(".npy")] = _array(raw, first, first + size)
        at = first + packed
    if raw[at : at + 4] not in (b"PK\x01\x02", b"PK\x05\x06"):
        raise ValueError("no npz")
    return found


def _array(raw: bytes, first: int, end: int) -> NDArray[Any]:
    """The `.npy` within [first, end)."""
    import numpy as np

    version, wide = raw[first + 6], 4 if raw[first + 6] > 1 else 2
    if raw[first : first + 6] != b"\x93NUMPY" or version > 3:
        raise ValueError("no npy")
    begin = first + 8 + wide + int.from_bytes(raw[first + 8 : first + 8 + wide], "little")
    shape, fortran, dtype = _header(raw[first:begin])
    count = int(np.prod(shape, dtype=np.int64))
    if begin + count * dtype.itemsize != end:
        raise ValueError("an npy of another length")
    flat = np.frombuffer(raw, dtype, count, begin) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")


@lru_cache(maxsize=256)
def _header(raw: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type; parsed once for all arrays that share them."""
    import numpy as np

    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        found = np.lib.format.read_array_header_1_0(stream)
    else:
        found = np.lib.format.read_array_header_2_0(stream)
    shape, fortran, dtype = found
    if dtype.hasobject:
        raise ValueError("an array of objects")
    return shape, fortran, dtype
