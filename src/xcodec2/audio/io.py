"""Audio in and out: any file, buffer, array or tensor in; mono float32 at the model's rate out.

Files and arrays go through one pipeline, block by block: scale to float32, average the channels
(or take one), resample. The same samples therefore give the same bits whatever they came in, and
two hours of stereo need no more memory than their mono result.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias, TypeVar

import numpy as np
import soundfile
import soxr

from xcodec2.audio.content import opened
from xcodec2.audio.decoders import StartAgainError, decoded_blocks
from xcodec2.audio.samples import (
    BLOCK_VALUES,
    Block,
    Downmix,
    checked_channel,
    finite,
    pcm16,
    to_float32,
)
from xcodec2.errors import AudioError
from xcodec2.files import replacing
from xcodec2.lazy import is_tensor

if TYPE_CHECKING:
    import torch

AudioSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray | torch.Tensor"
)
"""What audio is read from: a path, a file's bytes, an open file, or samples with their rate."""

Taken = TypeVar("Taken")

# A rate outside of this is a mistake or a hostile header: at 1 Hz, a megabyte of samples resamples
# to 64 GB.
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 1_000_000
MAX_ARRAY_CHANNELS = 32  # an array with more rows than this is (samples, channels)
SAVE_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}


@dataclass(frozen=True)
class Audio:
    """Mono speech at the requested rate, with the length and rate of what it came from.

    Attributes:
        waveform: (N,) float32, on the CPU.
        num_samples: Samples per channel of the input.
        sample_rate: Of the input, in Hz.
    """

    waveform: torch.Tensor
    num_samples: int
    sample_rate: int


def load_audio(
    source: AudioSource,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    target_rate: int = 16_000,
    name: str = "",
) -> Audio:
    """Read `source` as mono float32 at `target_rate` Hz.

    The waveform has round(num_samples * target_rate / sample_rate) samples, at least one; samples
    already at `target_rate` pass bit-exact. Where the average of the channels is much softer than
    one of them, a warning says so.

    Args:
        source: A path; bytes or a binary file object (read from its start, left open); or a
            (samples,) or (channels, samples) array or tensor. Floats are taken as they are, signed
            integers scaled by their full range to [-1, 1), unsigned ones likewise around their
            midpoint.
        sample_rate: Hz; needed with an array, and must agree with the file otherwise.
        channel: The one channel to take, from 0; None averages them all.
        target_rate: Hz.
        name: What errors and warnings call a source that has no path.

    Raises:
        AudioError: The source is unreadable, cut short, empty or not finite, or has no such
            channel.
    """
    import torch

    mono = load_samples(source, sample_rate, channel=channel, target_rate=target_rate, name=name)
    return Audio(torch.from_numpy(mono.samples), mono.num_samples, mono.sample_rate)


class Mono(NamedTuple):
    """What `Audio` holds, without PyTorch.

    Attributes:
        samples: (N,) float32.
        num_samples: Samples per channel of the input.
        sample_rate: Of the input, in Hz.
    """

    samples: np.ndarray
    num_samples: int
    sample_rate: int


def load_samples(
    source: AudioSource,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    target_rate: int = 16_000,
    name: str = "",
) -> Mono:
    """`load_audio` without PyTorch, whose import takes seconds.

    Args:
        source: As there.
        sample_rate: As there.
        channel: As there.
        target_rate: As there.
        name: As there.

    Returns:
        The samples, and what they came from.

    Raises:
        AudioError: As there.
    """
    given = None if sample_rate is None else checked_rate(sample_rate)
    taken = checked_channel(channel)
    return read_blocks(
        source,
        given,
        lambda blocks, name: _mono_at(target_rate, blocks, name, given, taken),
        name=name,
    )


