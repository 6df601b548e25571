"""Optional libraries: what is missing is said at once, with a command that works."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hints import install_hint
from paths import ROOT

from xcodec2.errors import MissingExtraError
from xcodec2.extras import BESIDE, cache_name, install_command, require
from xcodec2.recipe_file import tomllib

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
    command = shlex.split(install_command(["pystoi"], "evaluate", ROOT / "src" / "xcodec2"))
    assert command == ["pip", "install", "-e", f"{ROOT}[evaluate]"]


def test_elsewhere_the_command_names_the_libraries(tmp_path):
    """No index has this package, so that its name would be of no use to pip."""
    package = tmp_path / "site-packages" / "xcodec2"
    assert install_command(["av"], "media", package) == "pip install av"
    assert install_command(["python_stretch"], "train", package) == "pip install python-stretch"


def test_what_an_extra_does_not_ask_for_is_in_the_command(tmp_path):
    wanted = f"pip install {BESIDE['executorch']}executorch"
    assert install_command(["executorch"], "executorch", tmp_path / "xcodec2") == wanted
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(library.strip() in tested for library in BESIDE.values())
    page = (ROOT / "docs" / "guides" / "runtimes.md").read_text()
    assert all(f"pip install {beside}'.[{extra}]'" in page for extra, beside in BESIDE.items())


def test_a_cache_goes_by_the_name_that_the_model_has_for_it():
    class Older:
        def forward(self, input_ids, past_key_values=None, **more): ...

    class Newer:
        def forward(self, input_ids, cache=None, **more): ...

    assert [cache_name(Older()), cache_name(Newer())] == ["past_key_values", "cache"]


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
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        assert not re.search(r"pip install[^\n`]*open-xcodec2\b", path.read_text()), path


BARE = """
import contextlib, io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from xcodec2.cli import main
for arguments in {commands!r}:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
MODULES = (
    "accelerate av datasets executorch gguf hibari matplotlib onnx onnxruntime onnxscript pandas "
    "peft pesq pocketsphinx pyarrow pystoi python_stretch rapidfuzz ray speechmos tensorboardX "
    "tokenizers transformers"
)
COMMANDS = [  # command, what it needs, the extra that brings it
    ("evaluate speech.wav --out made", "pyarrow, matplotlib", "evaluate"),
    ("evaluate missing/ --out made --metrics stoi", "pyarrow, matplotlib", "evaluate"),
    ("extract . made", "pyarrow", "extract"),
    ("export . made --to npy", "pyarrow", "extract"),
    ("export . made --to webdataset", "pyarrow", "extract"),
    ("export nano made --to onnx", "onnx, onnxscript", "onnx"),
    ("export nano made --to executorch", "executorch", "executorch"),
    ("reconstruct speech.wav -o made.wav --stoi", "pystoi", "evaluate"),
    ("reconstruct speech.wav -o made.wav --picture made.png", "matplotlib", "pictures"),
    ("encode speech.m4a -o made.npz", "av", "media"),
    ("encode speech.wav other.m4a -o made/", "av", "media"),
    ("encode speech.wav other.wv -o made/", "av", "media"),
    ("reconstruct speech.m4a -o made.wav", "av", "media"),
    ("speak Hello. --phonemes", "hibari", "llasa"),
    ("train nano run.out=made", "accelerate, tensorboardX", "train"),
]


def in_a_bare_installation(absent: str, commands: list[str], folder: Path) -> list[list]:
    """(exit code, stdout, stderr) of each command, in one process without those modules."""
    code = BARE.format(absent=absent.split(), commands=[line.split() for line in commands])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert not done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_missing_is_said_before_any_work_or_file(tmp_path):
    for name in ("speech.wav", "speech.m4a", "other.m4a", "other.wv"):
        (tmp_path / name).write_bytes((ROOT / "src/xcodec2/assets/demo.flac").read_bytes())
    found = in_a_bare_installation(MODULES, [command for command, *_ in COMMANDS], tmp_path)
    for (command, needs, extra), (code, out, err) in zip(COMMANDS, found, strict=True):
        assert code == 1, (command, out, err)
        assert not out, command
        wanted = rf"xcodec2: error: .* needs {needs}.*: {install_hint(extra)}\n"
        assert re.fullmatch(wanted, err), (command, err)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other.m4a",
        "other.wv",
        "speech.m4a",
        "speech.wav",
    ]


def test_a_corpus_that_needs_ffmpeg_says_so_before_any_row(tmp_path):
    """Else all of its films would be rows with an error."""
    (tmp_path / "speech").mkdir()
    for name in ("a.wav", "b.mov"):
        content = (ROOT / "src/xcodec2/assets/demo.flac").read_bytes()
        (tmp_path / "speech" / name).write_bytes(content)
    commands = [
        "extract speech tokens",
        "extract speech/*.mov tokens",
        "evaluate speech --out report --metrics none",
    ]
    for code, out, err in in_a_bare_installation("av", commands, tmp_path):
        assert (code, out) == (1, "")
        assert re.fullmatch(
            rf"xcodec2: error: .*reading \.mov needs av: {install_hint('media')}\n", err
        ), err
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


def test_ray_is_asked_for_by_its_own_extra(tmp_path):
    [[code, _, err]] = in_a_bare_installation("ray", ["extract . made --engine ray"], tmp_path)
    assert code == 1
    assert re.search(rf"--engine ray needs ray: {install_hint('ray')}", err)
    assert not list(tmp_path.iterdir())


def test_a_bare_installation_does_what_needs_no_extra(tmp_path):
    speech = ROOT / "src/xcodec2/assets/demo.flac"
    commands = [
        f"encode {speech} -o a.npz",
        "decode a.npz -o a.wav",
        "info a.npz",
        "train nano --show",
    ]
    for code, _, err in in_a_bare_installation(MODULES, commands, tmp_path):
        assert (code or 0, err) == (0, "")


def test_onnx_runtime_tells_nobody_and_writes_nothing(tmp_path):
    pytest.importorskip("onnxruntime")
    code = "from xcodec2.extras import require; require('onnxruntime', extra='onnx')"
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {**os.environ, **places}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.iterdir())
