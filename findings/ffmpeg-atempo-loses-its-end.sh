#!/usr/bin/env bash
# FFmpeg's tempo filter loses the end of the sound.
#
# PyAV 18.1.0 (FFmpeg inside its wheel), filter atempo.
#
# atempo changes the speed of sound and keeps its pitch, so one second at half speed should be two.
# When the graph is flushed, what lies in the filter's last windows does not come out: of 4.8 s at
# half speed 9.56 s or so come instead of 9.6 s. A word that ends with the file loses its last sound.
# Silence of .15 s behind the input, and a cut at the length that is due, keep it.
#
# Output seen:
#     speed 0.25: 19.10 s of 19.20 s
#     speed 0.5: 9.56 s of 9.60 s
#     with silence behind: 9.60 s of 9.60 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q av==18.1.0 numpy==2.2.6
venv/bin/python - <<'PYTHON'
import av
import numpy as np

RATE = 16_000
tone = np.sin(np.arange(int(4.8 * RATE)) * 0.05).astype(np.float32) * 0.3


def seconds_of(samples, speed):
    graph = av.filter.Graph()
    last = graph.add_abuffer(sample_rate=RATE, format="flt", layout="mono")
    for factor in [speed] if speed >= 0.5 else [0.5, speed / 0.5]:
        stage = graph.add("atempo", str(factor))
        last.link_to(stage)
        last = stage
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    made = 0

    def pull():
        count = 0
        while True:
            try:
                count += graph.pull().samples
            except (BlockingIOError, EOFError):
                return count

    for start in range(0, len(samples), 1280):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1280], format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        graph.push(frame)
        made += pull()
    graph.push(None)
    return (made + pull()) / RATE


for speed in (0.25, 0.5):
    found, due = seconds_of(tone, speed), 4.8 / speed
    print(f"speed {speed}: {found:.2f} s of {due:.2f} s")
    assert due - 0.5 < found < due - 0.02, "atempo gives it all now"
silence = np.zeros(int(0.15 * RATE), np.float32)
found = seconds_of(np.concatenate([tone, silence]), 0.5)
assert found >= 9.6
print(f"with silence behind: {min(found, 9.6):.2f} s of 9.60 s")
PYTHON
