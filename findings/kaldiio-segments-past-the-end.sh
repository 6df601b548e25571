#!/usr/bin/env bash
# kaldiio 2.18.1: parts of recordings by Kaldi's `segments`.
#
# Where a segment does not fit, nothing is said: one that reaches past the end comes out short, one
# that begins past the end, or ends before it begins, comes out without a single sample. Kaldi's own
# extract-segments, which the class says to emulate, leaves such segments out with a warning.
# Times are cut down to samples and not rounded, so that 2.01 s at 16 kHz, which is sample 32,160,
# starts at 32,159, and the second from there has 16,001 samples. The channel that Kaldi allows in a
# fifth field is a RuntimeError.
#
# Output seen:
#   fits: 16000 samples from 16000
#   reaches-past-the-end: 8000 samples from 72000
#   begins-past-the-end: 0 samples
#   ends-before-it-begins: 0 samples
#   on-the-grid-of-10-ms: 16001 samples from 32159
#   with-a-channel: RuntimeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet kaldiio==2.18.1 "numpy<3"
cat > try.py <<'PYTHON'
import wave

import kaldiio
import numpy as np

rate = 16_000
samples = np.arange(5 * rate) % 30_000
with wave.open("a.wav", "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(samples.astype("<i2").tobytes())
with open("wav.scp", "w") as file:
    file.write("recording a.wav\n")
segments = {
    "fits": "1.0 2.0",
    "reaches-past-the-end": "4.5 6.0",
    "begins-past-the-end": "7.0 8.0",
    "ends-before-it-begins": "2.0 1.0",
    "on-the-grid-of-10-ms": "2.01 3.01",
    "with-a-channel": "1.0 2.0 0",
}
for name, times in segments.items():
    with open("segments", "w") as file:
        file.write(f"{name} recording {times}\n")
    try:
        found = kaldiio.load_scp("wav.scp", segments="segments")[name][1]
    except Exception as problem:
        print(f"{name}: {type(problem).__name__}")
        continue
    near = int(float(times.split()[0]) * rate)
    starts = (n for n in range(near - 1, near + 2) if len(found) and samples[n] == found[0])
    at = next(starts, None)
    print(f"{name}: {len(found)} samples" + ("" if at is None else f" from {at}"))
PYTHON
venv/bin/python try.py | tee out
diff out - <<'SEEN'
fits: 16000 samples from 16000
reaches-past-the-end: 8000 samples from 72000
begins-past-the-end: 0 samples
ends-before-it-begins: 0 samples
on-the-grid-of-10-ms: 16001 samples from 32159
with-a-channel: RuntimeError
SEEN
