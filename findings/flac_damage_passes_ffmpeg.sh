#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8), soundfile 0.14.0 (libsndfile 1.2.2), run 2026-11-28.
#
# Each FLAC frame ends in a checksum. FFmpeg plays a frame whose sum is wrong without an error, and so
# it does with err_detect=crccheck; err_detect=explode leaves the frame out, again without an error:
# only a count against the header, or a frame without a time, shows it. libsndfile raises.
#
# Output seen:
#   by default: 64000 of 64000, equal: False
#   crccheck: 64000 of 64000, equal: False
#   explode: 59904 of 64000, equal: False
#   libsndfile: LibsndfileError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 soundfile==0.14.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import io

import av
import numpy as np
import soundfile

wave = np.random.default_rng(0).integers(-9000, 9000, 64000).astype(np.int16)
buffer = io.BytesIO()
soundfile.write(buffer, wave, 16000, format="FLAC")
content = bytearray(buffer.getvalue())
content[len(content) // 2] ^= 0x10

for name, options in {
    "by default": {},
    "crccheck": {"err_detect": "crccheck"},
    "explode": {"err_detect": "crccheck+bitstream+buffer+explode"},
}.items():
    with av.open(io.BytesIO(content), options=options) as source:
        stream = source.streams.audio[0]
        stream.codec_context.options = options
        heard = np.concatenate([frame.to_ndarray()[0] for frame in source.decode(stream)])
    equal = len(heard) == len(wave) and bool((heard == wave).all())
    print(f"{name}: {len(heard)} of {len(wave)}, equal: {equal}")
try:
    print("libsndfile:", len(soundfile.read(io.BytesIO(content))[0]))
except soundfile.LibsndfileError as problem:
    print("libsndfile:", type(problem).__name__)
PY
diff - "$work/out" <<'SEEN'
by default: 64000 of 64000, equal: False
crccheck: 64000 of 64000, equal: False
explode: 59904 of 64000, equal: False
libsndfile: LibsndfileError
SEEN
