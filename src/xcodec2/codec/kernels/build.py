"""Compiles snake.c into the library that snake_cpu.py loads, and a Llama's forward pass into the
one that speaking loads: `python -m xcodec2.codec.kernels.build`.

hatch_build.py does it whenever the package is built or installed. A plain C library called through
ctypes needs nothing of Python or PyTorch, so that one wheel fits every Python version.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("snake.c")
LIBRARY = Path(__file__).with_name("libsnake.so")
LLAMA_SOURCE = Path(__file__).parents[2] / "llasa" / "decoding" / "llama.c"
LLAMA_LIBRARY = LLAMA_SOURCE.with_name("libllama_step.so")
OPTIONS = ["-std=c11", "-O3", "-ffp-contract=fast", "-Wno-psabi", "-fPIC", "-shared"]
X86_OPTIONS = ["-mavx2", "-mfma", "-mf16c"]  # snake_cpu.py asks the processor before it loads the library


def compile_library(library: Path = LIBRARY, source: Path = SOURCE) -> str | None:
    """Compile `source` into `library`; what went wrong, or None. An older library does not stay
    behind.
    """
    library.unlink(missing_ok=True)
    compiler = (
        os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    )
    if not compiler:
        return "no C compiler was found"
    options = OPTIONS + (X86_OPTIONS if platform.machine().lower() in ("x86_64", "amd64") else [])
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
    sys.exit(compile_library() or compile_library(LLAMA_LIBRARY, LLAMA_SOURCE))
