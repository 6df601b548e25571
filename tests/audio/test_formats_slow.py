"""What other programs write, read as FFmpeg reads it: containers × codecs × writers.

Each row is a command; what load_audio makes of its file is compared with what the command ffmpeg
decodes. docs/reference/formats.md is this table in words.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from tiny import speech

from xcodec2.audio.io import load_audio

pytestmark = pytest.mark.slow
SECONDS = 4.03  # no whole number of any codec's frames
EXACT, ROUNDED, NEAR = -130.0, -75.0, -40.0  # dB that the two decoders may differ by
FF = "ffmpeg -hide_banner -loglevel error -y -i"

# Name → (commands in a shell, the file, dB). s8, s16, s44 (stereo) and s48 are WAVs of the same
# speech at these rates.
TABLE: dict[str, tuple[str, str, float]] = {
    # FFmpeg's containers and codecs
    **{
        f"ffmpeg wav {codec}": (f"{FF} s16.wav -c:a {codec} x.wav", "x.wav", EXACT)
        for codec in [
            "pcm_u8",
            "pcm_s16le",
            "pcm_s24le",
            "pcm_s32le",
            "pcm_f32le",
            "pcm_f64le",
            "pcm_alaw",
            "pcm_mulaw",
        ]
    },
    "ffmpeg wav adpcm_ms": (f"{FF} s16.wav -c:a adpcm_ms x.wav", "x.wav", NEAR),
    "ffmpeg wav adpcm_ima_wav": (f"{FF} s16.wav -c:a adpcm_ima_wav x.wav", "x.wav", NEAR),
    "ffmpeg wav g722": (f"{FF} s16.wav -c:a g722 x.wav", "x.wav", EXACT),
    "ffmpeg wav mp3": (f"{FF} s16.wav -c:a libmp3lame x.wav", "x.wav", ROUNDED),
    "ffmpeg wav gsm_ms": (f"{FF} s8.wav -c:a libgsm_ms x.wav", "x.wav", EXACT),
    "ffmpeg wav gsm_ms, odd blocks": (f"{FF} s8.wav -t 1 -c:a libgsm_ms x.wav", "x.wav", EXACT),
    "ffmpeg wav into a pipe": (f"{FF} s16.wav -f wav - | cat > x.wav", "x.wav", EXACT),
    "ffmpeg rf64": (f"{FF} s16.wav -rf64 always x.wav", "x.wav", EXACT),
    "ffmpeg w64": (f"{FF} s16.wav x.w64", "x.w64", EXACT),
    "ffmpeg aiff": (f"{FF} s44.wav x.aiff", "x.aiff", EXACT),
    "ffmpeg au mulaw": (f"{FF} s16.wav -c:a pcm_mulaw x.au", "x.au", EXACT),
    "ffmpeg voc in many blocks": (f"{FF} s16.wav -c:a pcm_s16le x.voc", "x.voc", EXACT),
    "ffmpeg caf pcm": (f"{FF} s16.wav x.caf", "x.caf", EXACT),
    "ffmpeg caf opus": (f"{FF} s48.wav -c:a libopus x.caf", "x.caf", NEAR),
    "ffmpeg caf alac": (f"{FF} s16.wav -c:a alac x.caf", "x.caf", EXACT),
    "ffmpeg flac": (f"{FF} s44.wav x.flac", "x.flac", EXACT),
    "ffmpeg flac into a pipe": (f"{FF} s16.wav -f flac - | cat > x.flac", "x.flac", EXACT),
    "ffmpeg ogg flac": (f"{FF} s44.wav -c:a flac x.ogg", "x.ogg", EXACT),
    "ffmpeg ogg vorbis": (f"{FF} s44.wav -c:a libvorbis x.ogg", "x.ogg", ROUNDED),
    "ffmpeg ogg speex": (f"{FF} s16.wav -c:a libspeex x.spx", "x.spx", NEAR),
    "ffmpeg wavpack": (f"{FF} s16.wav -c:a wavpack x.wv", "x.wv", EXACT),
    "ffmpeg tta": (f"{FF} s16.wav -c:a tta x.tta", "x.tta", EXACT),
    "ffmpeg mp2": (f"{FF} s16.wav x.mp2", "x.mp2", ROUNDED),
    "ffmpeg mp3": (f"{FF} s44.wav x.mp3", "x.mp3", ROUNDED),
    "ffmpeg mp3 vbr without xing": (f"{FF} s44.wav -q:a 2 -write_xing 0 x.mp3", "x.mp3", ROUNDED),
    "ffmpeg m4a aac": (f"{FF} s44.wav x.m4a", "x.m4a", ROUNDED),
    "ffmpeg m4a alac": (f"{FF} s44.wav -c:a alac x.m4a", "x.m4a", EXACT),
    "ffmpeg mp4 in fragments": (
        f"{FF} s44.wav -c:a aac -movflags frag_keyframe+empty_moov x.mp4",
        "x.mp4",
        ROUNDED,
    ),
    "ffmpeg mov pcm": (f"{FF} s44.wav -c:a pcm_s16le x.mov", "x.mov", EXACT),
    "ffmpeg aac": (f"{FF} s44.wav x.aac", "x.aac", ROUNDED),
    "ffmpeg mkv aac": (f"{FF} s44.wav -c:a aac x.mkv", "x.mkv", ROUNDED),
    "ffmpeg mka flac": (f"{FF} s44.wav -c:a flac x.mka", "x.mka", EXACT),
    "ffmpeg webm opus": (f"{FF} s48.wav -c:a libopus x.webm", "x.webm", NEAR),
    "ffmpeg ts aac": (f"{FF} s44.wav -c:a aac x.ts", "x.ts", ROUNDED),
    "ffmpeg mpg mp2": (f"{FF} s48.wav -c:a mp2 x.mpg", "x.mpg", ROUNDED),
    "ffmpeg avi mp3": (f"{FF} s44.wav -c:a libmp3lame x.avi", "x.avi", ROUNDED),
    "ffmpeg flv aac": (f"{FF} s44.wav -c:a aac x.flv", "x.flv", ROUNDED),
    "ffmpeg wma": (f"{FF} s44.wav -c:a wmav2 x.wma", "x.wma", ROUNDED),
    "ffmpeg ac3": (f"{FF} s48.wav x.ac3", "x.ac3", ROUNDED),
    # other writers
    "sox wav": ("sox -D s16.wav x.wav", "x.wav", EXACT),
    "sox wav into a pipe": ("sox -D s16.wav -t wav - | cat > x.wav", "x.wav", EXACT),
    "sox wav gsm, odd blocks": (
        "sox -D s8.wav -e gsm-full-rate x.wav trim 0 1",
        "x.wav",
        EXACT,
    ),
    "sox wav ima": ("sox -D s16.wav -e ima-adpcm x.wav", "x.wav", NEAR),
    "sox au": ("sox -D s44.wav x.au", "x.au", EXACT),
    "sox aiff into a pipe": ("sox -D s16.wav -t aiff - | cat > x.aiff", "x.aiff", EXACT),
    "sox sph": ("sox -D s16.wav x.sph", "x.sph", EXACT),
    "sox sph mulaw": ("sox -D s8.wav -e mu-law x.sph", "x.sph", EXACT),
    "sox 8svx": ("sox -D s16.wav x.8svx", "x.8svx", EXACT),
    "lame, its default for 16 kHz": ("lame --quiet s16.wav x.mp3", "x.mp3", ROUNDED),
    "lame 64 kbit/s": ("lame --quiet -b 64 s16.wav x.mp3", "x.mp3", ROUNDED),
    "lame vbr": ("lame --quiet -V2 s44.wav x.mp3", "x.mp3", ROUNDED),
    "lame vbr without xing": ("lame --quiet -V2 -t s44.wav x.mp3", "x.mp3", ROUNDED),
    # FFmpeg 5.1's own decoder is this far from libopus, and at 16 kHz libopus itself resamples.
    "opusenc 48 kHz": ("opusenc --quiet --bitrate 64 s48.wav x.opus", "x.opus", NEAR),
    "opusenc 16 kHz": ("opusenc --quiet --bitrate 64 s16.wav x.opus", "x.opus", -30.0),
    "oggenc": ("oggenc -Q s44.wav -o x.ogg", "x.ogg", ROUNDED),
    "speexenc": ("speexenc s16.wav x.spx", "x.spx", NEAR),
    "flac": ("flac -s -f s44.wav -o x.flac", "x.flac", EXACT),
    "flac in ogg": ("flac -s -f --ogg s16.wav -o x.oga", "x.oga", EXACT),
    "flac into a pipe": ("flac -s -c s16.wav | cat > x.flac", "x.flac", EXACT),
    "wavpack": ("wavpack -q -y s44.wav -o x.wv", "x.wv", EXACT),
    "wavpack lossy": ("wavpack -q -y -b4 s44.wav -o x.wv", "x.wv", EXACT),
    "wavpack into a pipe": ("wavpack -q -y s16.wav -o - | cat > x.wv", "x.wv", EXACT),
}
# Joined: every part in full. FFmpeg adds some samples at a join, or stops there, by its version.
JOINED: dict[str, tuple[str, str, float]] = {
    "oggenc, chained": ("oggenc -Q s44.wav -o {}", "ogg", ROUNDED),
    "opusenc, chained": ("opusenc --quiet --bitrate 64 s48.wav {}", "opus", NEAR),
    "flac in ogg, chained": ("flac -s -f --ogg s16.wav -o {}", "oga", EXACT),
    "flac, joined": ("flac -s -f s16.wav -o {}", "flac", EXACT),
    "ffmpeg wav, joined": (f"{FF} s16.wav {{}}", "wav", EXACT),
    "wavpack, joined": ("wavpack -q -y s16.wav -o {}", "wv", EXACT),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    voice = speech()[: int(SECONDS * 16_000)].numpy()
    for name, rate, channels in (
        ("s8", 8000, 1),
        ("s16", 16000, 1),
        ("s44", 44100, 2),
        ("s48", 48000, 1),
    ):
        samples = soxr.resample(voice, 16_000, rate)
        columns = np.stack([samples, 0.5 * samples][:channels], 1)
        soundfile.write(folder / f"{name}.wav", columns, rate, subtype="PCM_16")
    return folder


def make(command: str, folder: Path, inputs: Path) -> None:
    for program in ("ffmpeg", "ffprobe", command.split()[0]):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    for path in inputs.iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    subprocess.run(command, shell=True, cwd=folder, check=True, stderr=subprocess.DEVNULL)


def by_ffmpeg(path: Path) -> tuple[np.ndarray, int]:
    """(channels, samples) float32 and the rate, as the command decodes it."""
    probe = (
        "ffprobe -v error -select_streams a:0 -of csv=p=0 -show_entries stream=sample_rate,channels"
    )
    said = subprocess.run([*probe.split(), path], capture_output=True, text=True, check=True).stdout
    rate, channels = map(int, said.split()[0].split(",")[:2])
    command = ["ffmpeg", "-loglevel", "quiet", "-i", path, "-f", "f32le", "-"]
    samples = np.frombuffer(subprocess.run(command, capture_output=True).stdout, np.float32)
    return samples.reshape(-1, channels).T.copy(), rate


def assert_near(found: np.ndarray, expected: np.ndarray, decibels: float) -> None:
    assert abs(len(found) - len(expected)) <= 1
    size = min(len(found), len(expected))
    difference = np.sqrt(np.mean((found[:size] - expected[:size]) ** 2))
    level = np.sqrt(np.mean(expected**2))
    assert 20 * np.log10(max(difference, 1e-12) / level) < decibels


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("row", TABLE)
def test_a_file_is_what_ffmpeg_decodes(row, inputs, tmp_path, capfd):
    pytest.importorskip("av")
    command, name, decibels = TABLE[row]
    make(command, tmp_path, inputs)
    samples, rate = by_ffmpeg(tmp_path / name)
    expected = load_audio(samples, rate).waveform.numpy()
    capfd.readouterr()
    found = load_audio(tmp_path / name).waveform.numpy()
    assert capfd.readouterr().err == ""
    assert_near(found, expected, decibels)


@pytest.mark.parametrize("row", JOINED)
def test_of_joined_files_each_is_what_ffmpeg_decodes(row, inputs, tmp_path):
    pytest.importorskip("av")
    command, suffix, decibels = JOINED[row]
    first, second = (f"{n}.{suffix}" for n in (1, 2))
    make(command.format(first), tmp_path, inputs)
    shutil.copy(tmp_path / first, tmp_path / second)
    samples, rate = by_ffmpeg(tmp_path / first)
    expected = load_audio(np.concatenate([samples, samples], 1), rate).waveform.numpy()
    both = (tmp_path / first).read_bytes() + (tmp_path / second).read_bytes()
    assert_near(load_audio(both).waveform.numpy(), expected, decibels)


def test_a_joined_mp3_is_what_ffmpeg_decodes(inputs, tmp_path):
    pytest.importorskip("av")
    make(
        f"{FF} s44.wav x.mp3; lame --quiet -V2 s44.wav y.mp3; cat x.mp3 y.mp3 > z.mp3",
        tmp_path,
        inputs,
    )
    samples, rate = by_ffmpeg(tmp_path / "z.mp3")
    expected = load_audio(samples, rate).waveform.numpy()
    assert_near(load_audio(tmp_path / "z.mp3").waveform.numpy(), expected, ROUNDED)


def test_the_table_is_long_enough():
    assert len(TABLE) + len(JOINED) >= 40
