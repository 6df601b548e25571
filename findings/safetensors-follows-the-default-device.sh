#!/bin/sh
# safetensors 0.5.3 with torch 2.13.0: load_file(device="cpu") puts weights on the default device.
#
# Where torch.set_default_device names another device, load_file and safe_open, asked for "cpu" in so
# many words, return tensors of that device: on "meta", tensors without a number in them. load, which
# takes bytes, returns what is in them. Since 0.6.2 the device that is asked for is the device.
#
# Seen, with "meta" as the default device:
#   0.5.3 load_file meta, safe_open meta, load cpu
#   0.6.2 load_file cpu, safe_open cpu, load cpu
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 packaging==26.0
cd "$work"
cat > load.py <<'PY'
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file

save_file({"weight": torch.arange(3.0)}, "weights.safetensors")
torch.set_default_device("meta")
with safe_open("weights.safetensors", "pt", device="cpu") as file:
    opened = file.get_tensor("weight").device.type
whole = load_file("weights.safetensors", device="cpu")["weight"].device.type
of_bytes = load(Path("weights.safetensors").read_bytes())["weight"].device.type
print(sys.argv[1], f"load_file {whole}, safe_open {opened}, load {of_bytes}")
expected = "meta" if sys.argv[1] == "0.5.3" else "cpu"
assert (whole, opened, of_bytes) == (expected, expected, "cpu")
PY
for version in 0.5.3 0.6.2; do
    "$work/venv/bin/pip" install -q safetensors==$version
    "$work/venv/bin/python" load.py $version
done
