"""The networks of `xcodec2.codec` as programs for the engine: what there are modules, layer by
layer, are here operations in the same order.

T frames, C channels; weights by their names in checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xcodec2.codec.compiled.program import Array, Program, Register, Way
from xcodec2.codec.config import FEATURE_HOP, MEL_BINS, XCodec2Config
from xcodec2.codec.constants import NORM_GROUPS, PITCH_BINS, SPECTRA_SIDE

MOST_DISTANCES = 500  # entries in the table of an attention
LOOSE, TIGHT = 1e-5, 1e-6  # eps of norms


def suits(config: XCodec2Config) -> bool:
    """Whether the engine runs models of this configuration: small ones, of sizes that vectors
    fit.
    """
    head = config.semantic_width // config.semantic_heads
    sizes = (config.semantic_width, config.width, config.head_width, head, config.semantic_ffn)
    return (
        config.acoustic_encoder == "spectrogram"
        and all(size % 8 == 0 for size in (*sizes, config.ffn))
        and config.attention_left + config.attention_right < MOST_DISTANCES
    )


class Builder:
    """Adds layers of a checkpoint to a program.

    Args:
        config: Sizes.
        weights: By name.
        streams: Whether new frames of streams are run, rather than wholes.
    """

    def __init__(self, config: XCodec2Config, weights: Mapping[str, Array]) -> None:
        self.config, self.weights = config, weights
        self.program = Program(config.attention_window)
        self.way = Way()

    def get(self, name: str) -> Array:
        """A weight as float32."""
        return np.asarray(self.weights[name], np.float32)

    def maybe(self, name: str) -> Array | None:
        """The same, or None where there is none."""
        return self.get(name) if name in self.weights else None

    def linear(self, name: str, source: Register, target: Register, **settings: Any) -> None:
        """A linear layer, or a convolution of kernel 1."""
        weight = self.get(f"{name}.weight")
        weight = weight[:, :, 0] if weight.ndim == 3 else weight
        self.program.linear(source, target, weight, self.maybe(f"{name}.bias"), **settings)

    def convolution(
        self, name: str, source: Register, target: Register, ahead: int, **settings: Any
    ) -> None:
        """A convolution over frames."""
        self.program.linear(
            source, target, self.get(f"{name}.weight"), self.maybe(f"{name}.bias"),
            way=self.way, ahead=ahead, **settings,
        )  # fmt: skip

    def norm(
        self, name: str, source: Register, target: Register, eps: float, **settings: Any
    ) -> None:
        """LayerNorm, or RMSNorm where there is no bias."""
        weight, bias = self.get(f"{name}.weight"), self.maybe(f"{name}.bias")
        self.program.norm(source, target, weight, bias, eps, **settings)

    def attention(
        self, names: tuple[str, ...], source: Register, target: Register, heads: int, **table: Any
    ) -> None:
        """Queries, keys and values as one product, and attention."""
        weights = np.concatenate([self.get(f"{name}.weight") for name in names])
        biases = [bias for name in names if (bias := self.maybe(f"{name}.bias")) is not None]
        joined = self.program.register(3 * target.width)
        bias = np.concatenate(biases) if biases else None
        self.program.linear(source, joined, weights, bias)
        self.program.attention(joined, target, heads, self.way, **table)

    @property
    def window_ahead(self) -> int:
        """Frames that each attention sees ahead."""
        return self.config.attention_window[1] if self.config.attention_window else 0


class EncoderProgram(Builder):
    """Features and spectra → what the quantizer bounds.

    Attributes:
        features: Register of (T, 160) normalized, stacked fbank.
        spectra: Register of (T, 320) stacked log spectra.
        projected: Register of (T, K).
    """

    def __init__(self, config: XCodec2Config, weights: Mapping[str, Array]) -> None:
        super().__init__(config, weights)
        program, stack = self.program, config.hop // FEATURE_HOP
        self.features = program.register(config.feature_width)
        self.spectra = program.register(stack * (MEL_BINS + PITCH_BINS))
        side = config.feature_padding
        behind = math.ceil((2 * FEATURE_HOP - side) / config.hop)
        semantic = Way(behind, 0 if side else 1)
        acoustic = Way(math.ceil(SPECTRA_SIDE / config.hop))
        self.way = semantic
        adapted = self.adapter(self.semantic())
        self.way = acoustic
        heard = self.acoustic()
        joined = program.register(config.latent_width)
        latest = max(semantic.lag, acoustic.lag)
        program.place(adapted, joined, 0, latest - semantic.lag)
        program.place(heard, joined, config.semantic_width, latest - acoustic.lag)
        self.latent = program.register(config.latent_width)
        self.linear("fc_encoder", joined, self.latent)
        self.projected = program.register(len(config.levels))
        self.linear("quantizer.project_in", self.latent, self.projected)

    def semantic(self) -> Register:
        """The conformer."""
        program, config = self.program, self.config
        x, normal = program.register(config.semantic_width), program.register(config.feature_width)
        name = "semantic_encoder.feature_projection"
        self.norm(f"{name}.layer_norm", self.features, normal, LOOSE)
        self.linear(f"{name}.projection", normal, x)
        for index in range(config.semantic_layers):
            x = self.conformer(f"semantic_encoder.encoder.layers.{index}", x)
        return x

    def conformer(self, name: str, x: Register) -> Register:
        """Half a feed-forward, attention, convolution, half a feed-forward."""
        program, width = self.program, x.width
        y, late, wide = (program.register(size) for size in (width, width, 2 * width))
        out = program.register(width)
        self.feed_forward(name, "ffn1", x, y)
        self.norm(f"{name}.self_attn_layer_norm", x, y, LOOSE)
        attended = f"{name}.self_attn"
        sides = self.config.attention_left, self.config.attention_right
        self.attention(
            tuple(f"{attended}.linear_{part}" for part in "qkv"), y, out,
            self.config.semantic_heads, sides=sides,
            table=self.get(f"{attended}.distance_embedding.weight"),
        )  # fmt: skip
        program.place(x, late, later=self.window_ahead)
        self.linear(f"{attended}.linear_out", out, x, skip=late)
        module = f"{name}.conv_module"
        self.norm(f"{module}.layer_norm", x, y, LOOSE)
        self.linear(f"{module}.pointwise_conv1", y, wide)
        program.gate(wide, y)
        depthwise = self.get(f"{module}.depthwise_conv.weight")
        program.depthwise(y, out, depthwise, None, self.way, 0)
        self.norm(f"{module}.depthwise_layer_norm", out, y, LOOSE, act="silu")
        self.linear(f"{module}.pointwise_conv2", y, x, skip=x)
        self.feed_forward(name, "ffn2", x, y)
        self.norm(f"{name}.final_layer_norm", x, out, LOOSE)
        return out

    def feed_forward(self, name: str, part: str, x: Register, normal: Register) -> None:
        """x += half of what two linear layers make of its norm."""
        wide = self.program.register(self.config.semantic_ffn)
        self.norm(f"{name}.{part}_layer_norm", x, normal, LOOSE)
        self.linear(f"{name}.{part}.intermediate_dense", normal, wide, act="silu")
        self.linear(f"{name}.{part}.output_dense", wide, x, skip=x, scale=0.5)

    def adapter(self, x: Register) -> Register:
        """Four convolutions, and a skip around the middle two."""
        program, aheads = self.program, self.config.aheads(self.config.adapter_kernels)
        first, skip, y, out = (program.register(x.width) for _ in range(4))
        self.convolution("semantic_adapter.conv1", x, first, aheads[0], act="relu")
        program.place(first, skip, later=aheads[1] + aheads[2])
        self.convolution("semantic_adapter.conv2", first, y, aheads[1], act="relu")
        self.convolution("semantic_adapter.conv3", y, out, aheads[2], skip=skip)
        self.convolution("semantic_adapter.conv4", out, y, aheads[3])
        return y

    def acoustic(self) -> Register:
        """The spectrogram encoder."""
        program, width = self.program, self.config.width
        first, *others = self.config.aheads(self.config.acoustic_kernels)
        x, y, late, wide = (program.register(size) for size in (width, width, width, 4 * width))
        self.convolution("acoustic_encoder.embed", self.spectra, x, first)
        for index, ahead in enumerate(others):
            name = f"acoustic_encoder.blocks.{index}"
            kernel, bias = self.get(f"{name}.depthwise.weight"), self.get(f"{name}.depthwise.bias")
            program.depthwise(x, y, kernel, bias, self.way, ahead)
            program.place(x, late, later=ahead)
            self.norm(f"{name}.norm", y, y, TIGHT)
            self.linear(f"{name}.expand", y, wide, act="gelu")
            self.linear(f"{name}.project", wide, x, skip=late)
        self.norm("acoustic_encoder.norm", x, y, TIGHT)
        return y


class DecoderProgram(Builder):
    """What codes stand for → log-magnitudes and phases.

    Attributes:
        values: Register of (T, K + 1): the K values of each code and a 1.
        spectrum: Register of (T, n_fft + 2).
    """

    def __init__(self, config: XCodec2Config, weights: Mapping[str, Array]) -> None:
        super().__init__(config, weights)
        program, width = self.program, config.width
        self.values = program.register(len(config.levels) + 1)
        x, normal, y = (program.register(width) for _ in range(3))
        first, *aheads = config.aheads(config.decoder_kernels)
        kernel, bias = self.folded()
        program.linear(self.values, x, kernel, bias, way=self.way, ahead=first)
        for index in (0, 1):
            self.block(f"prior_net.{index}", x, aheads[2 * index : 2 * index + 2])
        for index in range(config.layers):
            self.layer(f"acoustic_decoder.layers.{index}", x, normal, y)
        for index in (0, 1):
            self.block(f"post_net.{index}", x, aheads[2 * index + 4 : 2 * index + 6])
        self.norm("acoustic_decoder.norm", x, normal, TIGHT)
        self.spectrum = program.register(config.n_fft + 2)
        self.linear("acoustic_decoder.head.linear", normal, self.spectrum)

    def folded(self) -> tuple[Array, Array | None]:
        """The three linear maps before the first block as one convolution (D, K + 1, size), as
        `xcodec2.codec.inference.fold` has it, and its bias.
        """
        exact = np.float64
        out, fc = "quantizer.project_out", "acoustic_decoder.fc"
        columns = np.concatenate(
            [self.get(f"{out}.weight").T, self.get(f"{out}.bias")[None]]
        ).astype(exact) @ self.get(f"{fc}.weight").T.astype(exact)  # (K + 1, D)
        columns[-1] += self.get(f"{fc}.bias")
        embed = self.get("acoustic_decoder.embed.weight").astype(exact)  # (D, D, size)
        kernel = np.einsum("oik,ci->ock", embed, columns, optimize=True)
        return kernel.astype(np.float32), self.maybe("acoustic_decoder.embed.bias")

    def block(self, name: str, x: Register, aheads: list[int]) -> None:
        """Norm, SiLU and convolution, twice, and a skip."""
        program, name = self.program, f"acoustic_decoder.{name}"
        y, late = program.register(x.width), program.register(x.width)
        program.place(x, late, later=sum(aheads))
        groups = 0 if self.config.attention_window else NORM_GROUPS
        for part, ahead in enumerate(aheads, start=1):
            self.norm(f"{name}.norm{part}", x, y, TIGHT, act="silu", groups=groups)
            skip = late if part == 2 else None
            self.convolution(f"{name}.conv{part}", y, x, ahead, skip=skip)

    def layer(self, name: str, x: Register, normal: Register, y: Register) -> None:
        """Attention and MLP, each behind a norm and with a skip."""
        program, config = self.program, self.config
        late, attended = (
            program.register(x.width),
            program.register(config.heads * config.head_width),
        )
        self.norm(f"{name}.input_layernorm", x, normal, TIGHT)
        names = tuple(f"{name}.self_attn.{part}_proj" for part in "qkv")
        self.attention(names, normal, attended, config.heads)
        program.place(x, late, later=self.window_ahead)
        self.linear(f"{name}.self_attn.o_proj", attended, x, skip=late)
        self.norm(f"{name}.post_attention_layernorm", x, normal, TIGHT)
        wide = program.register(config.ffn)
        self.linear(f"{name}.mlp.fc1", normal, wide, act="silu")
        self.linear(f"{name}.mlp.fc2", wide, x, skip=x)
