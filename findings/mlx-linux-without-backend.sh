#!/usr/bin/env bash
# mlx 0.32.4 on Linux (x86-64), Python 3.11, run 2026-11-28.
#
# On a Mac `pip install mlx` is all. On Linux the same command installs a package that cannot be
# imported: the library comes with an extra, [cpu] or one for CUDA. A requirement `mlx` in a
# cross-platform package is met by pip and broken on every Linux machine. Installing the extra
# afterwards mends it.
#
# Output seen:
#   mlx: ImportError: libmlx.so: cannot open shared object file: No such file or directory
#   mlx[cpu]: 3
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
ask='import mlx.core as mx; print(mx.sum(mx.array([1, 2])).item())'
{
  "$work/venv/bin/pip" install -q mlx==0.32.4
  printf 'mlx: %s\n' "$("$work/venv/bin/python" -c "$ask" 2>&1 | tail -n 1)"
  "$work/venv/bin/pip" install -q "mlx[cpu]==0.32.4"
  printf 'mlx[cpu]: %s\n' "$("$work/venv/bin/python" -c "$ask" 2>&1 | tail -n 1)"
} | tee "$work/out"
diff - "$work/out" <<'END'
mlx: ImportError: libmlx.so: cannot open shared object file: No such file or directory
mlx[cpu]: 3
END