def read_blocks(
    source: AudioSource,
    sample_rate: int | None,
    take: Callable[[Iterator[Block], str], Taken],
    *,
    name: str = "",
) -> Taken:
    """What `take` makes of the samples as they come.

    Args:
        source: As in `load_audio`.
        sample_rate: Hz; needed with an array.
        take: Is called with (Hz, (samples, channels) float32) blocks at their own rate and with the
            name for errors; once more, from the start, when another decoder has to take over.
        name: What errors call a source that has no path.

    Raises:
        AudioError: The source is unreadable or cut short.
    """
    if isinstance(source, np.ndarray) or is_tensor(source):
        if sample_rate is None:
            raise AudioError("an array does not say its sample rate: pass sample_rate=...")
        return take(_array_blocks(source, sample_rate), name or "array")
    with opened(source, name) as (file, name):
        try:
            return take(decoded_blocks(file, name), name)
        except StartAgainError as why:
            return take(decoded_blocks(file, name, by_ffmpeg=str(why)), name)


def save_audio(
    path: str | os.PathLike[str], waveform: torch.Tensor | np.ndarray, sample_rate: int
) -> None:
    """Write a waveform as wav or flac (16 bit), ogg (Vorbis) or mp3, by suffix.

    The file appears whole or not at all. Values beyond ±1 are clipped, with one warning that counts
    them.

    Args:
        path: Of the file; its suffix decides the format.
        waveform: (N,) float in -1 … 1.
        sample_rate: In Hz.

    Raises:
        AudioError: The suffix is another one, the waveform is empty, not finite or not 1-D float,
            or the file cannot be written.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SAVE_FORMATS:
        raise AudioError(
            f"{path}: no audio format for the suffix {suffix!r}; use {', '.join(SAVE_FORMATS)}"
        )
    rate = checked_rate(sample_rate)
    samples = _to_numpy(waveform)
    if samples.ndim != 1 or samples.dtype.kind != "f" or not len(samples):
        raise AudioError(
            f"a waveform is 1-D, float and not empty, not {samples.dtype} of shape {samples.shape}"
        )
    beyond = sum(
        np.count_nonzero(np.abs(finite(block, "waveform")) > 1) for block in _split(samples)
    )
    if beyond:
        warnings.warn(
            f"{path}: {beyond} of {len(samples)} samples were beyond ±1 and are clipped",
            stacklevel=2,
        )
    content = (
        io.BytesIO()
    )  # a full disk then fails in a plain write below, not inside of a C callback
    try:
        with soundfile.SoundFile(content, "w", rate, 1, format=SAVE_FORMATS[suffix]) as sound:
            for block in _split(samples):  # whole hours at once overflow libvorbis' stack
                sound.write(_for_writing(block, exact=suffix in (".wav", ".flac")))
    except soundfile.SoundFileError as problem:
        raise AudioError(
            f"{path}: {suffix[1:]} cannot be written at {rate} Hz; try wav ({problem})"
        ) from problem
    with replacing(path, AudioError) as file:
        file.write(content.getbuffer())


def checked_rate(rate: object, name: str = "sample_rate") -> int:
    """A sample rate as a whole number of Hz.

    Args:
        rate: What was given.
        name: What the error calls it.

    Returns:
        The same in Hz.

    Raises:
        AudioError: It is no whole number, or none that audio has.
    """
    whole = isinstance(rate, (int, np.integer)) and not isinstance(rate, bool)
    if not whole and not (isinstance(rate, (float, np.floating)) and float(rate).is_integer()):
        raise AudioError(f"{name} must be a whole number of Hz, not {rate!r}")
    hertz = int(rate)  # type: ignore[call-overload]
    if not MIN_SAMPLE_RATE <= hertz <= MAX_SAMPLE_RATE:
        raise AudioError(f"{name} must be {MIN_SAMPLE_RATE}…{MAX_SAMPLE_RATE} Hz, not {hertz} Hz")
    return hertz


def resampled_length(num_samples: int, sample_rate: int, target_rate: int) -> int:
    """Count the samples after resampling: rounded half up, at least one.

    Args:
        num_samples: Before.
        sample_rate: Before, in Hz.
        target_rate: After, in Hz.

    Returns:
        Samples after.
    """
    return max(1, (2 * num_samples * target_rate + sample_rate) // (2 * sample_rate))


def _mono_at(
    target_rate: int, blocks: Iterator[Block], name: str, given: int | None, channel: int | None
) -> Mono:
    """Average (or choose), check and resample `blocks` as they come; only the mono result is
    kept.
    """
    rate, num_samples, resampler = 0, 0, None
    downmix = Downmix(channel, name)
    pcm = (
        bytearray()
    )  # grows in place, where a list of blocks would need its size twice when joined
    for block_rate, block in blocks:
        if not rate:
            rate = checked_rate(block_rate, f"{name}: its sample rate")
            if given not in (None, rate):
                raise AudioError(
                    f"{name}: is at {rate} Hz but sample_rate={given} was given; leave it out"
                )
            if rate != target_rate:
                # VHQ computes in float64, so that any split into blocks gives the same bits; HQ is
                # no faster.
                resampler = soxr.ResampleStream(
                    rate, target_rate, 1, dtype="float32", quality="VHQ"
                )
        elif block_rate != rate:
            raise AudioError(
                f"{name}: changes from {rate} to {block_rate} Hz midway; convert it to one rate "
                "first"
            )
        mono = downmix(block)
        num_samples += len(mono)
        pcm += (
            finite(resampler.resample_chunk(mono), name).tobytes() if resampler else mono.tobytes()
        )
    if not num_samples:
        raise AudioError(f"{name}: holds no audio samples")
    if resampler:
        pcm += finite(resampler.resample_chunk(np.zeros(0, np.float32), last=True), name).tobytes()
        wanted = 4 * resampled_length(num_samples, rate, target_rate)
        if (
            len(pcm) != wanted
        ):  # by one sample, and only when the input is shorter than an output sample
            pcm = pcm[:wanted].ljust(wanted, b"\0")
    downmix.warn_of_loss()
    return Mono(np.frombuffer(pcm, np.float32), num_samples, rate)


def _array_blocks(source: np.ndarray | torch.Tensor, rate: int) -> Iterator[Block]:
    array = _to_numpy(source)
    if array.dtype.kind not in "fiu":
        raise AudioError(f"audio must be of a float or integer type, not {array.dtype}")
    if array.ndim not in (1, 2):
        raise AudioError(
            f"audio must be (samples,) or (channels, samples), not of shape {array.shape}"
        )
    channels = np.atleast_2d(array)
    if not channels.size:
        raise AudioError(f"audio of shape {array.shape} is empty")
    if len(channels) > MAX_ARRAY_CHANNELS:
        raise AudioError(
            f"audio of shape {array.shape} would have {len(channels)} channels, at most "
            f"{MAX_ARRAY_CHANNELS} are "
            "taken: the shape is (channels, samples), so pass the transpose"
        )
    for block in _split(channels.T):
        yield rate, to_float32(block)


def _to_numpy(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """The same numbers in NumPy; types it lacks (bfloat16, float8) become float32, which holds them
    exactly.
    """
    if isinstance(values, np.ndarray):
        return values
    if not is_tensor(values):
        raise AudioError(f"a waveform must be an array or a tensor, not {type(values).__name__}")
    import torch

    if values.layout is not torch.strided or values.is_quantized or values.is_meta:
        raise AudioError("a sparse, quantized or meta tensor is not audio: pass a plain one")
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype not in (
        torch.float16,
        torch.float32,
        torch.float64,
    ):
        values = values.float()
    return values.resolve_neg().resolve_conj().numpy()


def _split(samples: np.ndarray) -> Iterator[np.ndarray]:
    """(samples, ...) in pieces that are cheap to convert."""
    step = BLOCK_VALUES // (samples.shape[1] if samples.ndim == 2 else 1)
    for start in range(0, len(samples), step):
        yield samples[start : start + step]


def _for_writing(block: np.ndarray, *, exact: bool) -> np.ndarray:
    # Rounded here and not in libsndfile, which scales by 32767: 16-bit audio that is read and saved
    # stays the same.
    return pcm16(block) if exact else np.clip(block.astype(np.float32), -1, 1)
