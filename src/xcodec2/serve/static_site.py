"""`xcodec2 serve --static OUT`: the page without a server.

OUT holds the page, the model's ONNX graphs and ONNX Runtime for the web, to be put on any server of
files. Encoding and decoding happen in the browser; no audio leaves the machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from xcodec2.errors import XCodec2Error
from xcodec2.evaluators.fetch import fetch
from xcodec2.evaluators.weights import PackagedWeights, cached
from xcodec2.onnx.export import export, require_exporter

PAGE = Path(__file__).parent / "page"
BACKEND = '<meta name="xcodec2-backend" content="{}">'
GRAPHS, RUNTIME = "graphs", "runtime"
GRAPH_SUFFIX = ".onnx"
RUNTIME_FILES = PackagedWeights(
    "npm",
    "onnxruntime-web",
    "1.30.0",
    "MIT",
    {
        "package/dist/ort.wasm.min.mjs": (
            "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"
        ),
        "package/dist/ort-wasm-simd-threaded.mjs": (
            "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
        ),
        "package/dist/ort-wasm-simd-threaded.wasm": (
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
        ),
        "package/dist/ort.webgpu.min.mjs": (
            "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0"
        ),
        "package/dist/ort-wasm-simd-threaded.asyncify.mjs": (
            "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28"
        ),
        "package/dist/ort-wasm-simd-threaded.asyncify.wasm": (
            "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
        ),
    },
)
NOTICE = (
    f"{RUNTIME_FILES.package} {RUNTIME_FILES.version}, from npm, unchanged.\n"
    f"{RUNTIME_FILES.license} License, Copyright (c) Microsoft Corporation.\n"
)


def write_static_site(model: str | Path, out: str | Path) -> Path:
    """Write the page that runs without a server, whole or not at all.

    Args:
        model: A name, a folder or a Hub id.
        out: A folder: new, empty, or written by an earlier call, which is then replaced.

    Returns:
        `out`.

    Raises:
        XCodec2Error: The model cannot be exported, ONNX Runtime for the web cannot be fetched, or
            the folder is not to be written.
    """
    target = Path(out)
    require_exporter()
    check_static_folder(target)
    fetch(RUNTIME_FILES)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".xcodec2-", dir=target.parent, ignore_cleanup_errors=True
        ) as unfinished:
            site = Path(unfinished, "site")
            shutil.copytree(PAGE, site)
            copy_runtime(site / RUNTIME)
            check_graphs(export(model, site / GRAPHS))
            choose_browser(site / "index.html")
            put_in_place(site, target)
    except OSError as problem:
        raise XCodec2Error(f"{out}: cannot be written ({problem.strerror or problem})") from problem
    return target


def check_static_folder(target: Path) -> None:
    """Raise XCodec2Error for a folder that holds something else."""
    if not target.exists():
        return
    if not target.is_dir():
        raise XCodec2Error(f"{target}: is a file; name a folder")
    page = target / "index.html"
    ours = page.is_file() and BACKEND.format("browser") in page.read_text("utf-8", "replace")
    if any(target.iterdir()) and not ours:
        raise XCodec2Error(f"{target}: holds other files; name a new or an empty folder")


def copy_runtime(folder: Path) -> None:
    """ONNX Runtime's files, and what they are."""
    folder.mkdir()
    for file in RUNTIME_FILES.files:
        shutil.copyfile(cached(RUNTIME_FILES, file), folder / Path(file).name)
    (folder / "NOTICE.txt").write_text(NOTICE, "utf-8")


def check_graphs(files: list[Path]) -> None:
    """Raise XCodec2Error where weights lie beside a graph: they are too many for a browser."""
    if beside := [file.name for file in files if file.suffix != GRAPH_SUFFIX]:
        raise XCodec2Error(
            f"the model is too large for a browser ({beside[0]} is above 1 GB): choose a small "
            "one such as nano, or serve it with `xcodec2 serve --model MODEL`"
        )


def choose_browser(page: Path) -> None:
    """Let the page compute by itself."""
    text = page.read_text("utf-8")
    served = BACKEND.format("server")
    assert text.count(served) == 1
    page.write_text(text.replace(served, BACKEND.format("browser")), "utf-8")


def put_in_place(site: Path, target: Path) -> None:
    """The finished folder under its name; an earlier one is moved away first."""
    os.chmod(site, 0o755)
    if target.exists():
        earlier = site.with_name(f"earlier-{secrets.token_hex(4)}")
        os.replace(target, earlier)
        try:
            os.replace(site, target)
        except OSError:
            os.replace(earlier, target)
            raise
    else:
        os.replace(site, target)
