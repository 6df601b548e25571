"""What people hand us: chained, joined, streamed, cut and damaged files, each sample once or an
error.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hints import install_hint
from sounds import encoded, encoded_by_ffmpeg, noise, one_after_another, same, tone

from xcodec2.audio.io import load_audio
from xcodec2.errors import AudioError, MissingExtraError

ONE, TWO = noise(16_000, seed=1), noise(12_345, seed=2)
TAG = b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE\x00\x00\x00\x0f\x00\x00\x03" + b"Lavf" + bytes(20)


def both(kind: dict[str, str], rate: int = 16_000) -> tuple[bytes, bytes]:
    return encoded(ONE, rate, **kind), encoded(TWO, rate, **kind)


def of_unknown_length(flac: bytes) -> bytes:
    """The 36 bits that count the samples are 0, as where FFmpeg or a recorder writes to a pipe."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def by_command(folder: Path, audio: np.ndarray, name: str, *options: str) -> bytes:
    """What the command ffmpeg writes, where there is one."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg")
    soundfile.write(folder / "in.wav", audio.T, 16_000)
    command = ["ffmpeg", "-y", "-loglevel", "error", "-i", folder / "in.wav", *options]
    made = subprocess.run([*command, folder / name], capture_output=True, text=True)
    if "Not yet implemented in FFmpeg" in made.stderr:
        pytest.skip("this ffmpeg does not write that")  # as version 8 does no Opus in CAF
    made.check_returncode()
    return (folder / name).read_bytes()


# --- FLAC -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [100, 16_000, 300_000])
def test_flac_of_unknown_length_is_read_to_its_end(samples):
    content = encoded(noise(samples, 2), 16_000, format="FLAC")
    assert same(
        load_audio(of_unknown_length(content)).waveform, load_audio(content).waveform.numpy()
    )


def test_joined_flac_and_flac_before_a_tag():
    first, second = both({"format": "FLAC"})
    assert same(load_audio(first + second).waveform, one_after_another(first, second))
    assert same(
        load_audio(first + b"TAG" + bytes(125)).waveform,
        ONE[0].round(15) * 0 + one_after_another(first),
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("place", [0.3, 0.9])
def test_a_damaged_flac_is_told(known, place):
    """FFmpeg, which is asked next, leaves out a frame whose sum is wrong and says nothing."""
    content = bytearray(encoded(noise(300_000), 16_000, format="FLAC"))
    content[int(place * len(content))] ^= 0x10
    with pytest.raises(AudioError, match="damaged"):
        load_audio(content if known else of_unknown_length(bytes(content)))


def test_a_cut_flac_of_unknown_length_is_told():
    content = of_unknown_length(encoded(noise(100_000), 16_000, format="FLAC"))
    with pytest.raises(AudioError, match="cut short"):
        load_audio(content[: len(content) // 2])


# --- Ogg ------------------------------------------------------------------------------------------

VORBIS, OPUS = {"format": "OGG", "subtype": "VORBIS"}, {"format": "OGG", "subtype": "OPUS"}


@pytest.mark.parametrize("kinds", [(VORBIS, VORBIS), (OPUS, OPUS), (VORBIS, OPUS, VORBIS)])
def test_every_link_of_a_chained_ogg_is_read(kinds):
    links = [encoded(noise(9_000 + 100 * n, seed=n), 16_000, **k) for n, k in enumerate(kinds)]
    audio = load_audio(b"".join(links))
    assert audio.num_samples == sum(9_000 + 100 * n for n in range(len(kinds)))
    assert same(audio.waveform, one_after_another(*links))


def test_chained_flac_in_ogg_is_read_by_ffmpeg(tmp_path):
    pytest.importorskip("av")
    links = [by_command(tmp_path, voice, "flac.ogg", "-c:a", "flac") for voice in (ONE, TWO)]
    audio = load_audio(b"".join(links))
    assert audio.num_samples == 16_000 + 12_345
    assert same(audio.waveform, one_after_another(*links))


@pytest.mark.parametrize("kind", [VORBIS, OPUS])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_cut_ogg_is_told(kind, kept):
    content = encoded(noise(80_000), 16_000, **kind)
    with pytest.raises(AudioError, match=r"cut short.*copy it again.*-c copy"):
        load_audio(content[: int(kept * len(content))])


@pytest.mark.parametrize("kind", [VORBIS, OPUS])
def test_a_damaged_ogg_is_told(kind):
    content = bytearray(encoded(noise(80_000), 16_000, **kind))
    content[len(content) // 2] ^= 0x10  # its page fails its sum, and decoders leave it out
    with pytest.raises(AudioError, match="damaged"):
        load_audio(content)
    pages = [n for n in range(len(content)) if content[n : n + 4] == b"OggS"]
    content[pages[3] : pages[3] + 4] = b"oggs"
    with pytest.raises(AudioError, match=f"damaged at byte {pages[3]} of {len(content)}"):
        load_audio(content)


def test_opus_in_blocks_is_opus_in_one_piece():
    content = encoded(noise(140_000), 16_000, **OPUS)
    whole, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    assert same(load_audio(content).waveform, whole)


# --- MP3 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [b"", TAG, b"TAG" + bytes(125), b"TAG" + bytes(125) + TAG])
def test_joined_mp3s_are_read_to_the_end(between):
    """As FFmpeg does: with the second encoder's delay, and its header as a silent frame."""
    pytest.importorskip("av")
    voice = tone(16_000, 16_000)[None]
    first, second = encoded(voice, 16_000, format="MP3"), encoded(voice / 2, 16_000, format="MP3")
    audio = load_audio(first + between + second)
    assert 32_000 <= audio.num_samples <= 32_000 + 5 * 1152
    assert abs(audio.waveform[4_000:12_000]).max() == pytest.approx(0.5, abs=0.03)
    assert abs(audio.waveform[-10_000:-4_000]).max() == pytest.approx(0.25, abs=0.03)


