#!/usr/bin/env bash
# executorch 1.5.1 with numpy 2.4.6 on Linux x86-64, run 2026-11-29.
#
# The wheel asks for coremltools, scikit-learn, hydra-core and torchao, but not for PyTorch, which its
# runtime links to. Without it the runtime says that its own compiled part is not found and that
# ExecuTorch is to be installed again from pip, which changes nothing: PyTorch is what is missing.
#
# Output seen:
#   torch asked for: False
#   torchao asked for: True
#   runtime: The prebuilt extension module executorch.extension.pybindings._C is not found. Please reinstall ExecuTorch from pip.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-deps executorch==1.5.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import re
from importlib.metadata import requires

names = {re.match(r"[\w.-]+", line)[0] for line in requires("executorch")}
for name in ("torch", "torchao"):
    print(f"{name} asked for:", name in names)
try:
    import executorch.runtime
except ModuleNotFoundError as problem:
    print("runtime:", problem)
PY
diff - "$work/out" <<'END'
torch asked for: False
torchao asked for: True
runtime: The prebuilt extension module executorch.extension.pybindings._C is not found. Please reinstall ExecuTorch from pip.
END
