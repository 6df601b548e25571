"""Install the wheels of dist/ into clean environments, compare their codes, run tests there.

    python scripts/install_matrix.py dist                      # every Python on PATH
    python scripts/install_matrix.py dist --given /usr/bin/python3 --tests tests/codec tests/cli
    python scripts/install_matrix.py dist --extra dev --tests tests   # all fast tests, in each

For every Python from 3.10 on: the oldest versions that pyproject.toml allows (uv's resolution
"lowest-direct") and the newest ones, with both wheels: with what is compiled and without. The codes
of nano must be the same everywhere; those of a small random waveform encoder but where rounding
decides. `--given` names interpreters that have a PyTorch of their own, such as a distribution's;
it is used as it is. `--keep` leaves the environments in a folder. Tests are run folder by folder.
Prints a table in Markdown; exits with 1 if a cell failed.

PyPI's PyTorch for Linux x86-64 brings gigabytes of CUDA. Where PyTorch's own index is reached,
UV_TORCH_BACKEND=cpu takes the builds without it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = [f"python3.{minor}" for minor in range(10, 15)]
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
#: What a PyTorch brings along, which is not installed beside one that is given.
OF_TORCH = re.compile(r"(torch|triton|nvidia-|cuda-)")
#: What any set of tests imports; the extra dev has them, too, and what single tests want beside.
FOR_TESTS = "pytest>=8\nhypothesis>=6.100\nhttpx>=0.27\n"
#: What has no wheels, from a Python on; of everything else a version that has one is taken.
SOURCE_ALONE = {"pesq": (3, 10), "pocketsphinx": (3, 14)}
ROUNDING = 1e-3  # between a latent of two environments, of deviation 1
PROBE = """
import hashlib, json, platform, torch, xcodec2
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
    for name, parameter in model.named_parameters():  # of sane size: rounding stays what it is
        noise = torch.randn(parameter.shape, generator=generator)
        vector = 0.1 * noise if name.endswith(("bias", "alpha", "beta")) else 1 + 0.1 * noise
        matrix = noise * (2 / max(parameter[0].numel(), 1)) ** 0.5
        parameter.copy_(matrix if parameter.ndim > 1 else vector)
    latent = model.encode_features(model.pad(clip[None])).latent
    project = model.quantizer.project_in
    scale = model.quantize(latent).projected.std()
    project.weight /= scale
    project.bias /= scale
    quantized = model.quantize(latent)
    compiled = snake_cpu.can_run(torch.zeros(1, 4, 64))
nano = XCodec2Model.from_pretrained()
codes = nano.encode(str(files("xcodec2") / "assets" / "demo.flac")).codes.tolist()
print(json.dumps({
    "from": xcodec2.__file__, "python": platform.python_version(), "torch": torch.__version__,
    "nano": hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:12], "compiled": compiled,
    "waveform": quantized.codes[0].tolist(), "levels": quantized.projected[0].tolist(),
}))
"""


@dataclass
class Cell:
    """One environment.

    Attributes:
        python: Interpreter that the environment is made with.
        dependencies: "oldest" or "newest".
        wheel: What is installed.
        given: Whether the interpreter's own PyTorch is used.
        torch: A version to have instead of the resolved one.
        extras: Of the package.
        tests: Paths of tests to run in it.
        keep: Where it stays; it goes when it has been looked at where this is None.
    """

    python: str
    dependencies: str
    wheel: Path
    given: bool
    torch: str | None
    extras: list[str]
    tests: list[str]
    keep: Path | None = None


class Failed(Exception):
    """A step of a cell that ended with an error."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dist", type=Path)
    parser.add_argument("--python", nargs="+", default=[], help="default: all on PATH")
    parser.add_argument("--given", nargs="+", default=[], help="interpreters with a PyTorch")
    parser.add_argument("--dependencies", nargs="+", choices=RESOLUTIONS, default=[*RESOLUTIONS])
    parser.add_argument("--torch", help="a version instead of the resolved one")
    parser.add_argument("--extra", nargs="+", default=[], help="extras to install")
    parser.add_argument("--tests", nargs="+", default=[], help="paths, run with one of the wheels")
    parser.add_argument("--keep", type=Path, help="leave the environments in this folder")
    options = parser.parse_args()
    pythons = options.python or [name for name in PYTHONS if shutil.which(name)]
    interpreters = [(name, True) for name in options.given]
    interpreters += [(name, False) for name in pythons if options.python or not options.given]
    wheels = sorted(options.dist.glob("*.whl"), key=lambda path: path.name.endswith("-any.whl"))
    print("| Python | PyTorch | dependencies | compiled | codes of nano, of waveforms | tests |")
    print("|---|---|---|---|---|---|")
    first: dict[str, Any] = {}
    failed = not wheels
    for python, given in interpreters:
        for dependencies in options.dependencies:
            for number, wheel in enumerate(wheels):
                tests = [] if number else options.tests
                cell = Cell(python, dependencies, wheel, given, options.torch, options.extra, tests)
                if options.keep:
                    cell.keep = options.keep / f"{Path(python).name}-{dependencies}-{number}"
                try:
                    seen = run(cell)
                    first = first or seen
                    row, wrong = described(seen, first, dependencies)
                except Failed as error:
                    row, wrong = f"| {python} | | {dependencies} | {wheel.name} | {error} | |", True
                failed |= wrong
                print(row, flush=True)
    return int(failed)


