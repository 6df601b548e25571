"""Install the wheels of dist/ into clean environments and compare what they compute.

    python scripts/install_matrix.py dist [--torch 2.4.0 --torch 2.13.0] [--keep FOLDER]

Every Python from 3.10 on that is on PATH, the oldest and the newest PyTorch that pyproject.toml
allows there, and both wheels: with the compiled activation and without. The codes of nano and of a
small model with the waveform encoder must be the same everywhere. Prints a table in Markdown; exits
with 1 if a cell failed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = [f"python3.{minor}" for minor in range(10, 15)]
#: The oldest PyTorch with wheels for a Python, from pyproject.toml's lower bound on.
OLDEST = {10: "2.4.0", 11: "2.4.0", 12: "2.4.0", 13: "2.5.0", 14: "2.9.0"}
NEWEST = "2.13.0"
PROBE = """
import hashlib, json, torch
from importlib.resources import files
from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.kernels import snake_cpu
torch.manual_seed(0)
torch.set_num_threads(1)
clip = torch.randn(8000, generator=torch.Generator().manual_seed(1)) * 0.1
small = XCodec2Config(semantic_width=64, semantic_layers=1, semantic_heads=1, semantic_ffn=64,
    acoustic_channels=4, width=64, layers=1, heads=1, ffn=64)
model = XCodec2Model(small).eval()
generator = torch.Generator().manual_seed(2)
with torch.no_grad():
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(noise * (2 / max(parameter[0].numel(), 1)) ** 0.5)
nano = XCodec2Model.from_pretrained()
speech = files("xcodec2") / "assets" / "demo.flac"
codes = nano.encode(str(speech)).codes.tolist(), model.encode(clip, 16_000).codes.tolist()
digest = hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:12]
with torch.no_grad():
    compiled = snake_cpu.can_run(torch.zeros(1, 4, 64))
print(json.dumps({"codes": digest, "compiled": compiled}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--torch", action="append", help="versions; default: oldest and newest")
    arguments = parser.parse_args()
    wheels = sorted(arguments.dist.glob("*.whl"))
    pythons = [name for name in PYTHONS if shutil.which(name)]
    print("| Python | PyTorch | wheel | compiled activation | codes |\n|---|---|---|---|---|")
    found, failed = set(), False
    for python in pythons:
        versions = arguments.torch or [OLDEST[int(python.rpartition(".")[2])], NEWEST]
        for torch in versions:
            for wheel in wheels:
                result = cell(python, torch, wheel)
                failed |= "problem" in result
                found.add(result.get("codes"))
                seen = result.get("problem") or f"{result['compiled']} | {result['codes']}"
                print(f"| {python} | {torch} | {wheel.name} | {seen} |", flush=True)
    return int(failed or len(found) != 1)


def cell(python: str, torch: str, wheel: Path) -> dict[str, object]:
    """What one wheel computes in a clean environment."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "venv", "bin", "python")
        steps = [
            [python, "-m", "venv", str(Path(folder, "venv"))],
            [str(run), "-m", "pip", "install", "--quiet", f"torch=={torch}", str(wheel.resolve())],
            [str(run), "-c", PROBE],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, cwd=folder, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["failed"])[-1]
                return {"problem": last.replace("|", "/")[:120]}
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
