#!/bin/sh
# pesq 0.0.4 (with NumPy 1.26.4): 10 ms of delay can cost more than a codec's noise.
#
# A guess from memory: P.862 aligns the two signals in time before it compares them, so that a delay
# does not matter; and a silent degraded signal gets the lowest score.
# So it is: a copy of regular syllables that is 10 ms late falls from 4.64 to 2.84 (of recorded speech
# by about .1), and a silent degraded signal is an error,
# a ValueError of a conversion from NaN and none of pesq's own error classes.
#
# Output seen:
#   copy: 4.64
#   copy, 10 ms late: 2.84
#   silent: ValueError cannot convert float NaN to integer
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pesq==0.0.4 numpy==1.26.4
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from pesq import PesqError, pesq

rate, seconds = 16_000, 4
time = np.arange(seconds * rate) / rate
pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time)
phase = 2 * np.pi * np.cumsum(pitch) / rate
loudness = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, None)  # syllables and pauses
voice = sum(np.sin(k * phase) / k for k in range(1, 25)) * loudness * 0.1
late = np.concatenate([np.zeros(160), voice[:-160]])

same, delayed = pesq(rate, voice, voice, "wb"), pesq(rate, voice, late, "wb")
print(f"copy: {same:.2f}\ncopy, 10 ms late: {delayed:.2f}")
try:
    pesq(rate, voice, 0 * voice, "wb")
    raised = None
except Exception as problem:
    raised = problem
print(f"silent: {type(raised).__name__} {raised}")
assert same > 4.6 and delayed < same - 1
assert isinstance(raised, ValueError) and not isinstance(raised, PesqError)
PYTHON
