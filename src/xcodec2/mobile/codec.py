"""`MobileCodec`: exported steps, run one after another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from xcodec2.errors import CheckpointError
from xcodec2.mobile import programs
from xcodec2.mobile.programs import DECODER, ENCODER, FACTS, PhoneProgram
from xcodec2.onnx.runtime import Array, CodecFacts, OnnxCodec
from xcodec2.onnx.streaming import ENCODER_STEP, OnnxDecoderStream, OnnxEncoderStream


class MobileCodec(OnnxCodec):
    """The files of one model, run by ExecuTorch.

    Recordings may have any length: they are streams of steps.

    Args:
        folder: Of codec.json, encoder.pte and decoder.pte.

    Raises:
        XCodec2Error: The files cannot be used.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.sessions: dict[str, PhoneProgram] = {}
        path = self.folder / FACTS
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            self.fixed_step = settings.pop("step")
            self.digests: dict[str, str] = dict(settings.pop("files"))
            self.facts = CodecFacts(**settings)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise CheckpointError(
                f"{path}: is missing, or was not written by this version of `xcodec2 export`; "
                "export the model again"
            ) from problem

    def encode(self, audio: Any, sample_rate: int) -> Any:
        """Waveform → codes; arguments and results as of `OnnxCodec.encode`."""
        self.check_rate(sample_rate)
        if not isinstance(audio, np.ndarray):
            return [self.encode(item, sample_rate) for item in audio]
        stream = self.encoder_stream()
        return np.concatenate([stream.push(self.as_waveform(audio)), stream.finish()])

    def decode_each(self, rows: list[Array]) -> list[Array]:
        """Codes (T,) each → waveforms (T·hop,)."""
        return [np.concatenate(list(self.stream_decode([row]))) for row in rows]

    def encoder_stream(self, *, step: int = 0) -> OnnxEncoderStream:
        """A session with `push(chunk)` and `finish()`; its step is that of the export."""
        return OnnxEncoderStream(self, self.fixed_step)

    def decoder_stream(self, *, step: int = 0) -> OnnxDecoderStream:
        """A session with `push(codes)` and `finish()`; its step is that of the export."""
        return OnnxDecoderStream(self, self.fixed_step)

    def check_length(self, frames: int) -> None:
        """Any number of frames is a stream."""

    def code_alone(self, frame: int, frames: int, samples: Any) -> int:
        """Never asked for: the tolerance of these files is 0."""
        raise NotImplementedError

    def step_session(self, name: str) -> PhoneProgram:
        """An opened file, by the name that its ONNX graph has.

        Raises:
            CheckpointError: It is not there, or of another export.
        """
        if name not in self.sessions:
            path = self.folder / (ENCODER if name == ENCODER_STEP else DECODER)
            if not path.is_file():
                raise CheckpointError(f"{path}: no such file; export the model again")
            if programs.digest(path) != self.digests.get(path.name):
                raise CheckpointError(
                    f"{path}: is damaged, or of another export than {FACTS} beside it; "
                    "export the model again"
                )
            self.sessions[name] = programs.PhoneProgram(path)
        return self.sessions[name]
