"""The compiled forward pass and what is read without transformers: equal to transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from talkers import base_tokenizer, prompts, small_llama, speech_tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from xcodec2.cli import xcodec2
from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.decoding import library, llama
from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.decoding.causal import TransformersDecoder
from xcodec2.llasa.decoding.files import read_llama
from xcodec2.llasa.decoding.llama import LlamaDecoder
from xcodec2.llasa.decoding.load import decoder_of
from xcodec2.llasa.decoding.numbers import Numbers
from xcodec2.llasa.decoding.scan import Scan
from xcodec2.llasa.decoding.shape import LlamaShape
from xcodec2.llasa.lm import BUNDLED, load_for_speech, load_lm, load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.tokenizer_file import read_tokenizer

pytestmark = pytest.mark.skipif(
    library.load_llama() is None, reason="the forward pass was not compiled"
)
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SAID = (
    "ðə lˈidəɹ hæz lˈɛft ðə kˈɑnfəɹəns.",
    "plˈiz hˈOld.",
    "wˈizᵊlz hæv ˈitᵊn ˈWəɹ fˈOn sˈɪstəm.",
)
SHAPES = {
    "plain": {},
    "grouped queries, tied": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "other heads": {
        "head_dim": 20,
        "hidden_size": 72,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
    },
    "biases, no whole panels": {
        "attention_bias": True,
        "mlp_bias": True,
        "intermediate_size": 75,
        "hidden_size": 72,
    },
    "Llama 3": {"rope_parameters": LLAMA3, "num_key_value_heads": 1},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    "whole chunks": {"hidden_size": 128, "intermediate_size": 320, "rms_norm_eps": 1e-3},
}


def random_llama(**changes: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    settings = {
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        **changes,
    }
    model = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def largest_difference(one, other, pieces: list[np.ndarray]) -> float:
    """Of the scores of two decoders that read the same pieces, in deviations of a score."""
    choices = Choices(np.arange(3, 290))
    states = one.new_state(), other.new_state()
    worst = 0.0
    for piece in pieces:
        a, b = (
            decoder.scores(decoder.advance([state], [piece]), choices)
            for decoder, state in zip((one, other), states, strict=True)
        )
        worst = max(worst, float(np.abs(a - b).max() / b.std()))
    return worst


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_transformers(shape):
    model = random_llama(**SHAPES[shape])
    ids = np.random.default_rng(0).integers(300, size=400)
    pieces = np.split(ids, [1, 2, 9, 130, 131, 391, 392])  # single tokens, and across PREFILL
    decoder = decoder_of(model)
    assert isinstance(decoder, LlamaDecoder)
    assert largest_difference(decoder, TransformersDecoder(model), pieces) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_the_size_stay_so_with_the_same_scores(dtype):
    model = random_llama(num_key_value_heads=2)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()
    decoder = decoder_of(model)
    assert decoder.kept[0].panels.dtype.itemsize == decoder.embedding.array.itemsize == 2
    ids = np.random.default_rng(1).integers(300, size=90)
    assert largest_difference(decoder, TransformersDecoder(model), np.split(ids, [1, 60])) < 1e-4


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(llama, "LARGE", 0)
    decoder, choices = decoder_of(random_llama()), Choices(np.arange(300))
    seen = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        state = decoder.new_state()
        read = [np.arange(40), np.array([7])]
        seen.append([decoder.scores(decoder.advance([state], [ids]), choices) for ids in read])
    assert np.array_equal(seen[0], seen[1])
    assert all(np.array_equal(seen[0], other) for other in seen[2:])


@pytest.mark.parametrize("kind", ["few stand out", "all alike", "equal rows"])
def test_the_likeliest_is_found_by_bounds_as_by_all_products(kind):
    values = torch.Generator().manual_seed(0)
    lengths = 3 * 0.6 ** torch.arange(64)  # most of what differs is in a quarter of the numbers
    rows = torch.randn(5000, 64, generator=values) * lengths + 1
    if kind == "all alike":
        rows = torch.ones(5000, 64) + 1e-4 * torch.randn(5000, 64, generator=values)
    if kind == "equal rows":
        rows[2500:] = rows[:2500]
    numbers = Numbers.of(rows)
    weight = library.Weight(numbers)
    scan, found = Scan(numbers, np.arange(len(rows)), weight), 0
    asked = torch.randn(200, 64, generator=values).numpy()
    for some in np.split(asked, [1, 2, 5, 60, 61]):  # more than a block at once, too
        places, best = scan.likeliest(some), weight.product(some, 1).argmax(-1)
        found += int((places >= 0).sum())
        assert np.array_equal(places, np.where(places < 0, -1, best))
    assert found == 0 if kind == "all alike" else found > 150


def test_greedy_sequences_alone_are_what_they_are_among_many():
    """Many are bounded together."""
    lm = load_for_speech()
    asked = [lm.prompts.prompt(sounds) for sounds in SAID]
    together = InProcess(lm).generate(
        asked, [0] * len(SAID), Sampling(temperature=0, max_tokens=60)
    )
    (alone,) = InProcess(lm).generate(asked[2:3], [0], Sampling(temperature=0, max_tokens=60))
    assert alone.codes.tolist() == together[2].codes.tolist()
    (_, scan), *_ = lm.decoder.scans.values()
    assert scan is not None
    assert scan.in_vain < 0


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "mistral"},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}},
        {"quantization_config": {"bits": 4}},
        {"architectures": ["LlamaForSequenceClassification"]},
        {"hidden_size": None},
    ],
)
def test_what_is_no_plain_llama_is_left_to_transformers(changes):
    config = random_llama().config.to_dict()
    assert LlamaShape.of(config) is not None
    assert LlamaShape.of(config | changes) is None


# --- from files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("size", ["50GB", "10KB"])  # one file or several
def test_a_folder_is_read_without_transformers_with_the_same_scores(tmp_path, tied, size):
    small_llama(tied=tied, seed=3).half().save_pretrained(tmp_path, max_shard_size=size)
    speech_tokenizer().save_pretrained(tmp_path)
    light, full = load_for_speech(tmp_path), load_lm(tmp_path)
    assert light.model is None
    assert light.context == full.context
    assert light.decoder.embedding.array.dtype == np.float16
    prompt = full.prompts.prompt("the very same")
    assert light.prompts.prompt("the very same").tolist() == prompt.tolist()
    a, b = (
        lm.decoder.scores(lm.decoder.advance([lm.decoder.new_state()], [prompt]), lm.speech)
        for lm in (light, full)
    )
    assert np.array_equal(a, b)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells it")
def test_weights_that_were_laid_out_do_not_stay_in_memory_as_the_file_too(tmp_path):
    model = random_llama(num_hidden_layers=8, hidden_size=256, intermediate_size=512)
    model.save_pretrained(tmp_path)
    decoder = read_llama(tmp_path)
    assert decoder is not None
    mapped = Path("/proc/self/smaps").read_text().partition(str(tmp_path))[2]
    resident = 1024 * int(mapped.partition("Rss:")[2].split()[0])
    assert resident < (tmp_path / "model.safetensors").stat().st_size / 4


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape", "cut"])
def test_damaged_weights_are_named_by_the_one_loader(tmp_path, damage):
    model = small_llama(tied=False)
    model.save_pretrained(tmp_path)
    speech_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        config = json.loads((tmp_path / "config.json").read_text())
        change = {
            "missing": {"num_hidden_layers": 3},
            "unexpected": {"num_hidden_layers": 1},
            "shape": {"intermediate_size": 96},
        }
        (tmp_path / "config.json").write_text(json.dumps(config | change[damage]))
    assert read_llama(tmp_path, torch.float32) is None
    with pytest.raises(LlasaError):
        load_for_speech(tmp_path)


def test_the_bundled_tokenizer_is_read_as_transformers_reads_it():
    light, full = read_tokenizer(BUNDLED), load_tokenizer(None)
    assert light is not None
    mine, theirs = Prompts.of(light), Prompts.of(full)
    assert light.get_vocab() == full.get_vocab()
    assert mine.control == theirs.control
    for text in (SAID[0], "a <|s_5|> — ☃ 3½"):
        assert mine.prompt(text).tolist() == theirs.prompt(text).tolist()
    with pytest.raises(LlasaError, match="control token"):
        mine.prompt("a <|end|>")


def test_templates_of_llama_3_are_rendered_as_transformers_renders_them(tmp_path):
    speech_tokenizer().save_pretrained(tmp_path)
    light, full = read_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert light is not None
    mine, theirs = Prompts.of(light), prompts()
    assert mine.prompt("that", "this", np.arange(9)).tolist() == (
        theirs.prompt("that", "this", np.arange(9)).tolist()
    )
    assert light.unk_token_id == full.unk_token_id
    assert len(light) == len(full)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("tokenizer_config.json", "tokenizer_class", "Qwen2Tokenizer"),
        ("tokenizer_config.json", "add_prefix_space", True),
        ("tokenizer_config.json", "unk_token", "<new>"),
        ("tokenizer_config.json", "auto_map", {"AutoTokenizer": "code.py"}),
        ("added_tokens.json", "<new>", 999),
    ],
)
def test_tokenizers_that_need_more_than_their_file_are_left_to_transformers(
    tmp_path: Path, file, key, value
):
    base_tokenizer().save_pretrained(tmp_path)
    assert read_tokenizer(tmp_path) is not None
    path = tmp_path / file
    facts = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(facts | {key: value}))
    assert read_tokenizer(tmp_path) is None


@pytest.mark.slow
def test_speaking_does_not_import_transformers():
    """It takes longer than a sentence."""
    code = (
        "import sys; from xcodec2.llasa import Speaker; "
        "Speaker.from_pretrained().speak('Good.'); "
        "print([m for m in ('transformers', 'jinja2.compiler') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['jinja2.compiler']"


def test_a_model_that_could_say_nothing_is_told(tmp_path):
    """On a phoneme track, the first tokens are none of sound."""
    out = tmp_path / "a.wav"
    done = CliRunner().invoke(xcodec2, ["speak", "Hello.", "--max-tokens", "2", "-o", str(out)])
    assert isinstance(done.exception, LlasaError)
    assert "said nothing: allow more tokens" in str(done.exception)
    assert not out.exists()


def test_the_command_speaks_without_pytorch(tmp_path):
    code = (
        "import sys; from xcodec2.cli import main\n"
        "try: main()\nfinally: assert 'torch' not in sys.modules"
    )
    asked = ["speak", "Your passwords have been changed.", "--max-tokens", "30"]
    out = tmp_path / "three.wav"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, *asked, "-o", out], check=True)
    assert out.stat().st_size > 44 + 2 * 1600  # a tenth of a second
