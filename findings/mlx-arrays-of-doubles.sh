#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# `mx.array(a)` of a NumPy array keeps int64, uint16, float16 and complex64, and turns float64 into
# float32 without a word, though the CPU has float64 and `mx.array(a, mx.float64)` keeps it. What is
# computed from filters and windows made in double is in single precision from there on.
#
# Output seen:
#   int64 -> int64
#   uint16 -> uint16
#   float16 -> float16
#   complex64 -> complex64
#   float64 -> float32
#   asked for: float64 True
#   not asked: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import mlx.core as mx
import numpy as np

for kind in (np.int64, np.uint16, np.float16, np.complex64, np.float64):
    print(np.dtype(kind).name, "->", str(mx.array(np.ones(1, kind)).dtype).rpartition(".")[2])
third = np.array([1 / 3])
kept = mx.array(third, mx.float64)
print("asked for:", str(kept.dtype).rpartition(".")[2], kept.item() == third[0])
print("not asked:", mx.array(third).item() == third[0])
PY
diff - "$work/out" <<'END'
int64 -> int64
uint16 -> uint16
float16 -> float16
complex64 -> complex64
float64 -> float32
asked for: float64 True
not asked: False
END
