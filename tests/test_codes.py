"""Codes and their file: what is kept, how it is laid out, and everything that must be refused."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xcodec2.codes import Codes
from xcodec2.errors import CodesError, XCodec2Error

ALL = Codes([0, 1, 65535], 960, 16000, model="nano", weights_hash="abc123")


def write_npz(path, **arrays):
    """What a careless or hostile program might have written."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def saved_arrays(codes: Codes, path) -> dict[str, np.ndarray]:
    codes.save(path)
    with np.load(path) as archive:
        return dict(archive)


# --- the object ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_as",
    [
        [5, 6, 7],
        (5, 6, 7),
        range(5, 8),
        np.array([5, 6, 7], np.uint16),
        np.array([5, 6, 7], np.int64),
        np.array([5, 6, 7], ">i4"),
        torch.tensor([5, 6, 7], dtype=torch.int16),
        torch.tensor([5, 6, 7], dtype=torch.uint8),
        torch.tensor([5, 6, 7], dtype=torch.uint16),
    ],
)
def test_any_integers_become_int32(given_as):
    codes = Codes(given_as)
    assert codes.codes.dtype == torch.int32
    assert codes.codes.tolist() == [5, 6, 7]
    assert len(codes) == 3


def test_what_the_caller_keeps_is_not_shared():
    mine = torch.tensor([1, 2, 3], dtype=torch.int32)
    codes = Codes(mine)
    mine[0] = 99
    assert codes.codes.tolist() == [1, 2, 3]


def test_duration_is_that_of_the_audio_or_of_the_frames():
    assert Codes([1] * 51, 24000, 24000).duration == 1.0
    assert Codes([1] * 51).duration == pytest.approx(1.02)
    assert Codes([1] * 50, frame_rate=25).duration == 2.0


def test_equality_covers_the_codes_and_their_origin():
    assert Codes([1, 2]) == Codes(np.array([1, 2], np.uint16))
    assert Codes([1, 2]) != Codes([1, 3])
    assert Codes([1, 2]) != Codes([1, 2, 2])
    assert Codes([1, 2]) != Codes([1, 2], 640, 16000)
    assert Codes([1, 2], model="a") != Codes([1, 2], model="b")
    assert Codes([1, 2]) != [1, 2]


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ([], "type|empty"),
        (torch.zeros(0, dtype=torch.int32), "no codes"),
        (torch.zeros((1, 3), dtype=torch.int32), r"\(1, 3\)"),
        (np.int64(5), r"shape \(\)"),
        (torch.tensor([1.0, 2.0]), "float32"),
        ([1, 2.5], "float64"),
        (np.array([True, False]), "bool"),
        (torch.tensor([1j]), "complex"),
        (["a", "b"], "integers"),
        ([[1], [2, 3]], "integers"),
        (None, "integers"),
        ([2**70], "integers"),
        ([3, -1], "code -1 at position 1"),
        ([0, 7, 65536], "code 65536 at position 2"),
        (np.array([2**64 - 1], np.uint64), "outside"),
        (np.array([2**32 + 5]), "code 4294967301"),
    ],
)
def test_codes_refused(codes, says):
    with pytest.raises(CodesError, match=says):
        Codes(codes)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"num_samples": 5}, "both or neither"),
        ({"sample_rate": 16000}, "both or neither"),
        ({"num_samples": 0, "sample_rate": 16000}, "num_samples"),
        ({"num_samples": 5, "sample_rate": -1}, "sample_rate"),
        ({"num_samples": 5, "sample_rate": 16000.0}, "sample_rate"),
        ({"num_samples": True, "sample_rate": 16000}, "num_samples"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"frame_rate": None}, "frame_rate"),
        ({"codebook_size": 3}, "0…2"),
        ({"codebook_size": 2**32}, "codebook_size"),
        ({"model": 7}, "model"),
        ({"weights_hash": b"abc"}, "weights_hash"),
    ],
)
def test_fields_refused(fields, says):
    with pytest.raises(CodesError, match=says):
        Codes([3], **fields)


def test_codes_cannot_be_reassigned():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALL.num_samples = 3  # type: ignore[misc]


# --- the file ------------------------------------------------------------------------------------------------------


