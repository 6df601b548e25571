#!/usr/bin/env bash
# lhotse 1.33.0 (soundfile 0.14.0, torch 2.13.0): reading a part of a recording. It imports urllib3,
# which its wheel does not ask for.
#
# A part that reaches past the end of the file by up to half a second is no error: lhotse fills it
# with the end of the recording played backwards, so that a wrong end time becomes sound that nobody
# has said. Past half a second it raises. The last sample is not played twice.
#
# Start and duration are rounded to samples each by itself, half up: at 8 kHz a start of 8,000.5
# samples and a duration of 1.5 samples give the samples 8001 and 8002, and not 8001 alone, which
# is where start + duration = 8,002 would end.
#
# Output seen:
#   asked for 1.2 s with 1.0 s left: 9600 samples, the last 1600 mirrored: True
#   asked for 1.5 s with 1.0 s left: 12000 samples, the last 4000 mirrored: True
#   asked for 1.6 s with 1.0 s left: DurationMismatchError
#   from 8000.5 samples on, 1.5 long: starts at 8001, 2 samples
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet lhotse==1.33.0 soundfile==0.14.0 torch==2.13.0 \
    urllib3==2.8.0 "numpy<3"
cat > try.py <<'PYTHON'
import numpy as np
import soundfile
from lhotse import Recording

rate = 8_000
sound = (np.arange(5 * rate) / (5 * rate) - 0.5).astype(np.float32)
soundfile.write("a.wav", sound, rate, subtype="FLOAT")
recording = Recording.from_file("a.wav")
for seconds in (1.2, 1.5, 1.6):
    asked = f"asked for {seconds} s with 1.0 s left:"
    try:
        part = recording.load_audio(offset=4.0, duration=seconds)[0]
    except Exception as problem:
        print(asked, type(problem).__name__)
    else:
        filled = len(part) - rate
        mirrored = np.array_equal(part[rate:], sound[::-1][1 : 1 + filled])
        print(f"{asked} {len(part)} samples, the last {filled} mirrored: {mirrored}")
part = recording.load_audio(offset=8000.5 / rate, duration=1.5 / rate)[0]
start = int(np.argmin(abs(sound - part[0])))
print(f"from 8000.5 samples on, 1.5 long: starts at {start}, {len(part)} samples")
PYTHON
venv/bin/python try.py 2>/dev/null | tee out
diff out - <<'SEEN'
asked for 1.2 s with 1.0 s left: 9600 samples, the last 1600 mirrored: True
asked for 1.5 s with 1.0 s left: 12000 samples, the last 4000 mirrored: True
asked for 1.6 s with 1.0 s left: DurationMismatchError
from 8000.5 samples on, 1.5 long: starts at 8001, 2 samples
SEEN
