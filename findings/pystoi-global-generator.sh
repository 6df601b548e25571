#!/bin/sh
# pystoi 0.4.1 (with NumPy 2.3.5 and SciPy 1.16.3): extended STOI depends on NumPy's global generator.
#
# A guess from memory: an intelligibility measure is a function of the two waveforms, and what it adds
# to avoid divisions by zero (2.2e-16) cannot be seen.
# So it is: `stoi(x, y, fs, extended=True)` adds that from np.random.standard_normal, and then divides
# each row by its norm: where the second waveform is silent, what is correlated is nothing but noise.
# One waveform pair gives another number in every call, it draws from the caller's generator, and a
# placeholder of 1e-5, not an error, stands for waveforms of less than 30 frames, equal or not.
#
# Output seen (the two distances vary from run to run):
#   plain STOI: 1 number in 5 calls
#   ESTOI, second waveform with a silent half: 5 numbers in 5 calls, apart by 5.0e-03
#   ESTOI, second waveform silent: 5 numbers in 5 calls, apart by 3.7e-03
#   ESTOI after np.random.seed(0): 1 number in 5 calls
#   the caller's next random number changed: True
#   perfect copy of 0.3 s: 1e-05
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pystoi==0.4.1 numpy==2.3.5 scipy==1.16.3
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
from pystoi import stoi

rate, time = 16_000, np.arange(32_000) / 16_000
voice = np.sin(2 * np.pi * 150 * time) * (1 + np.sin(2 * np.pi * 4 * time)) * 0.2
voice += 0.02 * np.random.default_rng(0).standard_normal(len(voice))
half = np.where(time < 1, voice, 0)


def calls(second, extended, seeded=False):
    found = []
    for _ in range(5):
        if seeded:
            np.random.seed(0)
        found.append(float(stoi(voice, second, rate, extended=extended)))
    return found


plain, partly, silent = calls(half, False), calls(half, True), calls(0 * voice, True)
fixed = calls(half, True, seeded=True)
np.random.seed(1)
untouched = np.random.random()
np.random.seed(1)
stoi(voice, half, rate, extended=True)
moved = np.random.random() != untouched
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    short = float(stoi(voice[:4800], voice[:4800], rate))

print(f"plain STOI: {len(set(plain))} number in 5 calls")
print(f"ESTOI, second waveform with a silent half: {len(set(partly))} numbers in 5 calls,"
      f" apart by {np.ptp(partly):.1e}")
print(f"ESTOI, second waveform silent: {len(set(silent))} numbers in 5 calls, apart by {np.ptp(silent):.1e}")
print(f"ESTOI after np.random.seed(0): {len(set(fixed))} number in 5 calls")
print(f"the caller's next random number changed: {moved}")
print(f"perfect copy of 0.3 s: {short}")
assert len(set(plain)) == len(set(fixed)) == 1
assert len(set(partly)) == len(set(silent)) == 5
assert np.ptp(partly) > 1e-5 and moved and short == 1e-5
PYTHON
