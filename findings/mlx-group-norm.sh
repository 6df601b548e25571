#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# `mlx.nn.GroupNorm(groups, channels)` is not PyTorch's, whose weights load into it without an error:
# it deals channels to groups in turn where PyTorch takes neighbors. `pytorch_compatible=True` is the
# layer that checkpoints mean. The two agree only where a group has all channels or one.
#
# Output seen:
#   pytorch_compatible=False: other numbers
#   pytorch_compatible=True: same
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import mlx.core as mx
import mlx.nn as nn
import numpy as np

x = np.random.default_rng(0).normal(size=(1, 10, 8)).astype(np.float32)  # (B, T, C)
x[..., :4] += 100  # neighbors that are alike
groups = x.reshape(10, 2, 4)
expected = (groups - groups.mean((0, 2), keepdims=True)) / groups.std((0, 2), keepdims=True)
for compatible in (False, True):
    found = nn.GroupNorm(2, 8, pytorch_compatible=compatible)(mx.array(x))
    difference = np.abs(np.array(found) - expected.reshape(x.shape)).max()
    print(f"pytorch_compatible={compatible}:", "same" if difference < 1e-3 else "other numbers")
PY
diff - "$work/out" <<'END'
pytorch_compatible=False: other numbers
pytorch_compatible=True: same
END
