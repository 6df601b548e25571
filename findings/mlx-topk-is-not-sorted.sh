#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# `mx.topk` gives the largest values the smallest of them first, and no indices: `[0]` is not the
# best, as it is with `torch.topk` and `jax.lax.top_k`. A sampler that takes the first one of its top k
# takes the worst.
#
# Output seen:
#   [3.0, 7.0, 9.0]
#   array
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import mlx.core as mx

found = mx.topk(mx.array([1.0, 9.0, 3.0, 7.0, 2.0]), 3)
print(found.tolist())
print(type(found).__name__)
PY
diff - "$work/out" <<'END'
[3.0, 7.0, 9.0]
array
END
