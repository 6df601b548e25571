"""Peak memory of loading a model and of its first encoding, beside the size of its weights.

    python benchmarks/memory.py                         # random weights at the published size
    python benchmarks/memory.py --model FOLDER
    python benchmarks/memory.py --source ../before/src  # another checkout

The figures are of a process that has imported PyTorch and encoded with a small model before, so
that code and work space of libraries do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).resolve().parents[1] / "src"
MEASURED = """
import sys, numpy as np, torch
from xcodec2 import XCodec2Model
torch.set_num_threads(1)
wave = np.random.default_rng(0).normal(0, 0.1, int(float(sys.argv[2]) * 16_000)).astype(np.float32)

def memory(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))

XCodec2Model.from_pretrained("nano").encode(wave, 16_000)
before = memory("VmRSS")
model = XCodec2Model.from_pretrained(sys.argv[1]).eval()
loaded = memory("VmHWM")
model.encode(wave, 16_000)
print(before, loaded, memory("VmHWM"))
"""


def write_random(folder: Path) -> None:
    """A checkpoint of the published size, tensor by tensor: the same thousand numbers again and
    again, scaled by the inputs of each weight.
    """
    from xcodec2 import XCodec2Config, XCodec2Model

    config = XCodec2Config()
    state = XCodec2Model(config, device="meta").state_dict()
    settings = {"model_type": "open-xcodec2", **config.to_dict()}
    (folder / "config.json").write_text(json.dumps(settings))
    header, offset = {}, 0
    for name, tensor in state.items():
        size = tensor.numel() * 4
        places = [offset, offset + size]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": places}
        offset += size
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    numbers = np.random.default_rng(0).normal(size=1 << 18).astype(np.float32)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(told)) + told)
        for tensor in state.values():
            spread = max(1, tensor[0].numel()) ** -0.5 if tensor.ndim > 1 else 0.1
            scaled = (numbers * np.float32(spread)).tobytes()
            left = tensor.numel() * 4
            while left:
                left -= file.write(scaled[:left])


def main() -> None:
    """Print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a folder; random weights when it is left out")
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--seconds", type=float, default=1.0, help="of audio")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.model is None:
            write_random(Path(name))
        folder = args.model or Path(name)
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(folder), str(args.seconds)],
            env=os.environ | {"PYTHONPATH": str(args.source.resolve())},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    before, loaded, encoded = map(float, done.stdout.split())
    print(f"weights {weights:.0f} MiB; peak of loading {(loaded - before) / weights:.3f} of them, ")
    print(f"of loading and encoding {args.seconds:g} s {(encoded - before) / weights:.3f}")


if __name__ == "__main__":
    main()
