"""Classic codecs as baselines, through their own programs, and two anchors.

Bits are those of the packets that the encoder wrote, without the container's own. What a codec
delays is taken back, so that metrics which compare sample by sample are fair to it: Opus and Speex
say so in their files, Codec2 does not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, mulaw
from xcodec2.evaluate.systems.ogg import ogg_file, ogg_headers, ogg_packets, parted, with_sizes
from xcodec2.evaluate.systems.programs import digest_of, program, program_version, run_program
from xcodec2.evaluate.systems.system import Decoded

NARROW_RATE = 8_000
CODEC2_MODES = ("3200", "2400", "1600", "1400", "1300", "1200", "700C", "450")
CODEC2_FRAME = 320  # samples at 8 kHz: 40 ms, which every mode's frame divides
# Seconds from a sound in to the same sound out, found by best STOI.
CODEC2_DELAY = {"700C": 0.030, "450": 0.028}
CODEC2_USUAL_DELAY = 0.0195
# What the program writes for a frame of 20 or 40 ms.
CODEC2_FRAME_BYTES = {
    "3200": 8, "2400": 6, "1600": 8, "1400": 7, "1300": 7, "1200": 6, "700C": 4, "450": 3
}  # fmt: skip
OPUS_PACKET = 960  # ticks of 1/48,000 s: 20 ms
SPEEX_FRAME = 320  # samples at 16 kHz, one packet
SPEEX_MIN_SAMPLES = 8 * SAMPLE_RATE


class Original:
    """What went in: the ceiling of every metric."""

    name = "original"
    implementation = "the recording itself"
    key = "original"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back."""
        return Decoded(waveform, bits=16.0 * len(waveform))


class MuLaw:
    """8-bit μ-law at 16 kHz: a coarse and well-known quality to look at other figures by."""

    name = "mulaw"
    implementation = "8-bit μ-law at 16 kHz (μ = 255)"
    key = "mulaw"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back."""
        return Decoded(mulaw(waveform), bits=8.0 * len(waveform))


class Opus:
    """Opus, tuned for speech, by opus-tools.

    Args:
        bit_rate: Bits a second that it is asked for.
    """

    def __init__(self, bit_rate: int) -> None:
        self.encoder = program("opusenc", "opus-tools")
        self.decoder = program("opusdec", "opus-tools")
        self.bit_rate = bit_rate
        self.name = f"opus@{bit_rate / 1000:g}k"
        self.implementation = program_version(self.encoder, "--version")
        self.key = f"{self.name}:{self.implementation}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back."""
        coded = self.encoded(waveform)
        packets = list(ogg_packets(coded))[2:]
        bits = 8.0 * sum(map(len, packets))
        return Decoded(self.decoded(coded), bits=bits, written=with_sizes(packets), packets=True)

    def speak(self, coded: bytes) -> np.ndarray:
        """Packets behind their sizes, as in `Decoded.written`, → (M,) at 16 kHz."""
        silence = self.encoded(np.zeros(SAMPLE_RATE, np.float32))
        return self.decoded(ogg_file(ogg_headers(silence), parted(coded), OPUS_PACKET))

    def encoded(self, waveform: np.ndarray) -> bytes:
        """(N,) at 16 kHz → an Ogg file."""
        with tempfile.TemporaryDirectory() as folder:
            wav, coded = Path(folder) / "in.wav", Path(folder) / "speech.opus"
            soundfile.write(wav, waveform, SAMPLE_RATE, subtype="PCM_16")
            rate = f"{self.bit_rate / 1000:g}"
            run_program(self.encoder, "--quiet", "--speech", "--bitrate", rate, wav, coded)
            return coded.read_bytes()

    def decoded(self, content: bytes) -> np.ndarray:
        """An Ogg file → (M,) at 16 kHz."""
        with tempfile.TemporaryDirectory() as folder:
            coded, decoded = Path(folder) / "speech.opus", Path(folder) / "out.wav"
            coded.write_bytes(content)
            output = "--quiet", "--float", "--rate", str(SAMPLE_RATE)
            run_program(self.decoder, *output, coded, decoded)
            return read(decoded)


