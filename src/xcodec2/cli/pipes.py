"""`encode - --stream` and `decode - --stream`: standard input to standard output, as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xcodec2.cli.outputs import STDIO, check_stdout, write_stdout
from xcodec2.cli.terminal import say
from xcodec2.errors import AudioError

if TYPE_CHECKING:
    import numpy as np

    from xcodec2.model import XCodec2Model
    from xcodec2.quick import QuickModel

PIECE = 1 << 16  # bytes read at a time, at most; fewer where fewer are there


def check_pipe(source: Path | str, out: str | None, *, binary: bool) -> None:
    """Refuse other inputs and outputs than the standard ones.

    Args:
        source: The first input.
        out: What -o says.
        binary: Whether what comes out is for no terminal.
    """
    if str(source) != str(STDIO) or out not in (None, str(STDIO)):
        raise click.UsageError("--stream reads standard input (-) and writes standard output")
    if sys.stdin is None:
        raise click.ClickException("standard input is closed")
    if binary or sys.stdout is None:
        check_stdout()


def stdin_pieces() -> Iterator[bytes]:
    """Bytes of standard input as they arrive."""
    read = getattr(sys.stdin.buffer, "read1", sys.stdin.buffer.read)
    while piece := read(PIECE):
        yield piece


def pcm_pieces() -> Iterator[np.ndarray]:
    """Samples (n,) int16 of standard input as they arrive.

    Raises:
        AudioError: It is a file with a header, or ends in the middle of a sample.
    """
    import numpy as np

    rest, first = b"", True
    for piece in stdin_pieces():
        content = rest + piece
        if len(content) < 4 and first:
            rest = content
            continue
        if first and content[:4] in (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff"):
            raise AudioError(
                "standard input is a file with a header; --stream takes raw samples "
                "(ffmpeg -i ... -f s16le -ac 1 -ar 16000 -)"
            )
        first, even = False, len(content) - len(content) % 2
        rest = content[even:]
        yield np.frombuffer(content[:even], "<i2")
    if len(rest) >= 2:  # all there is are two or three bytes
        yield np.frombuffer(rest[:2], "<i2")
        rest = rest[2:]
    if rest:
        raise AudioError("standard input ends in the middle of a 16-bit sample")


def encode_pipe(model: XCodec2Model | QuickModel, sample_rate: int) -> None:
    """Raw samples → a line of speech tokens for each piece that is final, at once."""
    from xcodec2.token_stream import tokens_as_text

    for codes in encoded(model, pcm_pieces(), sample_rate):
        write_stdout(f"{tokens_as_text(codes)}\n".encode())


def decode_pipe(model: XCodec2Model | QuickModel) -> None:
    """Text of speech tokens → raw samples, as soon as they are final."""
    import numpy as np

    from xcodec2.audio.samples import pcm16
    from xcodec2.token_stream import codes_of_text

    beyond = 0
    chunks = codes_of_text(stdin_pieces(), model.codebook_size)
    for waveform in decoded(model, chunks):
        samples = np.asarray(waveform)
        beyond += int(np.count_nonzero(np.abs(samples) > 1))
        write_stdout(pcm16(samples).astype("<i2").tobytes())
    if beyond:
        say(f"xcodec2: warning: {beyond} samples were beyond ±1 and are clipped", err=True)


def encoded(
    model: XCodec2Model | QuickModel, chunks: Iterator[Any], sample_rate: int
) -> Iterator[Any]:
    """Samples as they come → chunks of codes (t,), by a model with or without PyTorch."""
    from xcodec2.quick import QuickModel

    if not isinstance(model, QuickModel):
        return model.stream_encode(chunks, sample_rate)
    from xcodec2.quick_streams import stream_encode

    return stream_encode(model, chunks, sample_rate)


def decoded(model: XCodec2Model | QuickModel, chunks: Iterator[Any]) -> Iterator[Any]:
    """Codes as they come → chunks of samples (n,), likewise."""
    from xcodec2.quick import QuickModel

    if not isinstance(model, QuickModel):
        return model.stream_decode(chunks)
    from xcodec2.quick_streams import stream_decode

    return stream_decode(model, chunks)
