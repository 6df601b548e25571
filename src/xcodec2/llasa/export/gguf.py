"""A Llama that speaks, as a GGUF file for llama.cpp.

Weights by transformers' names become GGUF's; query and key rows are interleaved, since llama.cpp
rotates pairs of neighbors where transformers rotates halves. Codes are tokens that llama.cpp
prints as text; the end of speech ends generation.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xcodec2.errors import LlasaError
from xcodec2.llasa.export.pre_tokenizer import pre_tokenizer_name
from xcodec2.llasa.lm import LanguageModel

LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(
    lm: LanguageModel, path: str | Path, *, full: bool = False, q8: bool = False
) -> None:
    """Write a language model as GGUF, whole or not at all.

    Args:
        lm: A Llama with a byte-level BPE tokenizer that splits text in a way llama.cpp has.
        path: The file.
        full: float32 weights; float16 without.
        q8: Weights as 8-bit numbers that share a scale by 32 (Q8_0); tokens may change.

    Raises:
        LlasaError: For any other model or tokenizer, and for weights of both types.
    """
    import gguf

    if full and q8:
        raise LlasaError("weights are either float32 or 8-bit: ask for one of the two")

    config = lm.model.config
    rope: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    known_rope = rope.get("rope_type", "default") in ("default", "llama3")
    if config.model_type != "llama" or not known_rope:
        raise LlasaError(
            f"{lm.name}: only Llama models are written as GGUF, not {config.model_type}"
        )
    splitting = pre_tokenizer_name(lm.prompts.tokenizer, lm.name)
    temporary = Path(path).with_name(f".{Path(path).name}.tmp")
    writer = gguf.GGUFWriter(temporary, "llama")
    try:
        add_settings(writer, config, rope)
        add_tokens(writer, lm, splitting)
        for name, tensor in lm.model.state_dict().items():
            if name == "lm_head.weight" and config.tie_word_embeddings:
                continue
            array = converted(name, tensor.float(), config).numpy()
            add_weight(writer, gguf_name(name), array, full or array.ndim == 1, q8)
        if rope.get("rope_type") == "llama3":
            writer.add_tensor("rope_freqs.weight", llama3_factors(rope, config.head_dim))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(temporary, path)
    except OSError as problem:
        raise LlasaError(f"{path}: cannot be written ({problem})") from problem
    finally:
        temporary.unlink(missing_ok=True)


def add_weight(writer: Any, name: str, array: np.ndarray, full: bool, q8: bool) -> None:
    """One weight in the type that is asked for: float32, float16, or Q8_0 where its rows are whole
    blocks of it.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quantize

    kind = GGMLQuantizationType.Q8_0
    if q8 and not full and array.shape[-1] % GGML_QUANT_SIZES[kind][0] == 0:
        writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, array.astype(np.float32 if full else np.float16))


def gguf_name(name: str) -> str:
    """model.layers.3.mlp.up_proj.weight → blk.3.ffn_up.weight; LlasaError for a weight that has no
    counterpart.
    """
    stem, _, kind = name.rpartition(".")
    if stem in NAMES:
        return f"{NAMES[stem]}.{kind}"
    parts = stem.split(".", 3)
    if parts[:2] == ["model", "layers"] and parts[3] in LAYER_NAMES:
        return f"blk.{parts[2]}.{LAYER_NAMES[parts[3]]}.{kind}"
    raise LlasaError(f"{name}: GGUF has no place for this weight")


def converted(name: str, tensor: torch.Tensor, config: Any) -> torch.Tensor:
    """Query and key rows: (heads, 2 halves, d/2, …) → (heads, d/2, 2, …); all else as it is."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(
        name.split(".")[-2]
    )
    if heads is None:
        return tensor
    rows = tensor.shape[0]
    split = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])
    return split.transpose(1, 2).reshape(tensor.shape).contiguous()


def add_settings(writer: Any, config: Any, rope: dict[str, Any]) -> None:
    """Write the sizes of a Llama under GGUF's keys."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def add_tokens(writer: Any, lm: LanguageModel, splitting: str) -> None:
    """The tokenizer, byte-level BPE with llama.cpp's name of its splitting.

    Codes are tokens of the user's, which are printed; marks control.
    """
    from gguf import TokenType

    tokenizer, vocabulary = lm.prompts.tokenizer, lm.prompts.vocabulary
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    users = set(vocabulary.code_ids.tolist()) | set(tokenizer.get_added_vocab().values())
    names = {id: name for name, id in tokenizer.get_vocab().items()}
    tokens, types = [], []
    for id in range(lm.model.config.vocab_size):
        tokens.append(names.get(id, f"[PAD{id}]"))
        if id not in names:
            types.append(TokenType.UNUSED)
        elif id in special:
            types.append(TokenType.CONTROL)
        else:
            types.append(TokenType.USER_DEFINED if id in users else TokenType.NORMAL)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    writer.add_eos_token_id(vocabulary.speech_end)
    writer.add_add_bos_token(False)


def llama3_factors(rope: dict[str, Any], head_dim: int) -> np.ndarray:
    """(d/2,) float32: what each frequency is divided by for the long context of Llama 3.1 and
    later.
    """
    base, factor = float(rope["rope_theta"]), float(rope["factor"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    original = float(rope["original_max_position_embeddings"])
    wavelengths = 2 * np.pi * base ** (np.arange(0, head_dim, 2) / head_dim)
    smooth = np.clip((original / wavelengths - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
