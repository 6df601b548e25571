"""Encode and decode with NumPy and ONNX Runtime alone, for machines without PyTorch.

Examples:
    >>> from xcodec2.onnx import OnnxCodec
    >>> codec = OnnxCodec("folder")              # written by `xcodec2 export nano folder --to onnx`
    >>> codes = codec.encode(waveform, 16_000)   # (N,) float → (T,) int64
    >>> waveform = codec.decode(codes)           # (T·hop,) float32 at codec.facts.sample_rate

N samples, T codes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xcodec2.codes import Codes, given_codes, is_one_row
from xcodec2.errors import AudioError, CheckpointError, XCodec2Error
from xcodec2.extras import require
from xcodec2.identity import CodecIdentity
from xcodec2.onnx import streaming

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
METADATA = "xcodec2"  # the property of either file that holds its Facts
# frames in one pass or batch, a minute and its padding: attention's memory grows with the square
MAX_FRAMES = 3001

Array = NDArray[Any]
Item = TypeVar("Item")


@dataclass(frozen=True)
class CodecFacts:
    """What the graphs do not say about themselves."""

    model: str
    version: str  # of open-xcodec2, which wrote the files
    weights_hash: str  # as Codes carry it: equal hashes give equal codes
    input_rate: int  # Hz, what the encoder takes
    sample_rate: int  # Hz, what the decoder makes
    hop: int  # input samples per code
    codebook_size: int
    shortest: int  # input samples that give one code
    # of a finite receptive field, in frames; 0 where it has no limit
    encoder_back: int = 0
    encoder_ahead: int = 0
    decoder_ahead: int = 0
    tolerance: float = 0.0  # codes with smaller margins are computed again, alone

    def to_json(self) -> str:
        """As it stands in each file's metadata."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def interface(self) -> dict[str, Any]:
        """What the files of one model agree in; a decoder trained further does, too."""
        named = ("model", "version")
        return {key: fact for key, fact in dataclasses.asdict(self).items() if key not in named}

    @property
    def identity(self) -> CodecIdentity:
        """What codes say of the codec that made them."""
        rate = self.input_rate // self.hop
        return CodecIdentity(self.model, self.weights_hash, self.codebook_size, rate)

    def frames(self, num_samples: int) -> int:
        """Codes of `num_samples` input samples: N//hop + 1, or N//hop where a single sample gives
        none.
        """
        return num_samples // self.hop + (self.shortest == 1)


