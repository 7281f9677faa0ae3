"""Arrays in a zip: what is read is what numpy reads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_

from mox.pipeline import npz

some = arrays_.arrays(
    dtype=st.sampled_from(
        [np.float64, np.float32, np.float16, np.int32, np.int64, np.uint8, np.bool_, ">i4", "<U3"]
    ),
    shape=arrays_.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
names = st.text(st.characters(categories=["L", "Nd"], include_characters="_@."), min_size=1)
named = st.dictionaries(names.filter(lambda name: not name.endswith(".npy")), some, max_size=3)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(named, st.booleans())
def test_arrays_come_back_as_numpy_reads_them(arrays, turned):
    arrays = {name: np.asfortranarray(a) if turned else a for name, a in arrays.items()}
    raw = npz.pack(arrays)
    by_numpy = io.BytesIO()
    np.savez(by_numpy, allow_pickle=False, **arrays)
    assert raw == by_numpy.getvalue()
    found = npz.unpack(raw)
    with np.load(io.BytesIO(raw), allow_pickle=False) as data:
        assert list(found) == data.files
        for name, array in found.items():
            theirs = data[name]
            assert (array.dtype, array.shape) == (theirs.dtype, theirs.shape)
            assert array.flags.f_contiguous == theirs.flags.f_contiguous
            assert array.tobytes() == theirs.tobytes()
            assert array.flags.writeable


def test_what_is_in_the_order_of_either_language_or_of_none_is_numpys_bytes():
    grid = np.arange(12.0).reshape(3, 4)
    arrays = {
        "C": grid,
        "Fortran": np.asfortranarray(grid),
        "every other": grid[:, ::2],
        "none": np.empty((0, 3)),
    }
    by_numpy = io.BytesIO()
    np.savez(by_numpy, allow_pickle=False, **arrays)
    assert npz.pack(arrays) == by_numpy.getvalue()


@pytest.mark.parametrize(("most", "by_numpy"), [(71, True), (72, False)])
def test_numpy_packs_what_may_be_too_large_for_a_plain_zip(
    monkeypatch: pytest.MonkeyPatch, most: int, by_numpy: bool
):
    monkeypatch.setattr(npz, "_SMALL", most)
    monkeypatch.setattr(npz, "_by_numpy", lambda _: b"by numpy")
    found = npz.pack({"a": np.zeros(9), "b": np.zeros((0, 2))})  # 72 bytes
    assert (found == b"by numpy") is by_numpy


def test_objects_are_refused():
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz.pack({"a": np.array([{}], dtype=object)})


def test_other_bytes_are_refused():
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.arange(9))
    whole = npz.pack({"a": np.arange(9)})
    for raw in (b"", b"nothing", packed.getvalue(), whole[:90], whole[:60] + b"\0" * 200):
        with pytest.raises((ValueError, SyntaxError)):
            npz.unpack(raw)
