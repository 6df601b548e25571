"""What is built and installed where no C compiler is found."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

from xcodec2 import XCodec2Model

ENCODE = """
import sys, xcodec2
from xcodec2 import XCodec2Model
print(xcodec2.__file__)
print(*XCodec2Model.from_pretrained().encode(sys.argv[1]).codes.tolist())
"""


@pytest.mark.slow
def test_a_wheel_built_without_a_compiler_warns_and_has_the_same_codes(tmp_path):
    clone = tmp_path / "clone"
    copy = ["git", "checkout-index", "--all", f"--prefix={clone}/"]  # nothing that is built
    subprocess.run(copy, cwd=ROOT, check=True)
    without = {key: value for key, value in os.environ.items() if key not in ("CC", "PYTHONPATH")}
    without["PATH"] = str(tmp_path)  # no cc, gcc or clang in it
    build = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "-w", "dist", "."]
    done = subprocess.run(build, cwd=clone, env=without, capture_output=True, text=True, check=True)
    said = " ".join((done.stdout + done.stderr).split())
    assert "no C compiler was found" in said
    assert "Install a C compiler (gcc or clang)" in said
    (wheel,) = (clone / "dist").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(tmp_path / "installed")
    without["PYTHONPATH"] = str(tmp_path / "installed")
    clip = str(ROOT / "src" / "xcodec2" / "assets" / "demo.flac")
    ran = subprocess.run(
        [sys.executable, "-c", ENCODE, clip],
        cwd=tmp_path,
        env=without,
        capture_output=True,
        text=True,
        check=True,
    )
    where, codes = ran.stdout.splitlines()
    assert ran.stderr.count("so that small models take longer: it was not compiled") == 1
    assert Path(where).is_relative_to(tmp_path / "installed")
    assert (
        list(map(int, codes.split())) == XCodec2Model.from_pretrained().encode(clip).codes.tolist()
    )