class OnnxCodec:
    """The files of one exported model, run by ONNX Runtime.

    Each file is opened when it is first needed: decoding needs no encoder.

    Args:
        folder: Of encoder.onnx and decoder.onnx.
        providers: ONNX Runtime's; by default the CPU.
        threads: How many it uses; by default all cores.

    Raises:
        XCodec2Error: The files cannot be used.
    """

    fixed_step = 0  # frames that a step graph takes; 0 for any number

    def __init__(
        self,
        folder: str | Path,
        *,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.providers, self.threads = list(providers or ["CPUExecutionProvider"]), threads
        first = ENCODER if (self.folder / ENCODER).exists() else DECODER
        self.sessions: dict[str, Any] = {first: self.opened(first)}
        self.facts = facts_in(self.sessions[first], self.folder / first)

    @property
    def sample_rate(self) -> int:
        """Hz of decoded speech."""
        return self.facts.sample_rate

    @property
    def frame_rate(self) -> float:
        """Codes a second."""
        return self.facts.input_rate / self.facts.hop

    @property
    def codebook_size(self) -> int:
        """Codes are in 0 … codebook_size - 1."""
        return self.facts.codebook_size

    def encode(self, audio: Array | Sequence[Array], sample_rate: int) -> Any:
        """Waveform → codes.

        Args:
            audio: (N,) float in -1 … 1, or a list of such.
            sample_rate: In Hz; must be the encoder's.

        Returns:
            (T,) int64; a list for a list.

        Raises:
            AudioError: The rate is another one, or the input is not a waveform.
        """
        self.check_rate(sample_rate)
        single = isinstance(audio, np.ndarray)
        waves = [self.as_waveform(item) for item in ([audio] if single else audio)]
        frames = [self.facts.frames(len(wave)) for wave in waves]
        codes = in_groups(waves, frames, lambda rows: self.encode_rows(padded(rows)))
        return codes[0] if single else codes

    def decode(self, codes: Any) -> Any:
        """Codes → waveform.

        Args:
            codes: Codes, or (T,) integers as an array, a tensor or a list; or a list of any of
                these.

        Returns:
            (T·hop,) float32 at `sample_rate`, cut to the length of what was encoded where Codes
            say it; a list for a list of them.

        Raises:
            XCodec2Error: They are not codes of this model.

        Warns:
            CodesWarning: The codes come from other weights, or at another frame rate.
        """
        single = is_one_row(codes)
        # by map: a comprehension is a frame to warnings before Python 3.12, and none since
        items = list(map(self.as_codes, [codes] if single else codes))
        waves = self.decode_each([item.array.astype(np.int64) for item in items])
        sizes = [item.decoded_samples(self.sample_rate) for item in items]
        cut = [wave[:size] for wave, size in zip(waves, sizes, strict=True)]
        return cut[0] if single else cut

    def decode_each(self, rows: list[Array]) -> list[Array]:
        """Codes (T,) each → waveforms (T·hop,)."""
        return in_groups(
            rows, [len(row) for row in rows], lambda batch: self.run(DECODER, np.stack(batch))
        )

    def stream_encode(
        self, chunks: Iterable[Array], sample_rate: int, *, step: int = streaming.STEP
    ) -> Iterator[Array]:
        """Waveform as it comes → codes as they become final, those of `encode` for the whole.

        Args:
            chunks: (n,) floats of any sizes.
            sample_rate: In Hz; must be the encoder's.
            step: Frames that are computed together.

        Returns:
            Iterator of (t,) int64.

        Raises:
            XCodec2Error: The model's receptive field has no limit, or as `encode`.
        """
        self.check_rate(sample_rate)
        return streaming.as_it_comes(self.encoder_stream(step=step), chunks)

    def stream_decode(
        self, chunks: Iterable[Array], *, step: int = streaming.STEP
    ) -> Iterator[Array]:
        """Codes as they come → waveform as it becomes final, that of `decode` up to rounding.

        Args:
            chunks: (t,) integers.
            step: Frames that are computed together.

        Returns:
            Iterator of (n,) float32.

        Raises:
            XCodec2Error: The model's receptive field has no limit, or as `decode`.
        """
        return streaming.as_it_comes(self.decoder_stream(step=step), chunks)

    def encoder_stream(self, *, step: int = streaming.STEP) -> streaming.OnnxEncoderStream:
        """A session with `push(chunk)` and `finish()`; see `stream_encode`."""
        return streaming.OnnxEncoderStream(self, step)

    def decoder_stream(self, *, step: int = streaming.STEP) -> streaming.OnnxDecoderStream:
        """A session with `push(codes)` and `finish()`; see `stream_decode`."""
        return streaming.OnnxDecoderStream(self, step)

    # ---- what comes in ---------------------------------------------------------------------------

    def check_rate(self, sample_rate: int) -> None:
        """Raise AudioError for another rate than the encoder's."""
        if sample_rate != self.facts.input_rate:
            raise AudioError(
                f"the encoder takes {self.facts.input_rate} Hz, not {sample_rate} Hz: "
                "resample it first"
            )

    def as_waveform(self, audio: Any) -> Array:
        """(N,) float32; raises AudioError for what is none."""
        wave = np.asarray(audio)
        if wave.ndim != 1 or not np.issubdtype(wave.dtype, np.floating):
            raise AudioError(
                f"audio must be floats (N,) in -1 … 1, not {wave.dtype} of shape {wave.shape}"
            )
        if len(wave) < self.facts.shortest:
            raise AudioError(
                f"the audio has {len(wave)} samples; "
                f"this model needs at least {self.facts.shortest}"
            )
        wave = wave.astype(np.float32, copy=False)
        if not np.isfinite(wave).all():
            raise AudioError("the audio holds NaN or infinity")
        self.check_length(self.facts.frames(len(wave)))
        return wave

    def as_codes(self, codes: Any) -> Codes:
        """Of one recording; raises CodesError for what this model does not have."""
        found = given_codes(codes, self.facts.identity)
        self.check_length(len(found))
        return found

    def check_length(self, frames: int) -> None:
        """Raise XCodec2Error for more frames than one pass takes."""
        if frames > MAX_FRAMES:
            seconds = (MAX_FRAMES - 1) * self.facts.hop / self.facts.input_rate
            raise XCodec2Error(
                f"{frames} frames are too long for one pass: "
                f"cut it into pieces of {seconds:.0f} s at most"
            )

    # ---- files -----------------------------------------------------------------------------------

    def run(self, name: str, inputs: Array) -> Array:
        """(B, …) → (B, …)."""
        return self.outputs(name, inputs)[0]

    def outputs(self, name: str, inputs: Array) -> list[Array]:
        """All that a file gives for (B, …)."""
        session = self.session(name)
        found: list[Array] = session.run(None, {session.get_inputs()[0].name: inputs})
        return found

    def encode_rows(self, rows: Array) -> Array:
        """Waveforms (B, N) → codes (B, T). Ones that rounding could move are computed alone."""
        codes, *margins = self.outputs(ENCODER, rows)
        if not margins:
            return codes
        hop, padded_frames = self.facts.hop, rows.shape[1] // self.facts.hop + 1
        padding = padded_frames * hop - rows.shape[1]
        blocks = np.pad(rows, ((0, 0), (0, padding))).reshape(len(rows), -1, hop)
        for row, frame in zip(*np.nonzero(margins[0] < self.facts.tolerance), strict=True):
            codes[row, frame] = self.code_alone(
                int(frame), padded_frames, functools.partial(joined_blocks, blocks[row])
            )
        return codes

    def code_alone(self, frame: int, frames: int, samples: Callable[[int, int], Array]) -> int:
        """The code of one of so many frames, from its receptive field alone.

        `samples` gives the padded recording from one frame to another. The encoder pads by itself:
        the last sample, which is followed by zeros or is of a frame that has no part in this one,
        is left to that.
        """
        facts = self.facts
        first = max(frame - facts.encoder_back, 0)
        last = min(frame + facts.encoder_ahead + 1, frames)
        window = np.ascontiguousarray(samples(first, last)[None, :-1])
        return int(self.run(ENCODER, window)[0, frame - first])

    def step_session(self, name: str) -> Any:
        """A step graph; raises CheckpointError where the model has none."""
        if not self.facts.tolerance:
            raise CheckpointError(
                f"{self.folder}: this model's receptive field has no limit, so it has no step "
                "graphs: encode and decode pieces, or stream with PyTorch"
            )
        return self.session(name)

    def session(self, name: str) -> Any:
        """The opened file.

        Raises:
            CheckpointError: It cannot be used, or is of another model than the first one.
        """
        if name not in self.sessions:
            opened = self.opened(name)
            facts = facts_in(opened, self.folder / name)
            if facts.interface != self.facts.interface:
                raise CheckpointError(
                    f"{self.folder / name}: is of another model ({facts.model}) than what lies "
                    f"beside it ({self.facts.model}); export the model again"
                )
            self.sessions[name] = opened
        return self.sessions[name]

    def opened(self, name: str) -> Any:
        """A session of a file, whosever it is."""
        return open_session(self.folder / name, self.providers, self.threads)


def open_session(path: Path, providers: list[str], threads: int | None) -> Any:
    """An ONNX Runtime session, or CheckpointError."""
    onnxruntime = require("onnxruntime", extra="onnx", purpose="an ONNX model")
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; write it with `xcodec2 export MODEL {path.parent} --to onnx`"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as problem:  # ONNX Runtime's own errors have no common base
        raise CheckpointError(
            f"{path}: ONNX Runtime cannot load it ({str(problem).splitlines()[0]})"
        ) from problem


def facts_in(session: Any, path: Path) -> CodecFacts:
    """What an opened file says of its model.

    Raises:
        CheckpointError: It was not written by this version of the export.
    """
    properties = session.get_modelmeta().custom_metadata_map
    try:
        return CodecFacts(**json.loads(properties[METADATA]))
    except (KeyError, ValueError, TypeError) as problem:
        raise CheckpointError(
            f"{path}: was not written by this version of "
            "`xcodec2 export --to onnx`; export it again"
        ) from problem


def in_groups(
    items: list[Item], frames: list[int], run: Callable[[list[Item]], Array]
) -> list[Array]:
    """Items of one number of frames together, at most MAX_FRAMES frames at a time; results in the
    items' order.

    Only such batches give every item what it gives alone.
    """
    results: dict[int, Array] = {}
    for size in sorted(set(frames)):
        same = [index for index, count in enumerate(frames) if count == size]
        max_rows = max(1, MAX_FRAMES // size)
        for start in range(0, len(same), max_rows):
            batch = same[start : start + max_rows]
            results.update(zip(batch, run([items[index] for index in batch]), strict=True))
    return [results[index] for index in range(len(items))]


def joined_blocks(blocks: Array, first: int, last: int) -> Array:
    """Frames first … last of (F, hop) in a row."""
    return blocks[first:last].flatten()


def padded(waves: list[Array]) -> Array:
    """Waveforms of one number of frames → (B, N): zeros, as the encoder itself adds them."""
    longest = max(map(len, waves))
    return np.stack([np.pad(wave, (0, longest - len(wave))) for wave in waves])
