#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0, run 2026-11-28.
#
# A VOC may hold its sound in many blocks, and FFmpeg writes one for each packet. libsndfile takes all
# behind the first header for samples: the 4 bytes before each further block are heard as two clicks,
# with no error. Its log alone says "Seems to be a multi-segment file".
#
# Output seen:
#   written 16000
#   FFmpeg reads 16000
#   libsndfile reads 16014
#   silence, and its loudest sample is above a hundredth of full scale: True
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
with av.open(buffer, "w", format="voc") as output:
    stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
    for _ in range(8):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
print("written", 16000)
with av.open(io.BytesIO(buffer.getvalue())) as source:
    print("FFmpeg reads", sum(frame.samples for frame in source.decode(audio=0)))
heard, _ = soundfile.read(io.BytesIO(buffer.getvalue()))
print("libsndfile reads", len(heard))
print("silence, and its loudest sample is above a hundredth of full scale:", abs(heard).max() > 0.01)
PY
diff - "$work/out" <<'SEEN'
written 16000
FFmpeg reads 16000
libsndfile reads 16014
silence, and its loudest sample is above a hundredth of full scale: True
SEEN
