"""The semantic branch: the first layers of w2v-BERT 2.0 (a conformer) and the convolutions that
adapt them.

Attribute names are those of the transformers checkpoint. B batch, T frames, H heads, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.kernels.convolution import Conv1d
from xcodec2.codec.kernels.linear import Linear, SiLULinear, linear
from xcodec2.codec.masking import valid_mask, window_mask
from xcodec2.codec.step import Lengths, Step, delayed

# attention scores alive at once; longer inputs go through in blocks of queries
SCORE_BUDGET = 64 * 2**20
MIN_QUERY_BLOCK = 16


class FeatureProjection(nn.Module):
    """Norm and linear layer from features to the encoder's width."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.feature_width)
        self.projection = Linear(config.feature_width, config.semantic_width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, 160) → (B, T, D)."""
        return self.projection(self.layer_norm(features))


class FeedForward(nn.Module):
    """Two linear layers with SiLU between them."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.intermediate_dense = SiLULinear(config.semantic_width, config.semantic_ffn)
        self.output_dense = Linear(config.semantic_ffn, config.semantic_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        return self.output_dense(self.intermediate_dense(x))


class RelativeKeyAttention(nn.Module):
    """Self-attention whose scores also depend on the clamped distance from query to key."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.heads = config.semantic_heads
        self.left, self.right = config.attention_left, config.attention_right
        self.window = config.attention_window
        width = config.semantic_width
        self.linear_q = Linear(width, width)
        self.linear_k = Linear(width, width)
        self.linear_v = Linear(width, width)
        self.linear_out = Linear(width, width)
        self.distance_embedding = nn.Embedding(self.left + self.right + 1, width // self.heads)

    def project(self, x: Tensor) -> list[Tensor]:
        """(B, T, D) → queries, keys and values, each (B, H, T, D/H)."""
        return [
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.linear_q, self.linear_k, self.linear_v)
        ]

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        q, k, v = self.project(x)
        if isinstance(lengths, Step):
            return self.step(q, k, v, lengths)
        batch, _, frames, _ = q.shape
        block = max(MIN_QUERY_BLOCK, SCORE_BUDGET // (batch * self.heads * frames))
        attended = [
            F.scaled_dot_product_attention(
                q[:, :, start : start + block],
                k,
                v,
                self.score_bias(q, start, start + block, lengths),
            )
            for start in range(0, frames, block)
        ]
        return self.linear_out(torch.cat(attended, dim=2).transpose(1, 2).flatten(2))

    def step(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        """(B, H, t, D/H) each → (B, t, D), `forward` for new frames of streams."""
        q, k, v, mask = step.attended(q, k, v, self.window)
        bias = self.distance_bias(q, step.distances(q.shape[2], self.window))
        y = F.scaled_dot_product_attention(q, k, v, bias.masked_fill(~mask, float("-inf")))
        return self.linear_out(y.transpose(1, 2).flatten(2))

    def score_bias(self, q: Tensor, start: int, stop: int, lengths: Tensor | None) -> Tensor:
        """(B, H, stop - start, T): what distances add to the scores of these queries; -inf for keys
        behind the end.
        """
        keys = torch.arange(q.shape[2], device=q.device)
        bias = self.distance_bias(q[:, :, start:stop], keys - keys[start:stop, None])
        if self.window:
            bias = bias.masked_fill(
                ~window_mask(keys[start:stop], keys, self.window), float("-inf")
            )
        if lengths is None:
            return bias
        return bias.masked_fill(~valid_mask(lengths, q.shape[2])[:, None, None], float("-inf"))

    def distance_bias(self, q: Tensor, distances: Tensor) -> Tensor:
        """Queries (B, H, Q, D/H) and their `distances` (Q, K) to keys → (B, H, Q, K).

        Only left + right + 1 distances differ, so each query meets each of them once, and the sums
        are spread out by index: no (Q, K, D/H) tensor of embeddings.
        """
        index = distances.clamp(-self.left, self.right) + self.left
        by_distance = q @ self.distance_embedding.weight.T * q.shape[-1] ** -0.5
        return by_distance.gather(-1, index.expand(*q.shape[:2], -1, -1))


class ConvModule(nn.Module):
    """Gated pointwise, causal depthwise, pointwise; nothing behind an item's end reaches back."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        width, kernel = config.semantic_width, config.semantic_conv_kernel
        self.layer_norm = nn.LayerNorm(width)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = Conv1d(width, width, kernel, groups=width, bias=False, ahead=0)
        self.depthwise_layer_norm = nn.LayerNorm(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        as_steps = self.depthwise_conv.as_steps
        x = F.glu(pointwise(self.layer_norm(x), self.pointwise_conv1, as_steps))
        x = self.depthwise_conv.over(x.transpose(1, 2), lengths).transpose(1, 2)
        return pointwise(F.silu(self.depthwise_layer_norm(x)), self.pointwise_conv2, as_steps)


def pointwise(x: Tensor, conv: nn.Conv1d, as_steps: bool) -> Tensor:
    """(B, T, D) → (B, T, D): a convolution of kernel 1 is a linear layer."""
    return linear(x, conv.weight[:, :, 0], conv.bias, owner=conv if as_steps else None)


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward; a skip around each."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.ffn1_layer_norm = nn.LayerNorm(config.semantic_width)
        self.ffn1 = FeedForward(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.semantic_width)
        self.self_attn = RelativeKeyAttention(config)
        self.conv_module = ConvModule(config)
        self.ffn2_layer_norm = nn.LayerNorm(config.semantic_width)
        self.ffn2 = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.semantic_width)
        self.ahead = config.attention_window[1] if config.attention_window else 0

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        x = x + 0.5 * self.ffn1(self.ffn1_layer_norm(x))
        y = self.self_attn(self.self_attn_layer_norm(x), lengths)
        x = delayed(x, lengths, self.ahead, 1) + y
        x = x + self.conv_module(x, lengths)
        x = x + 0.5 * self.ffn2(self.ffn2_layer_norm(x))
        return self.final_layer_norm(x)


class Conformer(nn.Module):
    """The layers in a row."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.semantic_layers))

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        for layer in self.layers:
            x = layer(x, lengths)
        return x


class SemanticEncoder(nn.Module):
    """w2v-BERT 2.0 without the layers that the codec does not use."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.feature_projection = FeatureProjection(config)
        self.encoder = Conformer(config)

    def forward(self, features: Tensor, lengths: Lengths = None) -> Tensor:
        """(B, T, 160) normalized features → (B, T, D); `lengths` (B,) in frames."""
        return self.encoder(self.feature_projection(features), lengths)


class SemanticAdapter(nn.Module):
    """Four convolutions; the skip starts behind the first ReLU, because the original's works in
    place.
    """

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        width = config.semantic_width
        aheads = config.aheads(config.adapter_kernels)
        self.ahead = sum(aheads[1:3])  # of what the skip goes around
        self.conv1 = Conv1d(width, width, 3, ahead=aheads[0], bias=False)
        self.conv2 = Conv1d(width, width, 3, ahead=aheads[1])
        self.conv3 = Conv1d(width, width, 3, ahead=aheads[2])
        self.conv4 = Conv1d(width, width, 3, ahead=aheads[3], bias=False)

    def forward(self, semantic: Tensor, lengths: Lengths = None) -> Tensor:
        """(B, T, D) → (B, D, T)."""
        x = F.relu(self.conv1.over(semantic.transpose(1, 2), lengths))
        skip = delayed(x, lengths, self.ahead)
        x = F.relu(self.conv2.over(x, lengths))
        x = self.conv3.over(x, lengths)
        return self.conv4.over(x + skip, lengths)
