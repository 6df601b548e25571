#!/bin/bash
# tokenizers 0.23.3: an added token with a Latin-1 letter does not survive decoding.
#
# A byte-level tokenizer (GPT-2, Llama 3, Qwen) gets the added token "né". Text with it is encoded
# to that one token; decoded, it is "n" and U+FFFD: the decoder maps every character that is in the
# byte-level alphabet back to a byte, and takes é for the byte 0xE9. Other scripts, such as "日本",
# come back whole, since their characters are not in the alphabet, and so does "né" as plain text.
#
# Seen:
#   né -> 'n\ufffd'   日本 -> '日本'   ascii -> 'ascii'   plain né -> 'né'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tokenizers==0.23.3
"$folder/venv/bin/python" - <<'END'
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {character: id for id, character in enumerate(alphabet)}


def made(*added):
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    return tokenizer


def back(tokenizer, text):
    return tokenizer.decode(tokenizer.encode(text).ids)


added = made("né", "日本", "ascii")
seen = {text: back(added, text) for text in ("né", "日本", "ascii")}
plain = back(made(), "né")
print(*(f"{text} -> {decoded!r}" for text, decoded in seen.items()), f"plain né -> {plain!r}")
assert seen == {"né": "n\ufffd", "日本": "日本", "ascii": "ascii"}
assert plain == "né"
END
