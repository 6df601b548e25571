"""Arrays in, mono at 16 kHz out; and saving."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import encoded, noise, same, tone

from xcodec2.audio.io import load_audio, resampled_length, save_audio
from xcodec2.audio.samples import BLOCK_VALUES
from xcodec2.errors import AudioError

# --- what comes out -------------------------------------------------------------------------------


def test_samples_at_the_target_rate_pass_bit_exact():
    wave = noise(5000)[0]
    audio = load_audio(wave, 16000)
    assert same(audio.waveform, wave)
    assert (audio.num_samples, audio.sample_rate) == (5000, 16000)
    assert audio.waveform.dtype == torch.float32


def test_the_result_does_not_share_memory_with_the_input():
    wave = noise(100)[0]
    before = load_audio(wave, 16000).waveform
    wave[:] = 0
    assert before.abs().max() > 0.01


def test_floats_beyond_one_are_neither_clipped_nor_scaled():
    assert load_audio(np.array([3.0, -2.5]), 16000).waveform.tolist() == [3.0, -2.5]


def test_channels_are_averaged():
    left, right = noise(400, 2)
    audio = load_audio(np.stack([left, right]), 16000)
    np.testing.assert_allclose(audio.waveform, (left + right) / 2, atol=1e-8)
    assert audio.num_samples == 400


def test_a_stereo_file_of_two_equal_channels_is_that_channel():
    wave = noise(3001)[0]
    assert same(load_audio(np.stack([wave] * 3), 16000).waveform, wave)


def test_one_channel_is_taken_bit_exact():
    wave = noise(BLOCK_VALUES, 3)
    for channel in (0, 2, np.int64(1)):
        assert same(load_audio(wave, 16000, channel=channel).waveform, wave[channel])
    content = encoded(wave, 16000, format="WAV", subtype="FLOAT")
    assert same(load_audio(content, channel=2).waveform, wave[2])
    assert same(load_audio(wave[0], 16000, channel=0).waveform, wave[0])


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        (2, r"channels 0…1; there is no channel 2"),
        (-1, "0 or more"),
        (True, "0 or more"),
        (0.0, "0 or more"),
        ("left", "0 or more"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(channel, says):
    with pytest.raises(AudioError, match=says):
        load_audio(noise(100, 2), 16000, channel=channel)


VOICE, NOTHING = noise(50_000)[0], np.zeros(50_000, np.float32)


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ([VOICE, -VOICE], r"2 channels is silence beside channel 0.*--channel 0.*channel=0"),
        ([0.9 * VOICE, -VOICE], r"26 dB softer than channel 1.*opposite phase.*--channel 1"),
        ([NOTHING, NOTHING, VOICE, *3 * [NOTHING]], r"6 channels is 16 dB softer.*--channel 2"),
        ([*3 * [NOTHING], VOICE], r"12 dB softer than channel 3"),
    ],
)
def test_a_voice_that_averaging_takes_away_is_told_once(channels, says):
    content = encoded(np.stack(channels), 16000, format="WAV", subtype="FLOAT")
    with pytest.warns(UserWarning, match=says) as caught:
        load_audio(content)
    assert len(caught) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "channels",
    [
        [VOICE, VOICE],
        [VOICE, NOTHING],
        [VOICE, noise(50_000, seed=1)[0]],
        list(noise(50_000, 6)),
        [NOTHING, NOTHING],
        [np.full(9, 3e38, np.float32), np.full(9, 3e38, np.float32)],
    ],
)
def test_channels_that_can_be_averaged_are_not_spoken_of(channels):
    load_audio(np.stack(channels), 16000)


@pytest.mark.filterwarnings("error")
def test_who_takes_a_channel_is_not_warned():
    assert same(load_audio(np.stack([VOICE, -VOICE]), 16000, channel=1).waveform, -VOICE)


@pytest.mark.parametrize(
    ("dtype", "lowest", "middle", "highest"),
    [
        ("int8", -128, 0, 127),
        ("int16", -(2**15), 0, 2**15 - 1),
        ("int32", -(2**31), 0, 2**31 - 1),
        ("int64", -(2**63), 0, 2**63 - 1),
        ("uint8", 0, 128, 255),
        ("uint16", 0, 2**15, 2**16 - 1),
        ("uint32", 0, 2**31, 2**32 - 1),
        ("uint64", 0, 2**63, 2**64 - 1),
    ],
)
def test_integers_are_scaled_by_their_full_range(dtype, lowest, middle, highest):
    array = np.array([lowest, middle, highest], dtype)
    expected = [-1.0, 0.0, float(np.float32((highest - middle) / (middle - lowest)))]
    assert load_audio(array, 16000).waveform.tolist() == expected
    assert load_audio(torch.from_numpy(array), 16000).waveform.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_float_tensors_keep_their_values(dtype):
    wave = torch.tensor([0.5, -0.25, 1.5], dtype=dtype, requires_grad=True)
    assert load_audio(wave, 16000).waveform.tolist() == [0.5, -0.25, 1.5]


def test_other_memory_layouts_and_byte_orders_are_the_same_audio():
    wave = noise(2000, 2)
    expected = load_audio(wave, 44100).waveform
    assert same(load_audio(np.asfortranarray(wave), 44100).waveform, expected)
    assert same(load_audio(wave.astype(">f4"), 44100).waveform, expected)
    assert same(load_audio(torch.from_numpy(wave.T.copy()).T, 44100).waveform, expected)
    assert same(load_audio(wave[:, ::-1].copy()[:, ::-1], 44100).waveform, expected)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
@pytest.mark.parametrize(
    ("container", "subtype", "as_read"),
    [
        ("WAV", "PCM_16", "int16"),
        ("WAV", "PCM_32", "int32"),
        ("WAV", "DOUBLE", "float64"),
        ("FLAC", "PCM_24", "int32"),
        ("OGG", "VORBIS", "float32"),
    ],
)
def test_path_bytes_file_object_and_array_give_the_same_bits(
    tmp_path, rate, container, subtype, as_read
):
    content = encoded(noise(BLOCK_VALUES // 2 + 12345, 2), rate, format=container, subtype=subtype)
    path = tmp_path / "speech.txt"  # a wrong suffix: only the content counts
    path.write_bytes(content)
    array, _ = soundfile.read(io.BytesIO(content), dtype=as_read, always_2d=True)
    audio = load_audio(path)
    assert (audio.num_samples, audio.sample_rate) == (len(array), rate)
    for source, given_rate in [
        (str(path), rate),
        (content, None),
        (bytearray(content), None),
        (memoryview(content), float(rate)),
        (io.BytesIO(content), np.int64(rate)),
        (array.T, rate),
        (torch.from_numpy(array.T.copy()), rate),
    ]:
        assert same(load_audio(source, given_rate).waveform, audio.waveform)


def test_resampling_is_what_soxr_gives_in_one_piece():
    wave = noise(3 * BLOCK_VALUES + 7)[0]
    assert same(load_audio(wave, 44100).waveform, soxr.resample(wave, 44100, 16000, quality="VHQ"))


def test_a_tone_keeps_its_pitch_and_level():
    got = load_audio(tone(48000, 48000), 48000).waveform.numpy()
    np.testing.assert_allclose(got[2000:-2000], tone(16000, 16000)[2000:-2000], atol=1e-5)


@given(
    samples=st.integers(1, 4000),
    channels=st.integers(1, 4),
    rate=st.one_of(
        st.sampled_from([8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000]),
        st.integers(1000, 200000),
    ),
    target=st.sampled_from([16000, 24000]),
    dtype=st.sampled_from(
        ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16"]
    ),
)
@settings(max_examples=80, deadline=None)
def test_any_length_rate_channels_and_type(samples, channels, rate, target, dtype):
    random = np.random.default_rng(samples)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        array = random.uniform(-0.5, 0.5, (channels, samples)).astype(kind)
    else:
        array = random.integers(
            np.iinfo(kind).min, np.iinfo(kind).max, (channels, samples), kind, endpoint=True
        )
    audio = load_audio(array, rate, target_rate=target)
    assert (audio.num_samples, audio.sample_rate) == (samples, rate)
    assert len(audio.waveform) == resampled_length(samples, rate, target) >= 1
    assert abs(len(audio.waveform) - samples * target / rate) <= 0.5 or len(audio.waveform) == 1
    assert same(
        load_audio(torch.from_numpy(array), rate, target_rate=target).waveform, audio.waveform
    )


@pytest.mark.parametrize("rate", [48000, 192000, 1000000])
def test_one_sample_becomes_at_least_one(rate):
    assert len(load_audio(np.array([0.5]), rate).waveform) == 1


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "rate", "says"),
    [
        (np.zeros(10), None, "sample_rate="),
        (np.zeros(10), True, "whole number"),
        (np.zeros(10), 16000.5, "whole number"),
        (np.zeros(10), float("nan"), "whole number"),
        (np.zeros(10), "16000", "whole number"),
        (np.zeros(10), 0, "0 Hz"),
        (np.zeros(10), -16000, "-16000 Hz"),
        (np.zeros(10), 1_000_001, "1000001 Hz"),
        (np.zeros(10), 999, "999 Hz"),
        (np.zeros(0), 16000, "empty"),
        (np.zeros((2, 0)), 16000, "empty"),
        (np.zeros((0, 5)), 16000, "empty"),
        (np.zeros(()), 16000, r"shape \(\)"),
        (np.zeros((1, 2, 3)), 16000, r"shape \(1, 2, 3\)"),
        (np.zeros((48000, 2)), 16000, "transpose"),
        (np.array([0.0, np.nan]), 16000, "NaN"),
        (np.array([0.0, np.inf]), 48000, "NaN"),
        (np.array([0.0, 1e300]), 16000, "too large"),
        (np.array([True, False]), 16000, "bool"),
        (np.array([1j]), 16000, "complex"),
        (np.array(["a"]), 16000, "<U1"),
        (np.array([None]), 16000, "object"),
        (torch.zeros(4, dtype=torch.bool), 16000, "bool"),
        (torch.zeros(4, dtype=torch.complex64), 16000, "complex"),
        (torch.zeros(4).to_sparse(), 16000, "sparse"),
        (torch.zeros(4, device="meta"), 16000, "meta"),
        ([0.1, 0.2], 16000, "batch"),
        (None, 16000, "NoneType"),
        (3.5, 16000, "float"),
        (io.StringIO("text"), None, "text"),
        (b"", None, "0 bytes"),
        (io.BytesIO(), None, "0 bytes"),
        (b"PK\x03\x04 codes", None, "`xcodec2 decode` takes codes"),
        (b"\x93NUMPY\x01\x00", None, "`xcodec2 decode` takes codes"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_refused(source, rate, says):
    with pytest.raises(AudioError, match=says):
        load_audio(source, rate)


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_saved_16_bit_audio_comes_back_bit_exact(tmp_path, suffix):
    wave = torch.from_numpy(np.arange(-32768, 32768).astype(np.int16)).float() / 32768
    path = tmp_path / f"speech{suffix}"
    save_audio(path, wave, 24000)
    assert soundfile.info(path).subtype == "PCM_16"
    loaded = load_audio(path, target_rate=24000)
    assert loaded.sample_rate == 24000
    assert same(loaded.waveform, wave)


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_saved_lossy_audio_is_near(tmp_path, suffix, rate):
    path = tmp_path / f"speech{suffix}"
    save_audio(path, tone(2 * rate, rate).astype(np.float64), rate)
    loaded = load_audio(path, target_rate=rate)
    assert loaded.num_samples == 2 * rate
    np.testing.assert_allclose(
        loaded.waveform[2000:-2000], tone(2 * rate, rate)[2000:-2000], atol=0.04
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_any_float_type_is_saved(tmp_path, suffix, dtype):
    save_audio(tmp_path / f"a{suffix}", torch.full((1600,), 0.5, dtype=dtype), 16000)
    assert load_audio(tmp_path / f"a{suffix}").waveform[800] == pytest.approx(0.5, abs=0.05)


def test_ten_minutes_of_vorbis_do_not_overflow_the_stack(tmp_path):
    """In one write they end the process: libsndfile 1.2.2 keeps its analysis buffer on the
    stack.
    """
    save_audio(tmp_path / "long.ogg", np.zeros(600 * 16000, np.float32), 16000)
    assert soundfile.info(tmp_path / "long.ogg").frames == 600 * 16000


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_clipping_is_told_and_counted(tmp_path, suffix):
    wave = torch.zeros(1000)
    wave[[3, 5, 8]] = torch.tensor([1.5, -1.25, 1.0])
    with pytest.warns(UserWarning, match="2 of 1000 samples"):
        save_audio(tmp_path / f"loud{suffix}", wave, 16000)
    loaded = load_audio(tmp_path / f"loud{suffix}").waveform
    if suffix == ".wav":
        assert loaded[[3, 5, 8]].tolist() == [32767 / 32768, -1.0, 32767 / 32768]


@pytest.mark.parametrize(
    ("name", "wave", "rate", "says"),
    [
        ("a.xyz", np.zeros(9), 16000, r"\.wav, \.flac, \.ogg, \.mp3"),
        ("a", np.zeros(9), 16000, "suffix"),
        ("a.wav", np.zeros(0), 16000, "empty"),
        ("a.wav", np.zeros((2, 9)), 16000, r"\(2, 9\)"),
        ("a.wav", np.zeros(9, np.int16), 16000, "int16"),
        ("a.wav", [0.0, 0.1], 16000, "list"),
        ("a.wav", np.array([np.nan]), 16000, "NaN"),
        ("a.wav", np.zeros(9), 0, "0 Hz"),
        ("a.mp3", np.zeros(9), 12345, "12345 Hz"),
        ("missing/a.wav", np.zeros(9), 16000, "does not exist"),
        ("folder.wav", np.zeros(9), 16000, "not a regular file"),
    ],
)
def test_saving_refused(tmp_path, name, wave, rate, says):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match=says):
        save_audio(tmp_path / name, wave, rate)
    assert os.listdir(tmp_path) == ["folder.wav"]


@pytest.mark.parametrize("crash", [OSError("disk full"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch, crash):
    path = tmp_path / "speech.wav"
    path.write_bytes(b"old")

    def fail(*_):
        raise crash

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((AudioError, KeyboardInterrupt), match=r"disk full|^$"):
        save_audio(path, noise(100)[0], 16000)
    assert os.listdir(tmp_path) == ["speech.wav"]
    assert path.read_bytes() == b"old"


def test_saving_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    save_audio(tmp_path / "link.wav", noise(100)[0], 16000)
    assert (tmp_path / "link.wav").is_symlink()
    assert load_audio(tmp_path / "real.wav").num_samples == 100