def test_numpy_alone_reads_the_file(tmp_path):
    arrays = saved_arrays(ALL, tmp_path / "speech.npz")
    assert arrays["codes"].dtype == np.uint16
    assert arrays["codes"].tolist() == [0, 1, 65535]
    assert {name: array.item() for name, array in arrays.items() if name != "codes"} == {
        "format_version": 1,
        "num_samples": 960,
        "sample_rate": 16000,
        "frame_rate": 50,
        "codebook_size": 65536,
        "model": "nano",
        "weights_hash": "abc123",
    }


def test_what_is_unknown_is_not_in_the_file(tmp_path):
    assert set(saved_arrays(Codes([1]), tmp_path / "a")) == {"format_version", "codes", "frame_rate", "codebook_size"}


def test_a_larger_codebook_needs_32_bits(tmp_path):
    big = Codes([0, 70000], codebook_size=2**20)
    assert saved_arrays(big, tmp_path / "a")["codes"].dtype == np.uint32
    assert Codes.load(tmp_path / "a") == big


@given(
    codes=st.lists(st.integers(0, 65535), min_size=1, max_size=300),
    origin=st.one_of(st.none(), st.tuples(st.integers(1, 2**40), st.integers(1000, 1_000_000))),
    frame_rate=st.integers(1, 200),
    model=st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)),
)
@settings(max_examples=60, deadline=None)
def test_saved_codes_come_back(tmp_path_factory, codes, origin, frame_rate, model):
    path = tmp_path_factory.getbasetemp() / "again.npz"
    samples, rate = origin or (None, None)
    before = Codes(codes, samples, rate, frame_rate=frame_rate, model=model)
    before.save(path)
    assert Codes.load(str(path)) == before


def test_the_same_codes_give_the_same_bytes(tmp_path, monkeypatch):
    ALL.save(tmp_path / "a.npz")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    dataclasses.replace(ALL, codes=ALL.codes.clone()).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("name", ["codes", "codes.npy", "codes.wav.npz", "ü.codes"])
def test_the_file_has_exactly_the_name_given(tmp_path, name):
    ALL.save(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert Codes.load(tmp_path / name) == ALL


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1, 4)])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", ">i4"])
def test_a_plain_npy_is_codes_of_unknown_origin(tmp_path, shape, dtype):
    path = tmp_path / "codes.npy"
    np.save(path, np.array([9, 8, 7, 65535]).astype(dtype).reshape(shape))
    codes = Codes.load(path)
    assert codes == Codes([9, 8, 7, 65535])
    assert codes.num_samples is None


def test_a_compressed_npz_loads_too(tmp_path):
    arrays = saved_arrays(ALL, tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    assert Codes.load(tmp_path / "b.npz") == ALL


def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "codes.npz"
    ALL.save(path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(CodesError, match="No space left"):
        Codes([1]).save(path)
    assert os.listdir(tmp_path) == ["codes.npz"]
    assert Codes.load(path) == ALL


@pytest.mark.parametrize(("name", "says"), [("no/a.npz", "does not exist"), ("", "regular file"), ("a\0", "file name")])
def test_saving_refused(tmp_path, name, says):
    with pytest.raises(CodesError, match=says):
        ALL.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


# --- files that are not codes --------------------------------------------------------------------------------------


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
    write_npz(tmp_path / "b", **{name: array for name, array in arrays.items() if array is not None})
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


@pytest.mark.parametrize("shape", ["(68719476736,)", "(4294967296, 4294967296)", "(-1,)", "(-32, -1)", "(33,)", "()"])
@pytest.mark.parametrize("inside", ["npy", "npz"])
def test_an_array_header_that_lies_allocates_nothing(tmp_path, shape, inside):
    path = tmp_path / "liar"
    path.write_bytes(npy_claiming(shape))
    if inside == "npz":
        arrays = {name: array for name, array in saved_arrays(ALL, tmp_path / "a").items() if name != "codes"}
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
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("format_version.npy", "w") as member:
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


@given(st.binary(min_size=1, max_size=500), st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00"]))
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
        assert Codes.load(path).codes.tolist() == ALL.codes.tolist()  # the zip's checksums guard what is read
