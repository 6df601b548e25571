#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# `mx.sum` adds small integers in 32 bits, as NumPy and PyTorch do; `mx.cumsum` adds them in their own
# type and wraps. Frame counts held as uint8 or uint16 become offsets that go back to 0: the last of
# the running sums is not the sum. NumPy and PyTorch widen both.
#
# Output seen:
#   mlx 600 [200, 144, 88]
#   numpy 600 [200, 400, 600]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import mlx.core as mx
import numpy as np

counts = [200, 200, 200]
for name, total, running in (
    ("mlx", mx.sum(mx.array(counts, mx.uint8)).item(), mx.cumsum(mx.array(counts, mx.uint8))),
    ("numpy", np.sum(np.array(counts, np.uint8)), np.cumsum(np.array(counts, np.uint8))),
):
    print(name, int(total), [int(value) for value in running.tolist()])
PY
diff - "$work/out" <<'END'
mlx 600 [200, 144, 88]
numpy 600 [200, 400, 600]
END
