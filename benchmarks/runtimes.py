"""Codes, sound, processor time and memory of every runtime beside PyTorch's, in one run.

    python scripts/prepare_nano_data.py
    xcodec2 export MODEL onnx/ --to onnx
    xcodec2 export MODEL phone/ --to executorch
    python benchmarks/runtimes.py MODEL --onnx onnx --executorch phone --python executorch=BIN

Ten recordings of the test set, each runtime in a process of its own on one thread. Codes are
counted against those of PyTorch, sound is made from PyTorch's codes. `--python RUNTIME=BIN` runs
one of them with another interpreter. Encode and decode are CPU seconds a second of speech, memory
is the process's peak. The table of docs/guides/runtimes.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SECONDS = (2.5, 9.0)  # of a recording
MLX = ("mlx", "mlx-float16", "mlx-bfloat16", "mlx-int8", "mlx-int4")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="what from_pretrained takes")
    parser.add_argument("--data", type=Path, default=Path("data/nano"))
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--onnx", help="folder of the export")
    parser.add_argument("--executorch", help="folder of the export")
    parser.add_argument("--only", help="runtimes, with commas between")
    parser.add_argument("--python", action="append", default=[], metavar="RUNTIME=BIN")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.model, *options.worker)
        return
    sources = {"pytorch": options.model, **dict.fromkeys(MLX, options.model)}
    sources |= {
        name: getattr(options, name) for name in ("onnx", "executorch") if getattr(options, name)
    }
    chosen = options.only.split(",") if options.only else list(sources)
    if unknown := set(chosen) - sources.keys():
        parser.error(f"--only: no {', '.join(sorted(unknown))} here")
    pythons = dict(item.split("=", 1) for item in options.python)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "clips.npz"))
        np.savez(file, *clips(options.data / "test", options.clips))
        print("| runtime | codes that differ | sound, dB | encode | decode | MB |")
        print("|---|---|---|---|---|---|")
        for name in dict.fromkeys(["pytorch", *chosen]):
            command = [pythons.get(name, sys.executable), __file__, str(sources[name])]
            done = subprocess.run(
                [*command, "--worker", name, file],
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                check=False,
            )
            lines = done.stdout.decode().splitlines()
            print(f"| {name} | {lines[-1] if done.returncode == 0 else 'failed'} |", flush=True)


def clips(folder: Path, count: int) -> list[np.ndarray]:
    """Recordings from all of the set's sources."""
    paths = sorted(folder.rglob("*.flac"))
    paths = [
        path
        for path in paths[:: max(1, len(paths) // (6 * count))]
        if SECONDS[0] <= soundfile.info(path).duration <= SECONDS[1]
    ]
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [soundfile.read(path, dtype="float32")[0] for path in chosen]


def opened(name: str, source: str) -> Any:
    """A codec of one runtime."""
    if name == "pytorch":
        import torch

        from xcodec2 import XCodec2Model

        torch.set_num_threads(1)
        return XCodec2Model.from_pretrained(source)
    if name.startswith("mlx"):
        from xcodec2.mlx import MlxCodec

        return MlxCodec.from_pretrained(source, decoder=name.partition("-")[2] or "float32")
    if name == "onnx":
        from xcodec2.onnx import OnnxCodec

        return OnnxCodec(source, threads=1)
    from xcodec2.mobile import MobileCodec

    return MobileCodec(source)


def work(source: str, name: str, file: str) -> None:
    """One row of the table; PyTorch's results stay beside the recordings."""
    with np.load(file) as arrays:
        waves = [arrays[key] for key in arrays.files]
    codec, truth = opened(name, source), Path(file).with_name("truth.npz")
    codec.decode(plain(codec.encode(waves[0][:16_000], 16_000)))  # what is built at first use
    began = time.process_time()
    codes = [plain(codec.encode(wave, 16_000)) for wave in waves]
    encoded = time.process_time()
    if name == "pytorch":
        expected = codes
    else:
        with np.load(truth) as arrays:
            expected = [arrays[f"codes{i}"] for i in range(len(waves))]
    decoding = time.process_time()
    sounds = [np.asarray(codec.decode(row)) for row in expected]
    decoded = time.process_time() - decoding
    level = "—"
    if name == "pytorch":
        made = {f"codes{i}": row for i, row in enumerate(codes)}
        np.savez(truth, **made, **{f"sound{i}": sound for i, sound in enumerate(sounds)})
    else:
        with np.load(truth) as arrays:
            level = f"{snr([arrays[f'sound{i}'] for i in range(len(waves))], sounds):.0f}"
    differing = sum(int((a != b).sum()) for a, b in zip(codes, expected, strict=True))
    seconds = sum(map(len, waves)) / 16_000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    count = f"{differing} of {sum(map(len, codes))}"
    speed = f"{(encoded - began) / seconds:.3f} | {decoded / seconds:.3f}"
    print(f"{count} | {level} | {speed} | {peak:.0f}")


def plain(codes: Any) -> np.ndarray:
    """(T,) int64 of what `encode` gives."""
    return np.asarray(getattr(codes, "codes", codes)).astype(np.int64)


def snr(references: list[np.ndarray], others: list[np.ndarray]) -> float:
    """dB of all recordings together."""
    noise = sum(float(np.square(a - b).sum()) for a, b in zip(references, others, strict=True))
    return 10 * np.log10(sum(float(np.square(a).sum()) for a in references) / max(noise, 1e-30))


if __name__ == "__main__":
    main()
