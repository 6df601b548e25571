"""GGUF: text is split by llama.cpp itself as by the tokenizer, or the model is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from paths import HELPERS
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from xcodec2.errors import LlasaError
from xcodec2.llasa.export.gguf import add_weight, write_gguf
from xcodec2.llasa.export.pre_tokenizer import pre_tokenizer_name
from xcodec2.llasa.lm import BUNDLED, LanguageModel, LlasaMetadata, load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.vocabulary import extend_tokenizer

# as they stand in the tokenizer.json of Llama 3 and of Qwen 2
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEXT = (
    "It's 12345 o'clock; DON'T count 2026 to 99,999.50 twice!!  Two  spaces,\n\n  lines\r\n\t tabs "
    "x=y+3 (ab) 'quoted' ... naïve café 你好 нет 1st 22nd 333rd 4444 don't we'll I'M he'd\n"
    "\n\n end "
)


def split(regex: str) -> Any:
    return pre_tokenizers.Split(Regex(regex), "isolated")


def byte_level(use_regex: bool = True, space: bool = False) -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=use_regex)


WAYS = {
    "gpt-2": [byte_level()],
    "llama-bpe": [split(LLAMA3), byte_level(use_regex=False)],
    "qwen2": [split(QWEN2), byte_level(use_regex=False)],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level()],
}


def trained(steps: list[Any], ignore_merges: bool = False, normalizer: Any = None) -> Any:
    """A tokenizer whose merges, learned from long pieces, show where text is split."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    extend_tokenizer(fast, 4)
    return fast


def as_lm(tokenizer: Any) -> LanguageModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    return LanguageModel("mine", model, Prompts.of(tokenizer), LlasaMetadata())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Any, str]]]:
    """Each tokenizer with the address where llama.cpp has it."""
    folder = tmp_path_factory.mktemp("gguf")
    tokenizers = {name: trained(steps) for name, steps in WAYS.items()}
    tokenizers["llama-bpe"] = trained(WAYS["llama-bpe"], ignore_merges=True)
    for name, tokenizer in tokenizers.items():
        write_gguf(as_lm(tokenizer), folder / f"{name}.gguf")
    script = HELPERS / "llama_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), *(str(folder / f"{name}.gguf") for name in tokenizers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        addresses = [process.stdout.readline().strip() for _ in tokenizers]
        assert all(addresses), "llama.cpp did not load the models"
        yield dict(zip(tokenizers, zip(tokenizers.values(), addresses, strict=True), strict=True))
    finally:
        process.communicate(timeout=20)


@pytest.mark.parametrize("name", WAYS)
def test_llama_cpp_splits_text_as_the_tokenizer_does(served, name):
    tokenizer, address = served[name]
    assert pre_tokenizer_name(tokenizer, "mine") == name
    for text in (TEXT, "123456 ab", "don't DON'T", "a\n\n\nb  c", "<|s_3|> x"):
        body = json.dumps({"content": text, "add_special": False}).encode()
        request = urllib.request.Request(f"{address}/tokenize", body)
        with urllib.request.urlopen(request, timeout=10) as response:
            tokens = json.load(response)["tokens"]
        assert tokens == tokenizer(text, add_special_tokens=False)["input_ids"], text


def test_the_ways_differ_on_this_text():
    """Else the test above would not tell a wrong name."""
    pieces = {
        name: tuple(piece for piece, _ in pre_tokenizers.Sequence(steps).pre_tokenize_str(TEXT))
        for name, steps in WAYS.items()
    }
    assert len(set(pieces.values())) == 4


def test_the_bundled_model_is_named_as_it_is():
    assert pre_tokenizer_name(load_tokenizer(BUNDLED), "bundled") == "gpt-2"


@pytest.mark.parametrize(
    ("steps", "normalizer", "words"),
    [
        ([split(r"\p{N}{1,4}"), byte_level(use_regex=False)], None, "no way to split"),
        ([split(LLAMA3), byte_level(use_regex=True)], None, "no way to split"),
        ([byte_level(use_regex=False)], None, "no way to split"),
        ([byte_level(space=True)], None, "no way to split"),
        ([pre_tokenizers.Whitespace()], None, "Whitespace"),
        ([byte_level()], normalizers.Lowercase(), "Lowercase, ByteLevel"),
    ],
)
def test_other_ways_are_refused_before_anything_is_written(tmp_path, steps, normalizer, words):
    lm = as_lm(trained(steps, normalizer=normalizer))
    with pytest.raises(LlasaError, match=words):
        write_gguf(lm, tmp_path / "a.gguf")
    assert not list(tmp_path.iterdir())


def test_another_order_of_merges_is_refused():
    """llama.cpp takes whole words of the vocabulary first with Llama 3's splitting."""
    vocabulary = {character: id for id, character in enumerate("abcd")}
    vocabulary |= {"ab": 4, "bc": 5, "abc": 6, "<|end|>": 7}
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]  # "abc" is never reached: a, bc
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(WAYS["llama-bpe"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    with pytest.raises(LlasaError, match="in another order"):
        pre_tokenizer_name(fast, "mine")


def test_tokenizers_that_are_no_byte_level_bpe_are_refused():
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0})))
    with pytest.raises(LlasaError, match="only byte-level BPE"):
        pre_tokenizer_name(words, "mine")
    fallback = models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], byte_fallback=True)
    llama2 = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(fallback))
    with pytest.raises(LlasaError, match="only byte-level BPE"):
        pre_tokenizer_name(llama2, "mine")


def test_eight_bits_are_within_half_a_step_of_the_weights(tmp_path):
    lm = as_lm(trained(WAYS["gpt-2"]))
    write_gguf(lm, tmp_path / "q8.gguf", q8=True)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "q8.gguf").tensors}
    weights = lm.model.state_dict()
    down = weights["model.layers.0.mlp.down_proj.weight"].numpy()
    stored = found["blk.0.ffn_down.weight"]
    assert stored.tensor_type == gguf.GGMLQuantizationType.Q8_0
    blocks = down.reshape(-1, 32)
    step = np.abs(blocks).max(1, keepdims=True) / 127
    off = np.abs(gguf.dequantize(stored.data, stored.tensor_type).reshape(-1, 32) - blocks)
    assert (off <= step * 0.51 + np.abs(blocks) * 2**-10).all()
    assert found["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    with pytest.raises(LlasaError, match="one of the two"):
        write_gguf(lm, tmp_path / "other.gguf", full=True, q8=True)
    assert [path.name for path in tmp_path.iterdir()] == ["q8.gguf"]


def test_rows_that_are_no_whole_blocks_are_float16():
    class Written:
        def add_tensor(self, name, array, **settings):
            self.array, self.settings = array, settings

    writer = Written()
    add_weight(writer, "odd", np.ones((4, 48), np.float32), full=False, q8=True)
    assert writer.array.dtype == np.float16
    assert writer.settings == {}
