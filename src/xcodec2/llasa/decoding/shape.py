"""The shape of a Llama, as its config.json states it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LlamaShape:
    """What a forward pass has to know.

    Attributes:
        frequencies: (head_dim/2,) float32, radians a position.
    """

    vocabulary: int
    context: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    tied: bool
    attention_bias: bool
    mlp_bias: bool
    frequencies: np.ndarray

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> LlamaShape | None:
        """The shape of a LlamaForCausalLM, or None for whatever is not one in every respect."""
        heads = config.get("num_attention_heads")
        if (
            config.get("model_type") != "llama"
            or config.get("architectures") not in (None, ["LlamaForCausalLM"])
            or config.get("hidden_act", "silu") != "silu"
            or config.get("quantization_config")
            or not heads
        ):
            return None
        try:
            head_dim = config.get("head_dim") or config["hidden_size"] // heads
            kv_heads = config.get("num_key_value_heads") or heads
            frequencies = rotary_frequencies(config, head_dim)
            if frequencies is None or heads % kv_heads or head_dim % 2:
                return None
            return cls(
                vocabulary=int(config["vocab_size"]),
                context=int(config["max_position_embeddings"]),
                layers=int(config["num_hidden_layers"]),
                hidden=int(config["hidden_size"]),
                intermediate=int(config["intermediate_size"]),
                heads=heads,
                kv_heads=kv_heads,
                head_dim=head_dim,
                epsilon=config.get("rms_norm_eps", 1e-6),
                tied=config.get("tie_word_embeddings", False),
                attention_bias=config.get("attention_bias", False),
                mlp_bias=config.get("mlp_bias", False),
                frequencies=frequencies,
            )
        except (KeyError, TypeError, ValueError):
            return None

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Every weight's name and shape, but a tied head."""
        hidden, size = self.hidden, self.head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocabulary, hidden),
            "model.norm.weight": (hidden,),
        }
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, hidden)
        sides = {
            "self_attn.q_proj": (self.heads * size, hidden, self.attention_bias),
            "self_attn.k_proj": (self.kv_heads * size, hidden, self.attention_bias),
            "self_attn.v_proj": (self.kv_heads * size, hidden, self.attention_bias),
            "self_attn.o_proj": (hidden, self.heads * size, self.attention_bias),
            "mlp.gate_proj": (self.intermediate, hidden, self.mlp_bias),
            "mlp.up_proj": (self.intermediate, hidden, self.mlp_bias),
            "mlp.down_proj": (hidden, self.intermediate, self.mlp_bias),
        }
        for layer in range(self.layers):
            start = f"model.layers.{layer}."
            for name in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"{start}{name}.weight"] = (hidden,)
            for name, (outputs, inputs, bias) in sides.items():
                shapes[f"{start}{name}.weight"] = (outputs, inputs)
                if bias:
                    shapes[f"{start}{name}.bias"] = (outputs,)
        return shapes

    def angles(self, positions: int) -> np.ndarray:
        """(positions, head_dim) float32: cosines of each frequency, then sines."""
        turns = (np.arange(positions, dtype=np.float32)[:, None] * self.frequencies).astype(float)
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=1, dtype=np.float32)


def rotary_frequencies(config: Mapping[str, Any], head_dim: int) -> np.ndarray | None:
    """(head_dim/2,) float32 radians a position; None for a kind of scaling that is not known here.

    Older files have `rope_theta` and `rope_scaling`, newer ones both in `rope_parameters`.
    """
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = scaling.get("rope_theta") or config.get("rope_theta") or 10_000.0
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if scaling.get("partial_rotary_factor", 1) != 1:
        return None
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    frequencies = np.float32(1) / np.float32(theta) ** exponents
    if kind == "default":
        return frequencies
    if kind == "linear":
        return frequencies / np.float32(scaling["factor"])
    if kind != "llama3":
        return None
    # Llama 3: slow turns are slowed down, fast ones stay, those between are blended
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] / (2 * math.pi / frequencies)
    blend = ((turns - low) / (high - low)).clip(0, 1)
    slowed = (1 - blend) * frequencies / scaling["factor"] + blend * frequencies
    return slowed.astype(np.float32)
