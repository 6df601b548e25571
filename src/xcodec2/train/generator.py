"""The codec as it is trained: with the decoder that rebuilds the semantic encoder's output from the
quantized vector.

B batch, N samples, T frames, K numbers that are quantized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.checkpoints.load import read_checkpoint
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.semantic import SemanticAdapter
from xcodec2.errors import TrainingError
from xcodec2.model import XCodec2Model
from xcodec2.train.recipe import Recipe

ENCODER = ("semantic_encoder", "semantic_adapter", "acoustic_encoder", "fc_encoder", "quantizer")
QUIETER = 4.0  # of the log-magnitudes at a random start
SHORT_MAGNITUDES = 1e-3  # of the weights of bins that a wider head has new


@dataclass(frozen=True)
class Output:
    """What one pass gives.

    `semantic` and `rebuilt` (B, T, D), `hidden` and `guide` (B, T, width); None when unused.
    """

    waveform: Tensor  # (B, N)
    projected: Tensor  # (B, T, K), before the bound
    semantic: Tensor | None = None
    rebuilt: Tensor | None = None
    hidden: Tensor | None = None
    guide: Tensor | None = None


class SemanticDecoder(nn.Module):
    """The adapter's shape, backwards: from the quantized vector to the semantic encoder's output."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.fc = nn.Linear(config.latent_width, config.semantic_width)
        self.convolutions = SemanticAdapter(config)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, T, latent width) → (B, T, semantic width)."""
        return self.convolutions(self.fc(vectors)).transpose(1, 2)


class Generator(nn.Module):
    """One forward for all that the losses need, so that it can be wrapped for several processes."""

    def __init__(
        self, codec: XCodec2Model, *, semantic: bool, guidance: bool, frozen: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.codec = codec
        self.semantic_decoder = SemanticDecoder(codec.config) if semantic else None
        self.guidance, self.frozen = guidance, frozen
        for name in frozen:
            codec.get_submodule(name).requires_grad_(False)

    def forward(self, inputs: Tensor, samples: int) -> Output:
        """Waveforms (B, N) at the input rate → reconstructions of `samples` samples at the output
        rate.
        """
        codec = self.codec
        with torch.set_grad_enabled(not set(ENCODER) <= set(self.frozen)):
            encoded = codec.encode_features(codec.pad(inputs))
            vectors = codec.quantize(encoded.latent).vectors
            # once more, for a sum of gradients that rounds as it did in runs of before
            projected = codec.quantizer.project(encoded.latent.float())
        decoded = codec.decode_vectors(vectors)
        guide = None
        if self.guidance:
            with torch.no_grad():  # the decoder's view of what was not rounded
                guide = codec.decode_vectors(codec.quantizer.unrounded(projected)).hidden
        rebuilt = self.semantic_decoder(vectors) if self.semantic_decoder else None
        return Output(
            waveform=decoded.waveform[:, :samples],
            projected=projected,
            semantic=encoded.semantic.detach() if rebuilt is not None else None,
            rebuilt=rebuilt,
            hidden=decoded.hidden if self.guidance else None,
            guide=guide,
        )

    def train(self, mode: bool = True) -> Generator:
        super().train(mode)
        for name in self.frozen:  # no dropout in what does not learn
            self.codec.get_submodule(name).eval()
        return self


def starting_codec(recipe: Recipe) -> XCodec2Model:
    """The codec before its first step: random, or a checkpoint's weights in a model of the recipe's
    sizes.
    """
    start = recipe.start
    if not start.checkpoint:
        codec = XCodec2Model(XCodec2Config.from_dict(recipe.model))
        quiet_start(codec)
    else:
        source = XCodec2Model.from_pretrained(start.checkpoint)
        config = XCodec2Config.from_dict(source.config.to_dict() | recipe.model)
        codec = source if config == source.config else at_other_rate(source, config)
    if start.semantic_encoder:
        load_semantic_encoder(codec, start.semantic_encoder)
    for name in start.frozen:
        if name not in dict(codec.named_children()):
            raise TrainingError(
                f"recipe.start.frozen: no part {name!r}; there are {', '.join(dict(codec.named_children()))}"
            )
    return codec.train()


def quiet_start(codec: XCodec2Model) -> None:
    """Begin with speech's level and phases all around the circle; from PyTorch's own start, 100
    steps go on that.
    """
    head = codec.acoustic_decoder.head.linear
    bins = head.out_features // 2
    with torch.no_grad():
        head.bias[:bins] -= QUIETER
        head.weight[bins:] *= 4


def at_other_rate(source: XCodec2Model, config: XCodec2Config) -> XCodec2Model:
    """The same codec with a head for another output rate; nothing else may differ.

    A window always lasts four frames, so bins lie equally far apart at every rate: the old bins
    stay where they are and only those above the old half rate are new. Magnitudes grow with the
    number of samples in a window.
    """
    if (
        replace(config, sample_rate=source.config.sample_rate, dropout=source.config.dropout)
        != source.config
    ):
        raise TrainingError(
            "recipe.model: with a start only sample_rate and dropout may change; sizes come from it"
        )
    codec = XCodec2Model(config)
    old, new = source.acoustic_decoder.head.linear, codec.acoustic_decoder.head.linear
    state = source.state_dict()
    kept = min(old.out_features, new.out_features) // 2
    with torch.no_grad():
        weight, bias = new.weight * SHORT_MAGNITUDES, torch.zeros_like(new.bias)
        half_old, half_new = old.out_features // 2, new.out_features // 2
        bias[:half_new] = old.bias[:half_old].min()  # what is new starts silent
        for row in (0, 1):  # magnitudes, then phases
            weight[row * half_new :][:kept] = old.weight[row * half_old :][:kept]
            bias[row * half_new :][:kept] = old.bias[row * half_old :][:kept]
        bias[:half_new] += math.log(config.output_hop / source.config.output_hop)
    state["acoustic_decoder.head.linear.weight"], state["acoustic_decoder.head.linear.bias"] = (
        weight,
        bias,
    )
    codec.load_state_dict(state)
    return codec


def load_semantic_encoder(codec: XCodec2Model, name: str) -> None:
    """Put another checkpoint's semantic encoder into `codec`; sizes must agree."""
    tensors = read_checkpoint(name).tensors
    prefix = "semantic_encoder."
    state = {
        key.removeprefix(prefix): tensor.float()
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
    try:
        codec.semantic_encoder.load_state_dict(state)
    except RuntimeError as problem:
        raise TrainingError(
            f"{name}: its semantic encoder does not fit ({str(problem).splitlines()[-1].strip()})"
        ) from problem


def semantic_error(output: Output) -> Tensor:
    assert output.rebuilt is not None
    assert output.semantic is not None
    return F.mse_loss(output.rebuilt.float(), output.semantic.float())


def guidance_error(output: Output) -> Tensor:
    """‖sg(h_e) - h_q‖² at the decoder's last block: what quantization took away there."""
    assert output.hidden is not None
    assert output.guide is not None
    return F.mse_loss(output.hidden.float(), output.guide.float())
