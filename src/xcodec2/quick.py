"""A small codec for a command's few recordings: without PyTorch, whose import alone takes twenty
times as long as a few seconds of speech.

Codes are those of `XCodec2Model`: where rounding could decide one, and for what the engine does not
run, that model is loaded after all and asked. N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from xcodec2.audio.io import load_samples
from xcodec2.checked_codes import is_file_content
from xcodec2.codec.checkpoints.small import SmallModel, read_small
from xcodec2.codec.compiled.codec import CompiledCodec
from xcodec2.codec.constants import TOLERANCE
from xcodec2.codec.rates import Rates
from xcodec2.codes import Codes
from xcodec2.identity import CodecIdentity
from xcodec2.printable import printable

if TYPE_CHECKING:
    from xcodec2.model import XCodec2Model

MOST_FRAMES = 1500  # half a minute: PyTorch is imported by the time that more would take
MOST_RECORDINGS = 8  # in one command

Progress = Callable[[int, int], object]


class QuickModel(Rates):
    """What commands ask of a model, computed by the engine where it gives the same.

    Args:
        model: Read from its files.
        name: Of `from_pretrained`.
        decoder_only: Whether nothing will be encoded: the weights of the encoder then have no hash,
            as in `XCodec2Model`.
    """

    def __init__(self, model: SmallModel, name: str | Path, *, decoder_only: bool = False) -> None:
        self.name, self.decoder_only = name, decoder_only
        self.model_id, self.config = model.name, model.config
        self.engine = CompiledCodec(model.config, model.weights)
        self.small = model

    @cached_property
    def weights_hash(self) -> str | None:
        """Of all weights that make codes; None without an encoder."""
        return None if self.decoder_only else self.small.weights_hash

    @property
    def identity(self) -> CodecIdentity:
        """What its codes say of where they come from."""
        return CodecIdentity(self.model_id, self.weights_hash, self.codebook_size, self.frame_rate)

    @cached_property
    def whole(self) -> XCodec2Model:
        """The model in PyTorch, loaded when it is first needed."""
        from xcodec2.model import XCodec2Model

        return XCodec2Model.from_pretrained(self.name, decoder_only=self.decoder_only)

    def encode(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        channel: int | None = None,
        progress: Progress | None = None,
    ) -> Codes:
        """`XCodec2Model.encode` of one recording."""
        rate = self.config.input_rate
        mono = load_samples(audio, sample_rate, channel=channel, target_rate=rate)
        if 0 < self.config.frames(len(mono.samples)) <= MOST_FRAMES:
            codes, margins = self.engine.encode(mono.samples)
            if (margins >= TOLERANCE).all():  # false where one is not a number, too
                return Codes(
                    cast("Any", codes),
                    num_samples=mono.num_samples,
                    sample_rate=mono.sample_rate,
                    frame_rate=self.frame_rate,
                    codebook_size=self.codebook_size,
                    model=self.model_id,
                    weights_hash=self.weights_hash,
                )
        return self.whole.encode(audio, sample_rate, channel=channel, progress=progress)

    def decode(self, codes: Any, *, progress: Progress | None = None) -> Any:
        """`XCodec2Model.decode` of one path, one file's bytes, Codes or integers (T,) → (N,)
        float32, an array or a tensor.
        """
        item = self.as_codes(codes)
        if len(item) <= MOST_FRAMES:
            samples = self.engine.decode(item.array)
            if np.isfinite(samples).all():
                return samples[: item.decoded_samples(self.sample_rate)]
        return self.whole.decode(item, progress=progress)

    def as_codes(self, codes: Any) -> Codes:
        """Codes, or a file of them, checked against this model."""
        name = "what is decoded"
        if isinstance(codes, np.ndarray):
            return Codes(
                cast("Any", codes), frame_rate=self.frame_rate, codebook_size=self.codebook_size
            )
        if not isinstance(codes, Codes):
            if not is_file_content(codes):
                name = printable(codes)
            codes = Codes.load(codes, frame_rate=self.frame_rate, codebook_size=self.codebook_size)
        codes.identity.check_decodable(self.identity_beside(codes), name, stacklevel=3)
        return codes

    def identity_beside(self, codes: Codes) -> CodecIdentity:
        """Of what decodes: another name may stand for the same encoder, which its hash tells."""
        own = self.identity
        if own.weights_hash is None and codes.weights_hash and codes.model != own.model:
            return replace(own, weights_hash=self.small.weights_hash)
        return own


def quick_stream(
    name: str, device: str, *, dtype: str = "float32", decoder_only: bool = False
) -> QuickModel | None:
    """The same for a stream: a model whose receptive field is finite."""
    model = quick_model(name, device, dtype=dtype, decoder_only=decoder_only)
    return None if model is None or model.config.receptive_field is None else model


def quick_model(
    name: str, device: str, *, dtype: str = "float32", decoder_only: bool = False
) -> QuickModel | None:
    """The model of a command where the engine runs it; None where PyTorch has to.

    Args:
        name: Of `from_pretrained`.
        device: Of the command.
        dtype: Likewise.
        decoder_only: Whether nothing will be encoded.
    """
    if device != "cpu" or dtype != "float32":
        return None
    model = read_small(name)
    return None if model is None else QuickModel(model, name, decoder_only=decoder_only)
