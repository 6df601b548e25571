#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# A query that its mask lets see no key: `mx.fast.scaled_dot_product_attention` gives the plain mean of
# all values, hidden ones included, where the same formula with -inf gives NaN and PyTorch 0. In a
# padded batch or at the beginning of a stream what is masked leaks in, as finite numbers that no check
# for NaN finds. One key in sight is enough to make all of them agree.
#
# Output seen:
#   no key 3.0 nan
#   one key 1.0 1.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import mlx.core as mx

q, k = mx.ones((1, 1, 1, 4)), mx.ones((1, 1, 2, 4))
v = mx.array([[1.0] * 4, [5.0] * 4])[None, None]
nothing, one = mx.array([[False, False]]), mx.array([[True, False]])


def by_hand(mask):
    scores = mx.where(mask, q @ k.swapaxes(2, 3) / 2, -mx.inf)
    return mx.softmax(scores, axis=-1) @ v


for name, mask in (("no key", nothing), ("one key", one)):
    fast = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask=mask)
    print(name, fast[0, 0, 0, 0].item(), abs(by_hand(mask)[0, 0, 0, 0].item()))
PY
diff - "$work/out" <<'END'
no key 3.0 nan
one key 1.0 1.0
END