def described(seen: dict[str, Any], first: dict[str, Any], dependencies: str) -> tuple[str, bool]:
    """A row of the table, and whether it is not as it should be."""
    levels, wanted = (chain.from_iterable(found["levels"]) for found in (seen, first))
    apart = max(abs(a - b) for a, b in zip(levels, wanted, strict=True))
    pairs = list(zip(seen["waveform"], first["waveform"], strict=True))
    differing = sum(a != b for a, b in pairs)
    wrong = seen["nano"] != first["nano"] or apart > ROUNDING or seen["failed"]
    codes = f"{seen['nano']}, {differing} of {len(pairs)} differ ({apart:.0e})"
    compiled = "yes" if seen["compiled"] else "no"
    cells = [seen["python"], seen["torch"], dependencies, compiled, codes, seen["tests"]]
    return f"| {' | '.join(cells)} |", bool(wrong)


def run(cell: Cell) -> dict[str, Any]:
    """What one wheel computes in a clean environment, and how its tests went."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if cell.keep:
            folder = cell.keep.resolve()
            folder.mkdir(parents=True, exist_ok=True)
        step([cell.python, "-m", "venv", "--clear", str(folder / "venv")], folder)
        python = str(folder / "venv" / "bin" / "python")
        if cell.given:
            where = "import sysconfig, torch; print(torch.__path__[0].rpartition('/')[0])"
            packages = step([cell.python, "-c", where], folder).strip()
            paths = step([python, "-c", "import site; print(site.getsitepackages()[0])"], folder)
            Path(paths.strip(), "given.pth").write_text(packages + "\n")
        install(cell, python, folder)
        seen = json.loads(step([python, "-c", PROBE], folder).splitlines()[-1])
        if not Path(seen["from"]).is_relative_to(folder):
            raise Failed(f"another package was imported: {seen['from']}")
        return seen | run_tests(cell, python)


def install(cell: Cell, python: str, folder: Path) -> None:
    """The resolved versions, then the wheel without asking for more."""
    uv = [sys.executable, "-m", "uv", "pip"]
    version = step([python, "-c", "import platform; print(platform.python_version())"], folder)
    ask = folder / "ask.in"
    ask.write_text(FOR_TESTS if cell.tests else "")
    command = [*uv, "compile", "--quiet", "--no-header", "--no-annotate", str(ask)]
    command += ["--only-binary", ":all:", *(f"--no-binary={name}" for name in built(version))]
    command += [str(ROOT / "pyproject.toml"), "--python-version", version.strip()]
    command += ["--resolution", RESOLUTIONS[cell.dependencies]]
    command += [item for extra in cell.extras for item in ("--extra", extra)]
    if cell.torch:
        (folder / "override.txt").write_text(f"torch=={cell.torch}\n")
        command += ["--override", str(folder / "override.txt")]
    lines = step(command, folder).splitlines()
    if cell.given:
        lines = [line for line in lines if not OF_TORCH.match(line)]
    chosen = folder / "chosen.txt"
    chosen.write_text("\n".join(lines) + "\n")
    quiet = [*uv, "install", "--quiet", "--python", python, "--no-deps"]
    step([*quiet, "-r", str(chosen), str(cell.wheel.resolve())], folder)


def built(version: str) -> list[str]:
    """What is compiled for this version of Python."""
    number = tuple(int(part) for part in version.split(".")[:2])
    return [name for name, since in SOURCE_ALONE.items() if number >= since]


def run_tests(cell: Cell, python: str) -> dict[str, Any]:
    """The last line of pytest for every folder, from the clone: its tests, but the installed
    package. One process a folder: what a folder leaves in memory goes with it, and one that is
    killed does not take the others' results along.
    """
    lines, failed = [], False
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as `make test` runs them
    for folder, files in by_folder(cell.tests).items():
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *files]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False
        )
        if done.returncode:
            print(done.stdout[-20_000:], done.stderr[-5_000:], file=sys.stderr)
        failed |= done.returncode != 0
        lines.append(f"{folder}: {closing(done.stdout, done.returncode)}")
    return {"tests": "; ".join(lines) or "—", "failed": failed}


def by_folder(paths: list[str]) -> dict[str, list[str]]:
    """The files of tests below `paths`, by the folder that they are in."""
    found: dict[str, list[str]] = {}
    for path in paths:
        named = ROOT / path
        for file in sorted(named.rglob("test_*.py")) if named.is_dir() else [named]:
            folder, name = (part.relative_to(ROOT).as_posix() for part in (file.parent, file))
            found.setdefault(folder, []).append(name)
    return found


def closing(stdout: str, code: int) -> str:
    """How a run of pytest ended, without its seconds."""
    if code < 0:  # not pytest's own end: what it printed last is a row of dots
        return f"ended by {signal.Signals(-code).name}"
    last = (stdout.strip().splitlines() or ["nothing was printed"])[-1]
    return re.sub(r" in [\d.]+s.*|[=|]", "", last).strip()


def step(command: list[str], folder: Path) -> str:
    """What a command printed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        last = (done.stderr.strip().splitlines() or ["failed"])[-1]
        raise Failed(last.replace("|", "/")[:120])
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
