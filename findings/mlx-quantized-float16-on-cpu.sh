#!/usr/bin/env bash
# mlx[cpu] 0.32.4 on Linux (x86-64), run 2026-11-28.
#
# A product with 8-bit weights on a CPU: with float32 scales and inputs it costs what the plain
# product costs, with float16 ones tens of times as much. The plain float16 product is as fast as
# float32's. A model that is loaded in float16, as is usual, and then quantized is far slower on a
# CPU than either; its scales have to be float32.
#
# Output seen (CPU time of 50 x 256 times 256 x 1024, against float32's plain product):
#   8 bits, float32 1.1
#   8 bits, float16 40
#   plain, float16 0.8
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4"
"$work/venv/bin/python" - <<'PY'
import time

import mlx.core as mx

weight, x = mx.random.normal((1024, 256)), mx.random.normal((50, 256))


def cost(kind, bits):
    inputs = x.astype(kind)
    packed = mx.quantize(weight.astype(kind), group_size=64, bits=8)
    plain = weight.astype(kind).T
    mx.eval(inputs, packed, plain)
    times = []
    for _ in range(3):
        start = time.process_time()
        if bits:
            mx.eval(mx.quantized_matmul(inputs, *packed, group_size=64, bits=8))
        else:
            mx.eval(inputs @ plain)
        times.append(time.process_time() - start)
    return min(times)


reference = cost(mx.float32, 0)
ratios = {
    "8 bits, float32": cost(mx.float32, 8) / reference,
    "8 bits, float16": cost(mx.float16, 8) / reference,
    "plain, float16": cost(mx.float16, 0) / reference,
}
for name, ratio in ratios.items():
    print(f"{name} {ratio:.2g}")
assert ratios["8 bits, float16"] > 5 * ratios["8 bits, float32"], ratios
assert ratios["8 bits, float16"] > 5 * ratios["plain, float16"], ratios
PY
