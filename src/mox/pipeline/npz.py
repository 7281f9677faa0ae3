"""Arrays as the bytes of an uncompressed `.npz`, and back, without a file system in between.

Written by numpy. Read here, several times as fast as by `numpy.load`, which looks at each of a
sweep's thousands of small files through Python's zip and text parsers.
"""

from __future__ import annotations

import io
import struct
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


def pack(arrays: Arrays) -> bytes:
    """Arrays by name as one `.npz`."""
    import numpy as np

    buffer = io.BytesIO()
    contents: dict[str, NDArray[Any]] = dict(arrays)
    np.savez(buffer, allow_pickle=False, **contents)
    return buffer.getvalue()


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
