#!/bin/bash
# llama.cpp as in xllamacpp 2026.10.11549: how text is split before merging is a name in the file.
#
# tokenizer.json has a regular expression; a GGUF file has `tokenizer.ggml.pre`, the name of one of
# those that are built in. One vocabulary with its merges is written twice, as "gpt-2" and as
# "llama-bpe": both load without a word, and tokenize the same text differently. tokenizers 0.23.3
# with GPT-2's splitting, which the vocabulary was trained with, agrees with the first only.
#
# Seen, of "It's 12345 o'clock" (any number of digits is one piece for GPT-2, three for Llama 3):
#   tokenizers  It 's Ġ12345 Ġo ' clock
#   gpt-2       It 's Ġ12345 Ġo ' clock
#   llama-bpe   It 's Ġ 12 3 4 5 Ġo ' clock
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q xllamacpp==2026.10.11549 gguf==0.19.0 numpy==2.4.6 tokenizers==0.23.3
cd "$folder"
venv/bin/python - <<'END' 2> log || { tail -5 log; exit 1; }
import json
import urllib.request

import gguf
import numpy as np
import xllamacpp
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

def write_model(path, tokens, types, merges, pre):
    """A Llama of one layer with random weights for these tokens."""
    random = np.random.default_rng(0)
    width, rows = 32, len(tokens)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(width // 2)
    writer.add_vocab_size(rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(rows - 1)
    writer.add_add_bos_token(False)
    writer.add_tensor("token_embd.weight", random.normal(0, 0.05, (rows, width)).astype("f4"))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        weight = random.normal(0, 0.1, (width, width)).astype("f4")
        writer.add_tensor(f"blk.0.{name}.weight", weight)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, "f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def served(path):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 256
    params.cpuparams.n_threads = 1
    params.warmup = False
    return xllamacpp.Server(params)


def post(server, path, body):
    data = json.dumps(body).encode()
    with urllib.request.urlopen(server.listening_address + path, data, timeout=60) as answer:
        return json.load(answer)


TEXT = "It's 12345 o'clock"
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
tokenizer.train_from_iterator([TEXT] * 3, trainer)
facts = json.loads(tokenizer.to_str())["model"]
tokens = [*sorted(facts["vocab"], key=facts["vocab"].get), "<|end|>"]
types = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
merges = [" ".join(merge) for merge in facts["merges"]]
seen = {"tokenizers": tokenizer.encode(TEXT).tokens}
servers = []
for name in ("gpt-2", "llama-bpe"):
    write_model(f"{name}.gguf", tokens, types, merges, name)
    servers.append(served(f"{name}.gguf"))
    ids = post(servers[-1], "/tokenize", {"content": TEXT})["tokens"]
    seen[name] = [tokens[id] for id in ids]
print("\n".join(f"{name} {' '.join(pieces)}" for name, pieces in seen.items()))
assert seen["gpt-2"] == seen["tokenizers"] != seen["llama-bpe"]
END
