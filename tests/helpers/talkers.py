"""Small tokenizers and language models that have what Llama 3's have, and a codec of 64 codes to go
with them.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from tiny import XCODEC2, random_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from xcodec2 import XCodec2Model
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.prepare import prepare
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.train import train
from xcodec2.llasa.vocabulary import extend_tokenizer

CODEBOOK = 64
# : In the manner of Llama 3's own template, with its quirks: a date that is today's when not given,
# trimmed contents.
LLAMA3_TEMPLATE = """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}{{- "Today Date: " + date_string + "\\n\\n" }}\
{{- "<|eot_id|>" }}
{%- for message in messages %}
{{- "<|start_header_id|>" + message["role"] + "<|end_header_id|>\\n\\n" \
+ message["content"] | trim + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}\
{{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}{%- endif %}"""


def base_tokenizer(
    template: str | None = LLAMA3_TEMPLATE, llama: bool = True
) -> PreTrainedTokenizerFast:
    """Bytes as tokens, and one pair of them; with Llama 3's special tokens, or with an end token
    alone.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id for id, token in enumerate([*alphabet, "th"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>"]
    if llama:
        special = [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ]
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special[0] if llama else None, eos_token=special[-1]
    )
    fast.chat_template = template
    return fast


@functools.cache
def speech_tokenizer(codebook: int = CODEBOOK) -> PreTrainedTokenizerFast:
    tokenizer = base_tokenizer()
    extend_tokenizer(tokenizer, codebook)
    return tokenizer


@functools.cache
def prompts() -> Prompts:
    return Prompts.of(speech_tokenizer())


@functools.cache
def small_codec() -> XCodec2Model:
    """64 codes; what they decode to is noise, a different one for each."""
    return random_model(replace(XCODEC2, levels=(4, 4, 4)))


def small_llama(
    layers: int = 2, width: int = 32, seed: int = 0, tied: bool = True
) -> LlamaForCausalLM:
    """Random weights for `speech_tokenizer()`."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(speech_tokenizer()),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def some_codes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(CODEBOOK, size=count)


THINGS = ("car", "hat", "sun", "day", "cup")
TEXTS = [f"{color} {thing}." for color in ("red", "blue", "old", "new") for thing in THINGS]


FEW = TEXTS[:5]


def utterances(texts: list[str] = FEW) -> dict[str, np.ndarray]:
    """Texts with codes (T,) of their own, of 50 and more."""
    return {text: some_codes(50 + 4 * i, seed=100 + i) for i, text in enumerate(texts)}


TEACHING: dict[str, Any] = {
    "steps": 120,
    "learning_rate": 6e-3,
    "shape": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    },
    "length": 512,
    "batch": 1,
    "save_every": 10_000,
    "log_every": 1000,
    "trainer": {"disable_tqdm": True, "use_cpu": True},
}


def write_utterances(folder: Path, texts: list[str] = FEW) -> Path:
    """Rows of `utterances(texts)`, made by the product's own functions; returns their folder."""
    codec = small_codec()
    metadata = {
        "xcodec2.model": str(codec.model_id),
        "xcodec2.weights_hash": str(codec.weights_hash),
        "xcodec2.codebook_size": str(CODEBOOK),
    }
    fields = [
        ("id", pyarrow.string()),
        ("codes", pyarrow.list_(pyarrow.uint16())),
        ("text", pyarrow.string()),
    ]
    rows = [
        {"id": text, "codes": codes.tolist(), "text": text}
        for text, codes in utterances(texts).items()
    ]
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema(fields, metadata))
    pyarrow.parquet.write_table(table, folder / "codes.parquet")
    tokenizer = base_tokenizer(None, llama=False)
    prepare(folder / "codes.parquet", folder / "rows", tokenizer, length=256, validation=0)
    return folder / "rows"


def teach(folder: Path, texts: list[str] = FEW, **changes: Any) -> Path:
    """A small LM that has learned `utterances(texts)` by heart; returns its folder."""
    rows = write_utterances(folder, texts)
    return train(LlasaRecipe(out=str(folder / "run"), rows=[str(rows)], **{**TEACHING, **changes}))


SAID = [
    ("anna", "wˈʌn."),
    ("bert", "tˈu."),
    ("anna", "θɹˈi."),
    ("anna", "fˈɔɹ."),
    ("bert", "sˈɪks."),
]


def write_track_codes(folder: Path, durations: int = 4) -> Path:
    """Codes with phonemes and durations, of two voices in turn, each with codes of its own."""
    codec = small_codec()
    facts = {
        "xcodec2.model": str(codec.model_id),
        "xcodec2.weights_hash": str(codec.weights_hash),
        "xcodec2.codebook_size": str(CODEBOOK),
    }
    rows = []
    for number, (voice, phonemes) in enumerate(SAID):
        steps = [durations] * (len(phonemes) + 2)
        first = 0 if voice == "anna" else 32
        codes = np.random.default_rng(number).integers(first, first + 32, size=sum(steps))
        rows.append(
            {
                "id": f"{voice}/{number}",
                "voice": voice,
                "text": phonemes,
                "phonemes": phonemes,
                "durations": " ".join(map(str, steps)),
                "codes": codes.tolist(),
            }
        )
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(facts)
    pyarrow.parquet.write_table(table, folder / "codes.parquet")
    return folder / "codes.parquet"
