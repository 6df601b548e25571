#!/usr/bin/env bash
# mlx[cpu] 0.32.4 with numpy 2.4.6 on Linux, run 2026-11-28.
#
# A safetensors file with a float8 tensor, as quantized checkpoints have: `mx.load` gives its bytes as
# uint8 and no error. 1.0 (0x38 in e4m3) is 56, and a product with it is computed. F64, which is not
# there either, is refused by name.
#
# Output seen:
#   F32 1.0: mlx.core.float32 1.0, times 0.5 is 0.5
#   F8_E4M3 1.0: mlx.core.uint8 56, times 0.5 is 28.0
#   F64 1.0: [safetensor] unsupported dtype F64
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import json
import struct
import sys

import mlx.core as mx


def load(kind, content):
    header = {"a": {"dtype": kind, "shape": [1], "data_offsets": [0, len(content)]}}
    text = json.dumps(header).encode()
    path = f"{sys.argv[1]}/{kind}.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + content)
    try:
        array = mx.load(path)["a"]
    except RuntimeError as problem:
        return str(problem)
    return f"{array.dtype} {array.item()}, times 0.5 is {(array * 0.5).item()}"


print("F32 1.0:", load("F32", struct.pack("<f", 1)))
print("F8_E4M3 1.0:", load("F8_E4M3", bytes([0x38])))
print("F64 1.0:", load("F64", struct.pack("<d", 1)))
PY
diff - "$work/out" <<'END'
F32 1.0: mlx.core.float32 1.0, times 0.5 is 0.5
F8_E4M3 1.0: mlx.core.uint8 56, times 0.5 is 28.0
F64 1.0: [safetensor] unsupported dtype F64
END
