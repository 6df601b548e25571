"""Audio files: real ones of many formats, damaged ones, and what is no audio at all."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import struct
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from hints import install_hint
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import encoded, encoded_by_ffmpeg, noise, same, tone

from xcodec2.audio.content import Content
from xcodec2.audio.ffmpeg import ffmpeg_blocks
from xcodec2.audio.io import load_audio, resampled_length
from xcodec2.errors import AudioError, XCodec2Error


@pytest.mark.parametrize(
    "container", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST"]
)
def test_formats_of_libsndfile(container):
    audio = load_audio(encoded(tone(24000, 24000)[None], 24000, format=container))
    assert (audio.num_samples, audio.sample_rate) == (24000, 24000)
    np.testing.assert_allclose(
        audio.waveform[3000:-3000], tone(16000, 16000)[3000:-3000], atol=0.04
    )


@pytest.mark.parametrize(
    ("container", "codec", "rate", "padding"),
    [
        ("ipod", "aac", 44100, 2048),  # m4a
        ("mp4", "aac", 16000, 2048),
        ("adts", "aac", 44100, 3072),  # without the edit list that takes the encoder's delay off
        ("webm", "libopus", 48000, 960),
        ("mov", "pcm_s16le", 22050, 0),  # interleaved integers
        ("matroska", "pcm_u8", 16000, 0),
    ],
)
def test_formats_of_ffmpeg(tmp_path, container, codec, rate, padding):
    path = tmp_path / "speech.wav"
    path.write_bytes(encoded_by_ffmpeg(tone(rate, rate)[None], rate, container, codec))
    audio = load_audio(path)
    assert audio.sample_rate == rate
    assert rate <= audio.num_samples <= rate + padding
    assert len(audio.waveform) == resampled_length(audio.num_samples, rate, 16000)
    spectrum = np.abs(np.fft.rfft(audio.waveform[:16000]))
    assert spectrum.argmax() == 440
    assert audio.waveform[4000:12000].abs().max() == pytest.approx(0.5, abs=0.03)
    assert same(load_audio(path.read_bytes()).waveform, audio.waveform)


def test_stereo_interleaved_integers_through_ffmpeg():
    av = pytest.importorskip("av")
    wave = (noise(8000, 2) * 32767).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as output:
        stream = output.add_stream("pcm_s16le", rate=16000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(
            wave.T.reshape(1, -1).copy(), format="s16", layout="stereo"
        )
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert same(load_audio(buffer).waveform, load_audio(wave, 16000).waveform)


def test_an_mp3_without_a_length_is_read_to_its_end():
    """libsndfile guesses its length from the first frames, and would drop most of this one."""
    loud_then_silent = np.concatenate([noise(16000)[0], np.zeros(160000, np.float32)])
    content = encoded_by_ffmpeg(loud_then_silent[None], 16000, "mp3", "libmp3lame", write_xing="0")
    assert soundfile.SoundFile(io.BytesIO(content)).frames < 0.7 * len(loud_then_silent)
    assert load_audio(content).num_samples == pytest.approx(len(loud_then_silent), abs=4 * 1152)


def test_tags_at_the_end_of_an_mp3_are_no_audio():
    content = encoded(tone(16000, 16000)[None], 16000, format="MP3")
    expected = load_audio(content).waveform
    for tag in (b"TAG" + bytes(125), b"APETAGEX" + bytes(5000)):
        assert same(load_audio(content + tag).waveform, expected)


def test_a_file_object_is_read_from_its_start_and_left_open(tmp_path):
    content = encoded(noise(1000), 16000, format="WAV")
    buffer = io.BytesIO(content)
    buffer.seek(0, os.SEEK_END)
    assert load_audio(buffer).num_samples == 1000
    assert not buffer.closed
    path = tmp_path / "speech.raw"  # soundfile alone would take the name for headerless audio
    path.write_bytes(content)
    with open(path, "rb") as file:
        assert load_audio(file).num_samples == 1000


def test_a_file_object_that_cannot_seek():
    read, write = os.pipe()
    with open(write, "wb") as sink:
        sink.write(encoded(noise(1000), 16000, format="WAV"))
    with open(read, "rb") as file:
        assert load_audio(file).num_samples == 1000


def test_a_header_of_unknown_length_is_read_to_the_end():
    content = bytearray(encoded(noise(1000), 16000, format="WAV"))
    content[40:44] = b"\xff\xff\xff\xff"  # what a program that writes into a pipe leaves
    assert load_audio(content).num_samples == 1000


def peak_megabytes(source: str) -> tuple[int, float]:
    tracemalloc.start()
    try:
        audio = load_audio(source)
        return audio.num_samples, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_long_file_needs_no_more_memory_than_its_mono_result(tmp_path):
    path = str(tmp_path / "long.flac")
    second = np.round(noise(48000, 2).T * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", 48000, 2) as file:
        for _ in range(300):
            file.write(second)
    samples, peak = peak_megabytes(path)
    assert samples == 300 * 48000
    assert peak < 30  # MB; 19 are kept, and the decoded stereo would be 115


def test_a_header_that_claims_gigabytes_allocates_nothing_like_it(tmp_path):
    content = bytearray(encoded(noise(50), 16000, format="WAV"))
    content[40:44] = (2**32 - 2).to_bytes(4, "little")
    path = tmp_path / "liar.wav"
    path.write_bytes(content)
    samples, peak = peak_megabytes(str(path))
    assert samples == 50
    assert peak < 5


def test_nan_in_one_channel_of_a_float_file_is_refused():
    wave = noise(100, 2)
    wave[1, 50] = np.nan
    with pytest.raises(AudioError, match="NaN"):
        load_audio(encoded(wave, 16000, format="WAV", subtype="FLOAT"))


def test_a_rate_that_disagrees_with_the_file_is_refused():
    with pytest.raises(AudioError, match=r"44100 Hz.*16000"):
        load_audio(encoded(noise(100), 44100, format="WAV"), 16000)


def test_a_rate_that_changes_midway_is_refused():
    both = b"".join(encoded_by_ffmpeg(noise(rate), rate, "adts", "aac") for rate in (44100, 16000))
    with pytest.raises(AudioError, match="changes from 44100 to 16000 Hz midway"):
        load_audio(both)


def test_a_file_without_samples_is_refused():
    with pytest.raises(AudioError, match="no audio samples"):
        load_audio(encoded(noise(0), 16000, format="WAV"))


def test_a_rate_in_a_header_that_no_audio_has_is_refused():
    content = bytearray(encoded(noise(100), 16000, format="WAV"))
    content[24:28] = (1).to_bytes(4, "little")
    with pytest.raises(AudioError, match="1 Hz"):
        load_audio(content)


def test_paths_that_are_no_audio_file(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("hello\n" * 1000)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    os.mkfifo(tmp_path / "pipe.wav")
    for name, says in [
        ("", "folder"),
        ("missing.wav", "no such file"),
        ("empty.wav", "0 bytes"),
        ("text.wav", "not audio"),
        ("list.m3u8", "not audio"),
        ("pipe.wav", "not a regular file"),
        ("a\0b.wav", "file name"),
        ("x" * 400, "cannot be opened"),
    ]:
        with pytest.raises(AudioError, match=says) as caught:
            load_audio(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.wav"
    path.write_bytes(encoded(noise(10), 16000, format="WAV"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(builtins, "open", refuse)  # chmod does not stop root
    with pytest.raises(AudioError, match="no permission"):
        load_audio(path)


def test_a_film_without_sound_is_refused():
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError, match="no audio track"):
        load_audio(buffer)


def test_headerless_samples_are_refused():
    with pytest.raises(AudioError, match="not audio"):
        load_audio((noise(20000)[0] * 32767).astype("<i2").tobytes())


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "W64", "RF64", "CAF", "FLAC", "MP3"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_file_cut_short_is_refused(container, kept):
    content = encoded(noise(64000), 16000, format=container)
    with pytest.raises(AudioError, match=r"cut short|not audio"):
        load_audio(content[: int(kept * len(content))])


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "aac", {}),
        ("mp4", "aac", {"movflags": "faststart"}),
        ("mov", "pcm_s16le", {"movflags": "faststart"}),
        ("adts", "aac", {}),
        ("webm", "libopus", {}),
        ("matroska", "pcm_s16le", {}),
    ],
)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_media_cut_short_is_refused(container, codec, options, kept):
    content = encoded_by_ffmpeg(noise(96000), 48000, container, codec, **options)
    assert load_audio(content).num_samples >= 96000
    with pytest.raises(AudioError, match=r"cut short|not audio|no audio"):
        load_audio(content[: int(kept * len(content))])


def test_a_read_error_is_not_the_end_of_the_file(capfd):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 50_000:
                raise OSError("the cable was pulled")
            return super().read(size)

    with pytest.raises(AudioError, match="cable"):
        load_audio(Failing(encoded(noise(200_000), 16000, format="WAV")))
    assert capfd.readouterr().err == ""


def test_seeking_to_before_the_start_is_answered_not_raised():
    """Damaged sizes make libsndfile ask for it, from a callback whose exceptions end on stderr."""
    content = Content(io.BytesIO(b"abc"))
    content.seek(2)
    assert content.seek(-5) == -1
    assert content.tell() == 2


def test_without_pyav_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(XCodec2Error, match="needs av: " + install_hint("media")):
        load_audio(b"\0\0\0\x20ftypM4A " + bytes(100))


WHOLE = [encoded(noise(3000, 2), 16000, format=name) for name in ("WAV", "FLAC", "OGG", "AIFF")]


def test_integers_of_64_bits_are_refused():
    header = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 836, b"WAVEfmt ", 16, 1, 1, 16000, 128_000, 8, 64, b"data", 800
    )
    with pytest.raises(AudioError, match=r"s64.*ffmpeg -i"):
        load_audio(header + bytes(800))


@given(content=st.binary(min_size=1, max_size=4000))
@settings(max_examples=60, deadline=None)
def test_random_bytes_are_one_error(content):
    with pytest.raises(XCodec2Error) as caught:
        load_audio(content)
    assert "\n" not in str(caught.value)


@given(data=st.data(), whole=st.sampled_from(WHOLE))
@settings(max_examples=60, deadline=None)
def test_damaged_files_are_audio_or_one_error(data, whole):
    content = bytearray(whole)
    for position in data.draw(st.lists(st.integers(0, 200), max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AudioError):
        audio = load_audio(content)
        assert torch.isfinite(audio.waveform).all()
        assert len(audio.waveform) == resampled_length(audio.num_samples, audio.sample_rate, 16000)


def test_tags_need_not_be_utf_8():
    """Windows programs write titles in the code page of their country."""
    pytest.importorskip("av")
    wav = encoded(tone(16_000, 16_000)[None], 16_000, format="WAV")
    title = b"INFOINAM" + struct.pack("<I", 6) + "café".encode("latin-1") + b" \0"
    content = wav + b"LIST" + struct.pack("<I", len(title)) + title
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    blocks = ffmpeg_blocks(Content(io.BytesIO(content)), "a.wav", "")
    assert sum(len(block) for _, block in blocks) == 16_000
