#!/usr/bin/env bash
# hibari-tts 0.2.1 (PyPI), its grapheme-to-phoneme part, on Python 3.10 and newer.
#
# A word whose letters its net for unknown words has not seen is read as nothing, without an error or
# a warning: "Ý" and "ế" vanish from the sentence. A leading apostrophe becomes a quotation mark
# among the phonemes ("'tis" → "”tˈiz"), and "Zoë" is read "zˈɑɛ", though "Zoe" is in its lexicon.
# Whoever wants every word heard has to look at each token's phonemes.
#
# Output seen:
#   'say Ý now' -> 'sˈA  nˈW'
#   'say ế now' -> 'sˈA  nˈW'
#   "'tis" -> '”tˈiz'
#   'Zoë' -> 'zˈɑɛ'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q hibari-tts==0.2.1
"$folder/venv/bin/python" - <<'PYTHON'
from hibari.g2p import G2P

read = G2P()
expected = {
    "say Ý now": "sˈA  nˈW",
    "say ế now": "sˈA  nˈW",
    "'tis": "”tˈiz",
    "Zoë": "zˈɑɛ",
}
seen = {text: read(text, normalize_text=False) for text in expected}
for text, phonemes in seen.items():
    print(f"{text!r} -> {phonemes!r}")
raise SystemExit(seen != expected)
PYTHON
