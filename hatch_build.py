"""Compiles the waveform encoder's activation and a Llama's forward pass when the package is built
or installed.

Without a compiler the package installs all the same, and PyTorch runs both, slowly.
"""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = "src/xcodec2/codec/kernels"


class KernelHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        module = runpy.run_path(str(Path(self.root) / KERNELS / "build.py"))
        compile_library = module["compile_library"]
        problem = compile_library() or compile_library(
            module["LLAMA_LIBRARY"], module["LLAMA_SOURCE"]
        )
        if problem:
            self.app.display_warning(
                f"open-xcodec2: compiled kernels were left out ({problem}); encoding with "
                "full-size models and speaking will be slower. Install a C compiler (gcc or clang) "
                "and install open-xcodec2 again to have them."
            )
            return
        for library in (module["LIBRARY"], module["LLAMA_LIBRARY"]):
            build_data["artifacts"].append(f"/{library.relative_to(self.root).as_posix()}")
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(
            ".", "_"
        )
