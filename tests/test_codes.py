"""Codes and their file: what is kept and how it is laid out. What is refused is in
test_codes_refused.py.
"""

from __future__ import annotations

import dataclasses
import io
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SPECTROGRAM, random_model

from xcodec2.codes import Codes
from xcodec2.errors import CodesError

ALL = Codes([0, 1, 65535], 960, 16000, model="nano", weights_hash="abc123")


def write_npz(path, **arrays):
    """What a careless or hostile program might have written."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def saved_arrays(codes: Codes, path) -> dict[str, np.ndarray]:
    codes.save(path)
    with np.load(path) as archive:
        return dict(archive)


# --- the object -----------------------------------------------------------------------------------


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
        ([True, False], "bool"),
        ((3, np.True_), "bool"),
        (bytearray(b"PK12"), "Codes.load"),
        (memoryview(b"PK12"), "Codes.load"),
        (io.BytesIO(b"PK12"), "Codes.load"),
        (torch.tensor([1, 2], device="meta"), "meta"),
        (torch.tensor([1, 2]).to_sparse(), "sparse"),
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


# --- the file -------------------------------------------------------------------------------------


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
    assert set(saved_arrays(Codes([1]), tmp_path / "a")) == {
        "format_version",
        "codes",
        "frame_rate",
        "codebook_size",
    }


def test_a_larger_codebook_needs_32_bits(tmp_path):
    big = Codes([0, 70000], codebook_size=2**20)
    assert saved_arrays(big, tmp_path / "a")["codes"].dtype == np.uint32
    assert Codes.load(tmp_path / "a") == big


@given(
    codes=st.lists(st.integers(0, 65535), min_size=1, max_size=300),
    origin=st.one_of(st.none(), st.tuples(st.integers(1, 2**40), st.integers(1000, 1_000_000))),
    frame_rate=st.integers(1, 200),
    model=st.one_of(
        st.none(),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    ),
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


@pytest.mark.parametrize(
    ("name", "says"), [("no/a.npz", "does not exist"), ("", "regular file"), ("a\0", "file name")]
)
def test_saving_refused(tmp_path, name, says):
    with pytest.raises(CodesError, match=says):
        ALL.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_content_is_read_as_the_file_is(tmp_path):
    ALL.save(tmp_path / "codes.npz")
    content = (tmp_path / "codes.npz").read_bytes()
    with open(tmp_path / "codes.npz", "rb") as file:
        for source in (content, bytearray(content), memoryview(content), file):
            assert Codes.load(source) == ALL
    for source, says in [
        (io.StringIO("<|s_1|>"), "binary"),
        (io.BytesIO(), "no codes"),
        (file, "closed"),
    ]:
        with pytest.raises(CodesError, match=says):
            Codes.load(source)


@pytest.mark.parametrize("text", ["<|s_٣|>", "<|s_1|><|s_1٣|>", "<|s_99999999999|>", "<|s_-1|>"])
def test_only_tokens_of_the_vocabulary_are_codes(text):
    """Digits of other scripts, and numbers that no codebook has, are other tokens."""
    with pytest.raises(CodesError, match="not only speech tokens"):
        Codes.from_text(text)


def test_text_becomes_codes_wherever_tensors_are_made_by_default():
    torch.set_default_device("meta")
    try:
        codes = Codes.from_text("<|s_7|>")
    finally:
        torch.set_default_device(None)
    assert codes.codes.tolist() == [7]


def test_a_model_decodes_the_content_of_a_file(tmp_path):
    """A bytearray is a sequence of small integers, too, and must not be heard as such."""
    model = random_model(SPECTROGRAM)
    codes = Codes([0, 1, 65], 960, 16000, codebook_size=model.codebook_size)
    expected = model.decode(codes)
    for source in (codes.to_bytes(), bytearray(codes.to_bytes()), io.BytesIO(codes.to_bytes())):
        assert torch.equal(model.decode(source), expected)
    assert torch.equal(model.decode([codes.to_bytes()])[0], expected)
    with pytest.raises(CodesError, match="not only speech tokens"):
        model.decode("<|s_99999999999|>")  # and not: no such file
    with pytest.raises(CodesError, match="bool"):
        model.decode([True, False])
