"""Optional libraries: what is missing is said at once, with a command that works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from xcodec2.errors import MissingExtraError
from xcodec2.extras import install_command, require
from xcodec2.recipe_file import tomllib

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_modules_that_are_there_are_imported():
    assert require("json.decoder", "shlex", extra="train").JSONDecoder().decode("1") == 1


def test_all_that_is_missing_is_named_in_one_go(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(MissingExtraError, match=r"^STOI needs pystoi, pesq: run `pip install"):
        require("pystoi", "json", "pesq", extra="evaluate", purpose="STOI")


def test_a_library_that_is_broken_says_why(tmp_path, monkeypatch):
    (tmp_path / "half_built.py").write_text("import no_such_part")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"half_built \(No module named 'no_such_part'\)"):
        require("half_built", extra="train")


def test_in_a_clone_the_command_installs_the_clone():
    command = shlex.split(install_command(["pystoi"], "evaluate"))
    assert command == ["pip", "install", "-e", f"{ROOT}[evaluate]"]


def test_elsewhere_the_command_names_the_libraries(tmp_path):
    """No index has this package, so that its name would be of no use to pip."""
    package = tmp_path / "site-packages" / "xcodec2"
    assert install_command(["av"], "media", package) == "pip install av"
    assert install_command(["python_stretch"], "train", package) == "pip install python-stretch"


def test_every_extra_that_is_asked_for_brings_the_libraries():
    """The sources name (modules, extra) in calls of `require`; pyproject.toml must agree."""
    found = 0
    for path in (ROOT / "src").rglob("*.py"):
        for call in re.findall(r"\brequire\(\s*(\"[^()]*?extra=\"\w+\")", path.read_text(), re.S):
            *modules, extra = re.findall(r'"([\w.]+)"', call)
            brought = " ".join(EXTRAS[extra]) + " numpy torch"
            for module in modules:
                name = module.partition(".")[0].replace("_", "-")
                assert name in brought.replace("_", "-"), f"{path.name}: {module} of {extra}"
                found += 1
    assert found >= 12


def test_no_hint_names_an_index_that_does_not_have_this_package():
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        assert not re.search(r"pip install[^\n`]*open-xcodec2\b", path.read_text()), path


BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from xcodec2.cli import main
main({args!r})
"""


def run_without(blocked: list[str], *args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=blocked, args=list(args))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment
    )
