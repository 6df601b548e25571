#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 (FFmpeg 8), run 2026-11-28.
#
# A Wave64 file may state its kind of samples in a sub-format, as WAVE_FORMAT_EXTENSIBLE does, and the
# ffmpeg command writes float samples so. libsndfile looks at the sub-format in WAV and not in W64:
# 32-bit floats are read as 32-bit integers, noise near full scale without an error, and 64-bit floats
# are refused. FFmpeg reads both. The same file with the kind (3, float) in its first place is read
# rightly by libsndfile, too.
#
# Output seen:
#   float32 libsndfile PCM_32 0.6 away FFmpeg 0.0 away
#   float64 libsndfile LibsndfileError FFmpeg 0.0 away
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 soundfile==0.14.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import io
import struct

import av
import numpy as np
import soundfile

TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
TRUE = np.sin(np.arange(16_000) / 8) / 64


def w64(samples):
    width = samples.dtype.itemsize
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 16_000 * width, width, 8 * width)
    form += struct.pack("<HHIH", 22, 8 * width, 4, 3) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"wave" + TAIL + b"fmt " + TAIL + struct.pack("<q", 24 + len(form)) + form
    body += b"data" + TAIL + struct.pack("<q", 24 + samples.nbytes) + samples.tobytes()
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
    return riff + struct.pack("<q", 24 + len(body)) + body


def away(found):
    return f"{np.abs(np.asarray(found, np.float64).ravel() - TRUE).max():.1f} away"


for kind in ("float32", "float64"):
    content = w64(TRUE.astype(kind))
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            by_libsndfile = f"{sound.subtype} {away(sound.read())}"
    except soundfile.LibsndfileError as problem:
        by_libsndfile = type(problem).__name__
    with av.open(io.BytesIO(content)) as source:
        by_ffmpeg = np.concatenate([frame.to_ndarray().ravel() for frame in source.decode(audio=0)])
    print(kind, "libsndfile", by_libsndfile, "FFmpeg", away(by_ffmpeg))
PY
diff - "$work/out" <<'SEEN'
float32 libsndfile PCM_32 0.6 away FFmpeg 0.0 away
float64 libsndfile LibsndfileError FFmpeg 0.0 away
SEEN
