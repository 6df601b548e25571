"""Compiles snake.c and engine.c into the libraries that snake_cpu.py and compiled/library.py load:
`python -m xcodec2.codec.kernels.build`.

hatch_build.py does it whenever the package is built or installed. Plain C libraries called through
ctypes need nothing of Python or PyTorch, so that one wheel fits every Python version.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("snake.c")
LIBRARY = Path(__file__).with_name("libsnake.so")
ENGINE_SOURCE = Path(__file__).parents[1] / "compiled" / "engine.c"
ENGINE = ENGINE_SOURCE.with_name("libengine.so")
OPTIONS = ["-std=c11", "-O3", "-ffp-contract=fast", "-Wno-psabi", "-fPIC", "-shared"]
X86_OPTIONS = ["-mavx2", "-mfma"]  # the processor is asked before a library is loaded


def compile_all() -> str | None:
    """Compile both libraries; what went wrong with one, or None."""
    return compile_library() or compile_library(ENGINE, ENGINE_SOURCE, x86_options=("-mf16c",))


def compile_library(
    library: Path = LIBRARY, source: Path = SOURCE, *, x86_options: Sequence[str] = ()
) -> str | None:
    """Compile `source` into `library`; what went wrong, or None. An older library does not stay
    behind.
    """
    library.unlink(missing_ok=True)
    compiler = (
        os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    )
    if not compiler:
        return "no C compiler was found"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    options = [*OPTIONS, *(X86_OPTIONS if x86 else []), *(x86_options if x86 else [])]
    unfinished = library.with_suffix(f".{os.getpid()}")
    command = [*compiler.split(), *options, str(source), "-o", str(unfinished), "-lm", "-lpthread"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        return f"{compiler} could not be run: {error}"
    except subprocess.CalledProcessError as error:
        return f"{compiler} failed: {(error.stderr.strip().splitlines() or ['no message'])[-1]}"
    unfinished.replace(library)
    return None


if __name__ == "__main__":
    sys.exit(compile_all())
