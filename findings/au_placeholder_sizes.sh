#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 (FFmpeg 8), run 2026-11-28.
#
# Sun's AU names one size for "unknown", 0xFFFFFFFF, and both read it. Of the other placeholders that
# programs write before a stream, libsndfile gives no samples and no error for 0, 0x7FFFFFFF and
# 0x80000000, though it reads 0x7FFFF000; FFmpeg 8 refuses 0 and 0x80000000. For a WAV with the same
# sizes, both read all but libsndfile's 0.
#
# Output seen:
#   0xffffffff libsndfile 16000 FFmpeg 16000
#   0x0 libsndfile 0 FFmpeg InvalidDataError
#   0x7fffffff libsndfile 0 FFmpeg 16000
#   0x80000000 libsndfile 0 FFmpeg InvalidDataError
#   0x7ffff000 libsndfile 16000 FFmpeg 16000
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

buffer = io.BytesIO()
soundfile.write(buffer, np.zeros(16000), 16000, format="AU", subtype="PCM_16")
for size in (0xFFFFFFFF, 0, 0x7FFFFFFF, 0x80000000, 0x7FFFF000):
    content = bytearray(buffer.getvalue())
    content[8:12] = size.to_bytes(4, "big")
    heard = len(soundfile.read(io.BytesIO(content))[0])
    try:
        with av.open(io.BytesIO(content)) as source:
            other = sum(frame.samples for frame in source.decode(audio=0))
    except av.FFmpegError as problem:
        other = type(problem).__name__
    print(hex(size), "libsndfile", heard, "FFmpeg", other)
PY
diff - "$work/out" <<'SEEN'
0xffffffff libsndfile 16000 FFmpeg 16000
0x0 libsndfile 0 FFmpeg InvalidDataError
0x7fffffff libsndfile 0 FFmpeg 16000
0x80000000 libsndfile 0 FFmpeg InvalidDataError
0x7ffff000 libsndfile 16000 FFmpeg 16000
SEEN
