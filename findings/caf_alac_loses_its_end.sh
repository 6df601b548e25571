#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8: libavformat 62.12.102), run 2026-11-28.
#
# One second of ALAC in CAF, written by FFmpeg and read back by the same FFmpeg: 46,848 of 48,000
# samples. The packet table says that the last packet of 4,096 lacks 1,152; the packet itself holds
# 2,944, and the demuxer has the decoder cut 1,152 off those as well. In M4A all come back.
# `flags2=+skip_manual` on the decoder reads them all. FFmpeg 5.1.9 is not affected.
#
# Output seen:
#   caf 46848
#   caf, skip_manual 48000
#   m4a 48000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import io

import av
import numpy as np


def written(container):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream("alac", rate=48000, layout="mono")
        wave = np.sin(np.arange(48000) / 10) * 20000
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16p", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return io.BytesIO(buffer.getvalue())


def samples(file, **options):
    with av.open(file) as source:
        stream = source.streams.audio[0]
        stream.codec_context.options = options
        return sum(frame.samples for frame in source.decode(stream))


print("caf", samples(written("caf")))
print("caf, skip_manual", samples(written("caf"), flags2="+skip_manual"))
print("m4a", samples(written("ipod")))
PY
printf 'caf 46848\ncaf, skip_manual 48000\nm4a 48000\n' | diff - "$work/out"
