"""What commands cost from a cold start, beside an older build, and what several cost side by side.

    git worktree add /tmp/before f1dea02 && cp src/xcodec2/codec/kernels/*.so \\
        /tmp/before/src/xcodec2/codec/kernels/
    python benchmarks/cold.py --before /tmp/before
    python benchmarks/cold.py --before /tmp/before --together 1 2 4

Processor seconds (user and system) of alternating runs, medians. The table of
docs/explanation/speed.md. Each build runs its own nano, and decodes codes that it made itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src" / "xcodec2" / "assets" / "demo.flac"
SECONDS = 3
COMMANDS = {
    "encode": ["encode", "speech.wav", "-o", "{out}.npz"],
    "decode": ["decode", "codes.npz", "-o", "{out}.wav"],
    "info of codes": ["info", "codes.npz"],
    "info of nano": ["info", "nano"],
    "reconstruct": ["reconstruct", "speech.wav", "-o", "{out}.wav"],
    "speak": ["speak", "Weasels have eaten our phone system", "-o", "{out}.wav"],
}


def start(source: Path, command: list[str], folder: Path, out: str) -> subprocess.Popen[bytes]:
    """A command of one build, in a process of its own."""
    arguments = [part.format(out=out) for part in command]
    return subprocess.Popen(
        [sys.executable, "-m", "xcodec2.cli", *arguments],
        cwd=folder, stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(source / "src")},
    )  # fmt: skip


def cost(source: Path, command: list[str], folder: Path, together: int) -> tuple[float, float]:
    """Processor seconds of each of so many at once, and seconds until the last has ended."""
    begin = time.perf_counter()
    running = [start(source, command, folder, f"out{number}") for number in range(together)]
    used = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        used += usage.ru_utime + usage.ru_stime
    return used / together, time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="root of an older build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--together", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args()
    builds = [*([options.before.resolve()] if options.before else []), ROOT]
    with tempfile.TemporaryDirectory() as name:
        wave, rate = soundfile.read(DEMO, dtype="float32")
        folders = [Path(name) / str(number) for number in range(len(builds))]
        for build, folder in zip(builds, folders, strict=True):
            folder.mkdir()
            soundfile.write(folder / "speech.wav", np.tile(wave, 3)[: SECONDS * rate], rate)
            cost(build, ["encode", "speech.wav", "-o", "codes.npz"], folder, 1)
        print("| command | at once | before, CPU s | now | ratio | before, s | now |")
        print("|---|---|---|---|---|---|---|")
        for verb in options.only:
            for together in options.together:
                rows = [
                    [
                        cost(build, COMMANDS[verb], folder, together)
                        for build, folder in zip(builds, folders, strict=True)
                    ]
                    for _ in range(options.rounds)
                ]
                used, waited = (
                    [statistics.median(row[i][kind] for row in rows) for i in range(len(builds))]
                    for kind in (0, 1)
                )
                print(
                    f"| {verb} | {together} | {used[0]:.2f} | {used[-1]:.2f} | "
                    f"{used[-1] / used[0]:.2f} | {waited[0]:.2f} | {waited[-1]:.2f} |"
                )


if __name__ == "__main__":
    main()
