#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), run 2026-11-28.
#
# GSM 6.10 in WAV has blocks of 65 bytes and 320 samples. An odd number of them is padded to an even
# size, and libsndfile takes the byte of padding for one more block: 40 ms that were never recorded,
# decoded from what is left of the block before. The fact chunk states the right number. With an even
# number of blocks nothing is added.
#
# Output seen:
#   written 8000 fact 8000 libsndfile 8320
#   written 16000 fact 16000 libsndfile 16000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q soundfile==0.14.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import io

import numpy as np
import soundfile

for seconds in (1, 2):
    samples = 8000 * seconds
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(samples), 8000, format="WAV", subtype="GSM610")
    content = buffer.getvalue()
    place = content.index(b"fact") + 8
    fact = int.from_bytes(content[place : place + 4], "little")
    heard = len(soundfile.read(io.BytesIO(content))[0])
    print("written", samples, "fact", fact, "libsndfile", heard)
PY
diff - "$work/out" <<'SEEN'
written 8000 fact 8000 libsndfile 8320
written 16000 fact 16000 libsndfile 16000
SEEN
