#!/bin/bash
# llama.cpp as in xllamacpp 2026.10.11549: a grammar's string does not ask for the token of that name.
#
# A vocabulary of bytes and of the tokens "<|s_0|>" … "<|s_7|>" (user-defined, so that they are
# printed). With the grammar root ::= "<|s_3|>" the answer reads "<|s_3|>" each time, but is made of
# single characters in some draws: grammars bind characters, not tokens. With root ::= <[259]>, the
# token's id, it is that one token in every draw. For a model whose tokens mean something, such as
# speech codes, the spelled form is another input altogether.
#
# Seen, of 40 draws at temperature 1:
#   string: 40 read <|s_3|>, 20 spelled   id: 40 read <|s_3|>, 0 spelled
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
from tokenizers import pre_tokenizers

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


CODE, NORMAL, CONTROL = "<|s_3|>", gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokens = [*letters, *(f"<|s_{i}|>" for i in range(8)), "zq", "<|end|>"]
types = [NORMAL] * 256 + [gguf.TokenType.USER_DEFINED] * 8 + [NORMAL, CONTROL]
write_model("m.gguf", tokens, types, ["z q"], "gpt-2")
server, code = served("m.gguf"), tokens.index(CODE)


def draws(grammar):
    """How many of 40 answers read as the code, and how many are not the one token."""
    read = spelled = 0
    for seed in range(40):
        body = {"prompt": [0, 1], "n_predict": 12, "grammar": grammar, "seed": seed}
        answer = post(server, "/completion", {**body, "temperature": 1.0, "return_tokens": True})
        read += answer["content"] == CODE
        spelled += [token for token in answer["tokens"] if token != tokens.index("<|end|>")] != [code]
    return read, spelled


by_string, by_id = draws(f'root ::= "{CODE}"'), draws(f"root ::= <[{code}]>")
for name, (read, spelled) in (("string", by_string), ("id", by_id)):
    print(f"{name}: {read} read {CODE}, {spelled} spelled")
assert by_string[0] == 40 and by_string[1] > 5, by_string
assert by_id == (40, 0), by_id
END
