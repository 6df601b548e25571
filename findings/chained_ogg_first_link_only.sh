#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 (FFmpeg 8), run 2026-11-28.
#
# Two Ogg Vorbis files one behind another are one valid, chained Ogg; Icecast and recorders write
# them. libsndfile reads the first link and reports no error. FFmpeg reads both, but does not cut the
# first where its last page says: 128 samples too many here, 576 between other files. Read link by
# link, either decoder gives 2 x 44,100.
#
# Output seen:
#   links 44100 + 44100
#   libsndfile 44100
#   FFmpeg 88328
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


def ffmpeg(content):
    with av.open(io.BytesIO(content)) as source:
        return sum(frame.samples for frame in source.decode(audio=0))


links = []
for seed in (0, 1):
    buffer = io.BytesIO()
    wave = 0.1 * np.random.default_rng(seed).standard_normal(44100)
    soundfile.write(buffer, wave, 44100, format="OGG", subtype="VORBIS")
    links.append(buffer.getvalue())
print("links", ffmpeg(links[0]), "+", ffmpeg(links[1]))
print("libsndfile", len(soundfile.read(io.BytesIO(b"".join(links)))[0]))
print("FFmpeg", ffmpeg(b"".join(links)))
PY
diff - "$work/out" <<'SEEN'
links 44100 + 44100
libsndfile 44100
FFmpeg 88328
SEEN