def test_joined_mp3s_without_ffmpeg_name_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    content = encoded(tone(16_000, 16_000)[None], 16_000, format="MP3")
    with pytest.raises(MissingExtraError, match="one behind another.*" + install_hint("media")):
        load_audio(2 * content)


def test_what_is_no_mp3_between_the_frames_is_told():
    content = bytearray(encoded(noise(48_000), 16_000, format="MP3"))
    content[len(content) // 2 : len(content) // 2 + 500] = bytes(500)
    with pytest.raises(AudioError, match=r"damaged after 1\.\d\d s: \d+ bytes there are no MP3"):
        load_audio(content)


def test_an_mp3_that_ends_within_a_frame_is_told():
    content = encoded_by_ffmpeg(noise(48_000), 16_000, "mp3", "libmp3lame", write_xing="0")
    with pytest.raises(AudioError, match=r"cut short after 2\.\d\d s: its last frame lacks"):
        load_audio(content[: int(0.8 * len(content))])


def test_good_mp3s_are_read_without_a_word_on_stderr(capfd):
    """Sought after each block, libmpg123 forgets bits that the next frame needs, and complains."""
    rng = np.random.default_rng(0)
    loudness = np.repeat(rng.uniform(0, 1, 200) ** 4, 2_000)
    content = encoded(loudness * noise(400_000), 44_100, format="MP3")
    whole, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    assert same(load_audio(content, target_rate=44_100).waveform, whole)
    assert capfd.readouterr().err == ""


# --- other kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [320, 8_000, 8_320, 24_320])
def test_gsm_in_wav_ends_with_its_last_block(samples):
    """With an odd number of blocks of 65 bytes, libsndfile takes the padding for one more."""
    content = encoded(noise(samples), 8_000, format="WAV", subtype="GSM610")
    assert load_audio(content).num_samples == samples


@pytest.mark.parametrize(
    ("container", "codec", "padding"),
    [
        ("caf", "alac", 0),
        ("wv", "wavpack", 0),
        ("tta", "tta", 0),
        ("mp2", "mp2", 1152),
    ],
)
def test_formats_that_ffmpeg_reads(container, codec, padding):
    content = encoded_by_ffmpeg(tone(48_000, 48_000)[None], 48_000, container, codec)
    audio = load_audio(content)
    assert 48_000 <= audio.num_samples <= 48_000 + padding
    assert np.abs(np.fft.rfft(audio.waveform[:16_000])).argmax() == 440
    with pytest.raises(AudioError, match=r"cut short|not audio"):
        load_audio(content[: int(0.57 * len(content))])


@pytest.mark.parametrize(("container", "codec"), [("wv", "wavpack"), ("tta", "tta")])
def test_damage_that_ffmpeg_would_pass_over_is_told(container, codec):
    content = bytearray(encoded_by_ffmpeg(noise(96_000), 48_000, container, codec))
    content[len(content) // 2] ^= 0x10
    with pytest.raises(AudioError, match=r"damaged|not audio"):
        load_audio(content)


def raw_gsm(samples: int) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8_000, 1, "GSM610", format="RAW") as sound:
        sound.write(noise(samples)[0])
    return buffer.getvalue()


@pytest.mark.parametrize("frames", [8, 101, 5_000])
def test_gsm_without_a_header_is_known_by_its_frames(frames, monkeypatch):
    """FFmpeg's probing knows it, too; libsndfile has to be told."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    audio = load_audio(raw_gsm(160 * frames))
    assert (audio.num_samples, audio.sample_rate) == (160 * frames, 8_000)
    twice = load_audio(2 * raw_gsm(160 * frames), target_rate=8_000)
    assert twice.num_samples == 2 * 160 * frames


def test_gsm_without_a_header_sounds_as_ffmpeg_decodes_it():
    av = pytest.importorskip("av")
    content = raw_gsm(16_000)
    with av.open(io.BytesIO(content)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    expected = np.concatenate(frames).astype(np.float32) / 32_768
    assert same(load_audio(content, target_rate=8_000).waveform, expected)


def test_gsm_without_a_header_that_is_cut_is_told():
    with pytest.raises(AudioError, match=r"cut short: its last GSM frame lacks 28 bytes"):
        load_audio(raw_gsm(16_000)[: 33 * 50 + 5])


@pytest.mark.parametrize(
    "content",
    [
        b"\xd5" * 3_300,  # A-law: silence
        noise(8_000).tobytes(),
        raw_gsm(16_000)[: 33 * 7],  # too little to be sure
        b"\xd1" + raw_gsm(16_000)[1 : 33 * 60] + bytes(330),
    ],
)
def test_other_samples_without_a_header_are_told_to_be_converted(content):
    pytest.importorskip("av")
    with pytest.raises(AudioError, match=r"not audio.*without a header.*`ffmpeg -f s16le") as told:
        load_audio(content)
    assert "Invalid" not in str(told.value)


def test_pyav_13_names_an_invalid_argument_otherwise(monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.delattr(av, "ArgumentError", raising=False)
    with pytest.raises(AudioError, match="not audio"):
        load_audio(noise(8_000).tobytes())


def extensible_w64(kind: int, samples: np.ndarray) -> bytes:
    """(samples, channels) in a Wave64 whose kind of samples stands in a sub-format."""
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    rate, channels, width = 16_000, samples.shape[1], samples.dtype.itemsize
    frame = channels * width
    plain = struct.pack("<HHIIHH", 0xFFFE, channels, rate, rate * frame, frame, 8 * width)
    more = struct.pack("<HHIH", 22, 8 * width, 0, kind)
    form = plain + more + bytes.fromhex("000000001000800000aa00389b71")
    data = samples.tobytes()
    riff = bytes.fromhex("2e91cf11a5d628db04c10000")
    body = b"wave" + tail + b"fmt " + tail + struct.pack("<q", 24 + len(form)) + form
    body += b"data" + tail + struct.pack("<q", 24 + len(data)) + data
    return b"riff" + riff + struct.pack("<q", 24 + len(body)) + body


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2", "<i4"])
def test_w64_with_an_extensible_header_holds_what_it_says(dtype, channels, recwarn):
    """FFmpeg writes such; libsndfile takes their floats for whole numbers, which gives noise at
    full scale and no error, or refuses them.
    """
    voice = noise(8_000, channels).T
    samples = (voice if "f" in dtype else voice * 2**14).astype(dtype)
    content = extensible_w64(3 if "f" in dtype else 1, samples)
    expected = load_audio(np.ascontiguousarray(samples.T), 16_000).waveform
    assert same(load_audio(content).waveform, expected)
    with pytest.raises(AudioError, match="cut short"):
        load_audio(content[:-4_000])


@pytest.mark.parametrize("container", ["nut", "latm"])
def test_more_containers_that_ffmpeg_opens(container):
    codec = "aac" if container == "latm" else "pcm_s16le"
    content = encoded_by_ffmpeg(tone(48_000, 48_000)[None], 48_000, container, codec)
    assert 48_000 <= load_audio(content).num_samples <= 48_000 + 2_048


@pytest.mark.parametrize(("name", "codec"), [("a.caf", "libopus"), ("a.ac3", "ac3")])
def test_opus_in_caf_and_dolby_digital(tmp_path, name, codec):
    pytest.importorskip("av")
    audio = load_audio(by_command(tmp_path, ONE, name, "-ar", "48000", "-c:a", codec))
    assert 48_000 <= audio.num_samples <= 48_000 + 1_536


def test_a_voc_in_pieces_is_read_without_the_headers_between_them():
    content = encoded(ONE, 16_000, format="VOC")
    samples = content[-32_001:-1] if content.endswith(b"\0") else content[-32_000:]
    head = (
        content[:26]
        + b"\x09"
        + struct.pack("<I", 12 + 16_000)[:3]
        + struct.pack("<IBBH4x", 16_000, 16, 1, 4)
    )
    pieces = (
        head + samples[:16_000] + b"\x02" + struct.pack("<I", 16_000)[:3] + samples[16_000:] + b"\0"
    )
    assert load_audio(pieces).num_samples == 16_000
    with pytest.raises(AudioError, match="cut short"):
        load_audio(pieces[:-5_000])


def test_of_two_tracks_the_default_one_is_read():
    av = pytest.importorskip("av")
    if not hasattr(av.stream, "Disposition"):
        pytest.skip("this PyAV marks no track as the default one")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for stream, level in zip(streams, (1_000, 20_000), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), level, np.int16), "s16", "mono")
            frame.sample_rate = 16_000
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    assert load_audio(buffer).waveform.max() == 20_000 / 32_768