class Speex:
    """Wideband Speex; the nearest of its modes at or below the rate.

    In a file of one Ogg page (under about 4 s) its decoder forgets to take back the delay, so
    silence is appended to short speech, cut off again, and its packets are not counted.

    Args:
        bit_rate: Bits a second that it is asked for.
    """

    def __init__(self, bit_rate: int) -> None:
        self.encoder, self.decoder = program("speexenc", "speex"), program("speexdec", "speex")
        self.bit_rate = bit_rate
        self.name = f"speex@{bit_rate / 1000:g}k"
        self.implementation = program_version(self.encoder, "--version")
        self.key = f"{self.name}:{self.implementation}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back."""
        with tempfile.TemporaryDirectory() as folder:
            names = ("in.wav", "speech.spx", "out.wav")
            wav, coded, decoded = (Path(folder) / name for name in names)
            padded = np.pad(waveform, (0, max(0, SPEEX_MIN_SAMPLES - len(waveform))))
            soundfile.write(wav, padded, SAMPLE_RATE, subtype="PCM_16")
            run_program(self.encoder, "--wideband", "--bitrate", str(self.bit_rate), wav, coded)
            run_program(self.decoder, coded, decoded)
            packets = list(ogg_packets(coded.read_bytes()))[2:][: -(-len(waveform) // SPEEX_FRAME)]
            speech = read(decoded)[: len(waveform)]
            bits = 8.0 * sum(map(len, packets))
            return Decoded(speech, bits=bits, written=with_sizes(packets), packets=True)


class Codec2:
    """Codec2, at 8 kHz.

    Its program writes every frame in whole bytes: 28 bits of mode 700C take 32, hence 800 bit/s.

    Args:
        mode: Of CODEC2_MODES.
    """

    def __init__(self, mode: str) -> None:
        if mode not in CODEC2_MODES:
            raise XCodec2Error(f"codec2 has no mode {mode!r}; it has {', '.join(CODEC2_MODES)}")
        self.encoder, self.decoder = program("c2enc", "codec2"), program("c2dec", "codec2")
        self.mode = mode
        self.name = f"codec2@{mode}"
        self.implementation = f"c2enc and c2dec, {digest_of(self.encoder)}"
        self.key = f"{self.name}:{self.implementation}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back."""
        narrow = soxr.resample(waveform, SAMPLE_RATE, NARROW_RATE, quality="VHQ")
        delay = round(CODEC2_DELAY.get(self.mode, CODEC2_USUAL_DELAY) * NARROW_RATE)
        frames = -(-(len(narrow) + delay) // CODEC2_FRAME)
        # Without padding the last frame would be dropped.
        padded = np.pad(narrow, (0, frames * CODEC2_FRAME - len(narrow)))
        with tempfile.TemporaryDirectory() as folder:
            raw, coded = Path(folder) / "in.raw", Path(folder) / "speech.bit"
            np.clip(np.rint(padded * 32768), -32768, 32767).astype("<i2").tofile(raw)
            run_program(self.encoder, self.mode, raw, coded)
            written = coded.read_bytes()
        speech = self.speak(written, len(narrow))[: len(waveform)]
        slots = CODEC2_FRAME_BYTES[self.mode]
        return Decoded(speech, bits=8.0 * len(written), written=written, slots=slots)

    def speak(self, coded: bytes, length: int | None = None) -> np.ndarray:
        """Whole frames, as in `Decoded.written`, → (M,) at 16 kHz without the delay; at most so
        many samples at 8 kHz.
        """
        with tempfile.TemporaryDirectory() as folder:
            bits, decoded = Path(folder) / "speech.bit", Path(folder) / "out.raw"
            bits.write_bytes(coded)
            run_program(self.decoder, self.mode, bits, decoded)
            samples = np.fromfile(decoded, "<i2").astype(np.float32) / 32768
        speech = samples[round(CODEC2_DELAY.get(self.mode, CODEC2_USUAL_DELAY) * NARROW_RATE) :]
        return soxr.resample(speech[:length], NARROW_RATE, SAMPLE_RATE, quality="VHQ")


def read(path: Path) -> np.ndarray:
    """(N,) float32 of a WAV file at 16 kHz. Raises XCodec2Error for another rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise XCodec2Error(f"a decoder gave {rate} Hz where {SAMPLE_RATE} were asked for")
    return samples[:, 0]
