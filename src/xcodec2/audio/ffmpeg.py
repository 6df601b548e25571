"""Decoding with FFmpeg, through PyAV, which the `media` extra brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xcodec2.audio.content import Content
from xcodec2.audio.samples import Block, to_float32
from xcodec2.errors import AudioError
from xcodec2.extras import require

# Containers that FFmpeg may open. The list leaves out playlists, which open other files, and
# formats without a signature, which match anything.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,mp3,ogg,flac,wav,w64,aiff,au,caf,voc,nistsphere,iff,"
    "sox,hcom,wv,tta,ape,tak,shn,mpc,mpc8,ac3,eac3,dts,asf,xwma,rm,oma,amr,avi,flv,mpeg,mpegts,mxf,"
    "dsf,ilbc,loas,mlp,nut,qcp,truehd,wtv"
)
# Containers whose duration is a promise of the header, and no estimate.
PROMISING = ("mov", "wv", "tta", "flac", "ape", "tak", "mpc", "mpc8", "rm")
# Codecs whose frames carry sums: FFmpeg passes damage over unless it is asked not to.
CHECKED = ("flac", "wavpack", "tta", "shorten", "tak", "ape", "alac")
STRICT = "crccheck+bitstream+buffer+explode"
TAGS = (b"ID3", b"TAG", b"APE", b"LYR")
NOT_AUDIO = (
    "not audio that can be read: no known format begins like this, or it is damaged; samples "
    "without a header (.raw, .vox, .sln, .g722) have to be converted, for example with "
    "`ffmpeg -f s16le -ar 8000 -ac 1 -i old.raw new.wav`"
)
VOC = b"Creative Voice File"
NUMPY_OR_ZIP = (b"\x93NUMPY", b"PK\x03\x04")
TAGS_OF_ANY_BYTES = 19  # PyAV that reads tags which are not UTF-8, and knows no word for it
SLACK_SECONDS = 0.1  # containers count the encoder's delay and padding in their duration


def ffmpeg_blocks(file: Content, name: str, why: str) -> Iterator[Block]:
    """Decode the audio track that FFmpeg itself would choose.

    Args:
        file: The content.
        name: Of the file, for errors.
        why: What libsndfile made of it, for the error where there is no FFmpeg.

    Raises:
        AudioError: There is no audio, or it is damaged or cut short; or PyAV is not installed.
    """
    if file.at(0, 6).startswith(NUMPY_OR_ZIP):
        raise AudioError(f"{name}: an archive or codes, not audio; `xcodec2 decode` takes codes")
    av = require("av", extra="media", purpose=f"{name}: {why}; FFmpeg, which reads more,")
    how: dict[str, Any] = {"options": {"format_whitelist": CONTAINERS}}
    if file.at(0, len(VOC)) == VOC:
        how = {"format": "voc"}  # by a list, FFmpeg before 8.1 ends the process
    if int(av.__version__.partition(".")[0]) < TAGS_OF_ANY_BYTES:
        how["metadata_errors"] = "ignore"
    file.seek(0)
    seconds = 0.0
    try:
        with av.open(file, **how) as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise AudioError(f"{name}: has no audio track")
            if stream.codec_context is None:
                raise AudioError(f"{name}: its audio is of a codec that FFmpeg does not know")
            stream.codec_context.options = _options(container, stream)
            counted = container.format.name == "flac"  # its frames are numbered
            total, first = 0, None
            for frame in _frames(container, stream, av.InvalidDataError):
                first = frame.pts if first is None else first
                if counted and (frame.pts is None or _samples(frame, first) != total):
                    raise AudioError(f"{name}: damaged after {seconds:.2f} s; copy it again")
                total += frame.samples
                seconds += frame.samples / frame.sample_rate
                values = _values(
                    frame, name
                )  # (channels, samples), or (1, samples x channels) interleaved
                block = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
                yield frame.sample_rate, to_float32(block)
            promised = _promised_seconds(container, stream)
    except av.FFmpegError as problem:
        file.check(name)
        what = f"damaged or cut short after {seconds:.2f} s; copy it again ({problem.strerror})"
        if not seconds:
            # What it says of contents that it does not know, or may not open, helps nobody.
            # PyAV 13 has another name than later ones for what an invalid argument is.
            unknown = isinstance(problem, (av.InvalidDataError, ValueError))
            what = NOT_AUDIO if unknown else f"not audio that can be read ({problem.strerror})"
        raise AudioError(f"{name}: {what}") from problem
    file.check(name)
    if seconds < promised - SLACK_SECONDS:
        raise AudioError(
            f"{name}: damaged or cut short: {seconds:.2f} s of {promised:.2f} s can be read; "
            "copy it again"
        )


def _samples(frame: Any, first: int) -> int:
    """How many come before this frame, by its time and that of the first."""
    return round((frame.pts - first) * frame.time_base * frame.sample_rate)


def _options(container: Any, stream: Any) -> dict[str, str]:
    """What the decoder is asked for."""
    codec = stream.codec_context.name
    options = {"err_detect": STRICT} if codec in CHECKED else {}
    if codec == "alac" and container.format.name == "caf":
        # ALAC's last packet says how short it is; FFmpeg 8 cuts off as much again for CAF.
        options["flags2"] = "+skip_manual"
    return options


def _frames(container: Any, stream: Any, invalid: type[Exception]) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except invalid:
            # Between MP3s that were laid one behind another, their tags come as packets.
            if not bytes(packet).startswith(TAGS):
                raise


def _values(frame: Any, name: str) -> Any:
    try:
        return frame.to_ndarray()
    except ValueError as problem:  # PyAV knows no 64-bit integers
        raise AudioError(
            f"{name}: its samples are of a kind that cannot be read ({frame.format.name}); "
            "write others with `ffmpeg -i old.wav -c:a pcm_f32le new.wav`"
        ) from problem


def _promised_seconds(container: Any, stream: Any) -> float:
    """The duration that the container states; 0 where FFmpeg has none or only an estimate."""
    kind = container.format.name.split(",")[0]
    if kind in PROMISING and stream.duration:
        return float(stream.duration * stream.time_base)
    if kind == "matroska" and container.duration and len(container.streams) == 1:
        return container.duration / 1e6
    return 0.0
