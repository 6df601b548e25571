#!/bin/sh
# PyAV 18.1.0 and 19.0.2 (PYTHON=python3.12 or newer): titles in Latin-1 end av.open, or the cure does.
#
# Windows programs write titles in the code page of their country. Up to PyAV 18, av.open raises
# UnicodeDecodeError at such a file, though nobody asked for its title; metadata_errors="ignore" opens
# it. PyAV 19 opens any, with what it cannot decode as lone surrogates that no UTF-8 file or JSON
# answer takes; and metadata_errors, without which older ones fail, is a TypeError.
#
# Seen:
#   18.1.0 plain   UnicodeDecodeError
#   18.1.0 ignore  'caf '
#   19.0.2 plain   'caf\udce9 '
#   19.0.2 ignore  TypeError
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
cd "$work"
cat > open.py <<'PY'
import io
import struct
import sys

import av

title = b"INFOINAM" + struct.pack("<I", 6) + "café".encode("latin-1") + b" \0"
chunks = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
chunks += b"LIST" + struct.pack("<I", len(title)) + title
chunks += b"data" + struct.pack("<I", 32000) + bytes(32000)
wav = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def outcome(**how):
    try:
        with av.open(io.BytesIO(wav), **how) as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) == 16000
            return ascii(container.metadata["title"])
    except (UnicodeDecodeError, TypeError) as problem:
        return type(problem).__name__


found = outcome(), outcome(metadata_errors="ignore")
print(sys.argv[1], "plain ", found[0])
print(sys.argv[1], "ignore", found[1])
expected = {
    "18.1.0": ("UnicodeDecodeError", "'caf '"),
    "19.0.2": (r"'caf\udce9 '", "TypeError"),
}
assert found == expected[sys.argv[1]]
PY
for version in 18.1.0 19.0.2; do
    "$work/venv/bin/pip" install -q av==$version
    "$work/venv/bin/python" open.py $version
done
