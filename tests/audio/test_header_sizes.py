"""Headers that say too much, too little or nothing of what follows them."""

from __future__ import annotations

import struct

import pytest
from sounds import encoded, noise, one_after_another, same

from xcodec2.audio.headers import is_placeholder
from xcodec2.audio.io import load_audio
from xcodec2.errors import AudioError

ONE, TWO = noise(16_000, seed=1), noise(12_345, seed=2)
SIZE_FIELDS = {  # (format, the chunk before the field or its place, form, what is counted beside)
    "WAV": (b"data", "<I", 0),
    "RF64": (b"ds64", "<q", 0),
    "AU": (8, ">I", 0),
    "AIFF": (b"SSND", ">I", 8),
    "CAF": (b"data", ">q", 4),
    "W64": (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", "<q", 24),
}


def with_size(kind: str, size: int, content: bytes | None = None) -> bytes:
    content = content or encoded(ONE, 16_000, format=kind)
    mark, form, more = SIZE_FIELDS[kind]
    place = mark if isinstance(mark, int) else content.index(mark) + len(mark)
    place += 12 if kind == "RF64" else 0  # behind the chunk's size and RIFF's own
    field = struct.pack(form, size + more)
    if kind == "RF64":
        content = content[:place] + struct.pack("<q", size // 2) + content[place + 8 :]
    return content[:place] + field + content[place + len(field) :]


@pytest.mark.parametrize("kind", SIZE_FIELDS)
@pytest.mark.parametrize(
    "size", [0, 10**8, 10**9, 2 * 10**9, 0x7FFFFFFF, 0x7FFFF000, 0x7F000000, 0x80000000, 0xFFFFFFFF]
)
def test_placeholders_are_read_to_the_end(kind, size):
    more, width = SIZE_FIELDS[kind][2], struct.calcsize(SIZE_FIELDS[kind][1])
    content = with_size(kind, min(size, (1 << 8 * width) - 1 - more))
    expected = load_audio(encoded(ONE, 16_000, format=kind)).waveform
    assert same(load_audio(content).waveform, expected)


@pytest.mark.parametrize("kind", ["CAF", "RF64"])
def test_a_size_of_minus_one_is_read_to_the_end(kind):
    content = with_size(kind, -1 - SIZE_FIELDS[kind][2])
    assert load_audio(content).num_samples == 16_000


@pytest.mark.parametrize("kind", SIZE_FIELDS)
@pytest.mark.parametrize("size", [40_000, 32_000 * 60, 32_000 * 3600 * 10])
def test_a_copy_cut_short_is_told_whatever_its_size_was(kind, size):
    with pytest.raises(AudioError, match=rf"promises {size} bytes, 32000 are there; copy it again"):
        load_audio(with_size(kind, size))


def test_sphere_says_how_many_samples_it_holds():
    content = encoded(ONE, 16_000, format="NIST")
    for count, fine in [("0    ", True), ("-1   ", True), ("99999", False)]:
        other = content.replace(b"sample_count -i 16000", f"sample_count -i {count}".encode())
        assert other != content
        if fine:
            assert same(load_audio(other).waveform, load_audio(content).waveform.numpy())
        else:
            with pytest.raises(AudioError, match="cut short"):
                load_audio(other)


def test_a_size_of_zero_before_whole_chunks_means_no_audio():
    """FFmpeg would play the chunk: 17 samples of noise."""
    content = bytearray(encoded(noise(0), 16_000, format="WAV"))
    with pytest.raises(AudioError, match="no audio samples"):
        load_audio(bytes(content) + b"LIST\x1a\0\0\0INFOISFT" + bytes(18))


@pytest.mark.parametrize("kind", ["MS_ADPCM", "IMA_ADPCM", "ULAW", "GSM610"])
def test_placeholders_before_compressed_samples(kind):
    content = encoded(noise(8_000), 8_000, format="WAV", subtype=kind)
    for size in (0, 0xFFFFFFFF):
        audio = load_audio(with_size("WAV", size, content))
        assert same(audio.waveform, load_audio(content).waveform.numpy())


@pytest.mark.parametrize(
    ("size", "placeholder"),
    [
        (0x7FFFFFFF - 36, True),
        (2_000_000_036, True),
        (1 << 30, True),
        (-1, True),
        (1 << 63, True),
        (999, False),
        (1_920_000, False),
        (32_000 * 3600 * 10, False),
        (3_123_456_789, False),
    ],
)
def test_what_is_taken_for_a_placeholder(size, placeholder):
    assert is_placeholder(size) is placeholder


def test_wavs_laid_one_behind_another():
    first, second = (encoded(sound, 16_000, format="WAV") for sound in (ONE, TWO))
    assert same(load_audio(first + second).waveform, one_after_another(first, second))


@pytest.mark.parametrize("kind", ["CAF", "W64"])
def test_the_headers_that_libsndfile_writes_into_a_pipe_are_not_heard(kind):
    """It writes an empty header, the whole file, and the right header behind it."""
    content = encoded(ONE, 16_000, format=kind)
    header = content[: len(content) - 32_000]
    empty = with_size(kind, 0, header)
    assert load_audio(empty + empty + content[len(header) :] + header).num_samples == 16_000
