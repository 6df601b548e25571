"""Files that are not codes: each is one clear error, and none costs memory or runs anything."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codes import ALL, saved_arrays, write_npz

from xcodec2.codes import Codes
from xcodec2.errors import CodesError, XCodec2Error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"hello", "not a codes file"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio, not codes"),
        (b"\0\0\0\x20ftypM4A ", "audio, not codes"),
        (b"PK\x03\x04", "cut short"),
        (b"\x93NUMPY\x01\x00", "header"),
        (b"\x93NUMPY\x09\x00v\0{}", "header"),
    ],
)
def test_content_refused(tmp_path, content, says):
    path = tmp_path / "codes.npz"
    path.write_bytes(content)
    with pytest.raises(CodesError, match=says) as caught:
        Codes.load(path)
    assert str(path) in str(caught.value)


def test_paths_refused(tmp_path):
    for name, says in [("", "folder"), ("missing.npz", "no such file"), ("a\0", "file name")]:
        with pytest.raises(CodesError, match=says):
            Codes.load(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"format_version": None}, "no array named 'format_version'"),
        ({"codes": None}, "no array named 'codes'"),
        ({"frame_rate": None}, "no array named 'frame_rate'"),
        ({"codebook_size": None}, "no array named 'codebook_size'"),
        ({"num_samples": None}, "both or neither"),
        ({"format_version": np.array(2)}, "upgrade"),
        ({"format_version": np.array(1.0)}, "format_version must be one int"),
        ({"codes": np.array([1.0, 2.0])}, "float64"),
        ({"codes": np.array([-1, 2])}, "code -1"),
        ({"codes": np.array([1, 2**40])}, "outside"),
        ({"codes": np.array([[1, 2]])}, r"\(1, 2\)"),
        ({"codes": np.array([], np.uint16)}, "no codes"),
        ({"codes": np.array([True])}, "bool"),
        ({"codes": np.array([1j])}, "complex"),
        ({"codes": np.array([{}], object)}, "object"),
        ({"num_samples": np.array([960])}, "num_samples must be one int"),
        ({"num_samples": np.array("960")}, "num_samples must be one int"),
        ({"sample_rate": np.array(0)}, "sample_rate"),
        ({"model": np.array(5)}, "model must be one str"),
    ],
)
def test_wrong_arrays_refused(tmp_path, changed, says):
    arrays = saved_arrays(ALL, tmp_path / "a") | changed
    write_npz(
        tmp_path / "b", **{name: array for name, array in arrays.items() if array is not None}
    )
    with pytest.raises(CodesError, match=says):
        Codes.load(tmp_path / "b")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 1, 5), int),
        np.zeros((5, 1), int),
        np.zeros((1, 1, 1, 5), int),
        np.zeros(5),
        np.array([-1]),
        np.array([{}]),
    ],
)
def test_plain_npy_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(CodesError):
        Codes.load(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["|O", "|b1", "|V1", "<M8[s]"])
def test_types_that_codes_do_not_use_are_refused(tmp_path, kind):
    path = tmp_path / "a.npy"
    path.write_bytes(npy_claiming(f"({64 // np.dtype(kind).itemsize},)", kind))
    with pytest.raises(CodesError, match="which codes files do not use"):
        Codes.load(path)


def test_a_damaged_compressed_array_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **saved_arrays(ALL, tmp_path / "a"))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    start = content.index(b"codes.npy") + len("codes.npy")
    content[start : start + 40] = b"\xff" * 40
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CodesError, match="damaged"):
        Codes.load(tmp_path / "a.npz")


def test_a_compression_that_numpy_does_not_use_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("format_version.npy", npy_claiming("(32,)"))
    with pytest.raises(CodesError, match="compressed in a way"):
        Codes.load(tmp_path / "a.npz")


def load_peak_megabytes(path) -> float:
    """Load what must be refused, and return the most memory that it took."""
    tracemalloc.start()
    try:
        with pytest.raises(CodesError):
            Codes.load(path)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def npy_claiming(shape: str, kind: str = "<u2") -> bytes:
    """An .npy with 64 bytes of data, whatever its header says."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)


@pytest.mark.parametrize(
    "shape", ["(68719476736,)", "(4294967296, 4294967296)", "(-1,)", "(-32, -1)", "(33,)", "()"]
)
@pytest.mark.parametrize("inside", ["npy", "npz"])
def test_an_array_header_that_lies_allocates_nothing(tmp_path, shape, inside):
    path = tmp_path / "liar"
    path.write_bytes(npy_claiming(shape))
    if inside == "npz":
        arrays = {
            name: array
            for name, array in saved_arrays(ALL, tmp_path / "a").items()
            if name != "codes"
        }
        write_npz(path, **arrays)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("codes.npy", npy_claiming(shape))
    assert load_peak_megabytes(path) < 1


def test_a_file_too_large_for_codes_is_not_read(tmp_path):
    path = tmp_path / "large.npy"
    path.write_bytes(npy_claiming("(60000000,)"))
    os.truncate(path, 128 + 120_000_000)  # zeros that take no room on the disk
    assert load_peak_megabytes(path) < 1


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("format_version.npy", "w") as member,
    ):
        for _ in range(100):
            member.write(bytes(1 << 20))
    assert os.path.getsize(path) < 200_000
    assert load_peak_megabytes(path) < 1


def test_a_zip_bomb_that_hides_its_size_is_not_unpacked(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("format_version.npy", bytes(100 << 20))
    small, large = struct.pack("<I", 128), struct.pack("<I", 100 << 20)
    (tmp_path / "bomb.npz").write_bytes(content.getvalue().replace(large, small))
    assert load_peak_megabytes(tmp_path / "bomb.npz") < 5


@given(
    st.binary(min_size=1, max_size=500),
    st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00"]),
)
@settings(max_examples=100, deadline=None)
def test_random_bytes_are_one_error(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(start + content)
    with pytest.raises(XCodec2Error) as caught:
        Codes.load(path)
    assert "\n" not in str(caught.value)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_these_codes_or_one_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    ALL.save(path)
    content = bytearray(path.read_bytes())
    content = content[: data.draw(st.integers(1, len(content)))]
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(CodesError):
        assert (
            Codes.load(path).codes.tolist() == ALL.codes.tolist()
        )  # the zip's checksums guard what is read
