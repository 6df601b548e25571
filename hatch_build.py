"""Compiles what is written in C when the package is built or installed: the waveform encoder's
activation, the engine of small codecs and a Llama's forward pass.

Without a compiler the package installs all the same, and PyTorch runs all of it, more slowly. With
XCODEC2_PURE=1 in the environment it is left out on purpose: the wheel is then one for every
platform, to be published beside those for single ones.
"""

from __future__ import annotations

import os
import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = "src/xcodec2/codec/kernels"


class KernelHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("XCODEC2_PURE") == "1":
            return
        module = runpy.run_path(str(Path(self.root) / KERNELS / "build.py"))
        if problem := module["compile_all"]():
            self.app.display_warning(
                f"open-xcodec2: compiled kernels were left out ({problem}); commands, speaking "
                "and encoding with full-size models will be slower. Install a C compiler (gcc or "
                "clang) "
                "and install open-xcodec2 again to have them."
            )
            return
        for library in module["SOURCES"]:
            build_data["artifacts"].append(f"/{library.relative_to(self.root).as_posix()}")
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(
            ".", "_"
        )
